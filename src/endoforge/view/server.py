"""The web server: a page, its files, a WebSocket, and what the other tabs ask for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from endoforge.core.errors import UserError
from endoforge.view.clip import ClipMaker
from endoforge.view.labelling.keeping import RunBusy
from endoforge.view.labelling.label_api import LabelTab
from endoforge.view.live import Hub
from endoforge.view.run_files import NotThere
from endoforge.view.security import Guard, TooLong
from endoforge.view.training.api import TrainingTab

STATIC = Path(__file__).with_name("static")


def make_app(
    hub: Hub, training: TrainingTab, labels: LabelTab, *, host: str, port: int, token: str | None
) -> ASGIApp:
    """The application of all tabs; `host` and `port` are what it is reached by."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        hub.open()
        yield
        hub.close()

    app = Starlette(
        routes=[
            Route("/", _page),
            Mount("/static", StaticFiles(directory=STATIC)),
            WebSocketRoute("/live", hub.serve),
            Route("/api/clip", partial(_clip, hub.session.clips), methods=["POST"]),
            *training.routes(),
            *labels.routes(),
        ],
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _failed,
            NotThere: _refused(404),
            TooLong: _refused(413),
            RunBusy: _refused(423),
            UserError: _refused(400),
            OSError: _broken,
        },
    )
    return Guard(app, host=host, port=port, token=token)


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _clip(clips: ClipMaker, request: Request) -> Response:
    """The last seconds of what was shown; POST, since it takes the machine's time."""
    with_boxes = request.query_params.get("boxes") != "0"
    try:
        made = await run_in_threadpool(clips.make, with_boxes=with_boxes)
    except asyncio.CancelledError:  # the server ends, and waits no longer
        return JSONResponse({"error": "the live view has ended"}, status_code=503)
    return Response(made, media_type="video/mp4")


def _refused(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=status)

    return answer


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


async def _broken(_: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    return JSONResponse({"error": error.strerror or "it can't be read"}, status_code=500)
