"""The web server: a page, its files, a WebSocket, and a few lists for the training tab."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json
from endoforge.view.config import SimViewConfig
from endoforge.view.live import Hub
from endoforge.view.security import Guard, TooLong
from endoforge.view.session import Session
from endoforge.view.training.jobs import Jobs
from endoforge.view.training.library import Library, NotThere
from endoforge.view.training.watch import TrainingWatch

STATIC = Path(__file__).with_name("static")
THUMBNAIL_PX = 320


@dataclass(frozen=True)
class Parts:
    """What the server serves."""

    config: SimViewConfig
    session: Session
    hub: Hub
    jobs: Jobs
    library: Library
    training: TrainingWatch

    @classmethod
    def of(cls, config: SimViewConfig, session: Session) -> "Parts":
        """All parts around a session."""
        return cls(
            config,
            session,
            Hub(session),
            Jobs(config),
            Library(config.root),
            TrainingWatch(config.status_file, config.metrics_out),
        )


def make_app(parts: Parts, *, host: str, port: int, token: str | None) -> ASGIApp:
    """The application; `host` and `port` are what it is reached by."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        parts.hub.open()
        yield
        parts.hub.close()

    api = Api(parts)
    routes = [
        Route("/", _page),
        Mount("/static", StaticFiles(directory=STATIC)),
        WebSocketRoute("/live", api.live),
        Route("/api/training", api.training),
        Route("/api/runs", api.runs),
        Route("/api/runs/{name}/frames/{frame_id:int}.jpg", api.thumbnail),
        Route("/api/jobs", api.jobs),
        Route("/api/jobs/{kind}/start", api.start, methods=["POST"]),
        Route("/api/jobs/{kind}/stop", api.stop, methods=["POST"]),
        Route("/api/jobs/{kind}/log", api.log),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _failed,
            NotThere: _refused(404),
            TooLong: _refused(413),
            UserError: _refused(400),
            OSError: _broken,
        },
    )
    return Guard(app, host=host, port=port, token=token)


class Api:
    """The endpoints. What reads files does so in threads."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def live(self, socket: WebSocket) -> None:
        await self.parts.hub.serve(socket)

    async def training(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.parts.training.as_json))

    async def runs(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.parts.library.runs))

    async def thumbnail(self, request: Request) -> Response:
        data = await run_in_threadpool(
            self.parts.library.thumbnail,
            request.path_params["name"],
            request.path_params["frame_id"],
            width=_number(request, "width", THUMBNAIL_PX),
            overlay=request.query_params.get("overlay") == "1",
        )
        return Response(data, media_type="image/jpeg")

    async def jobs(self, _: Request) -> Response:
        return JSONResponse(self.parts.jobs.as_json())

    async def start(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        values = _object(await request.body())
        await run_in_threadpool(self.parts.jobs.start, kind, values)
        return JSONResponse(self.parts.jobs.job(kind).as_json())

    async def stop(self, request: Request) -> Response:
        job = self.parts.jobs.job(request.path_params["kind"])
        job.stop()
        return JSONResponse(job.as_json())

    async def log(self, request: Request) -> Response:
        job = self.parts.jobs.job(request.path_params["kind"])
        return JSONResponse(job.log_from(_number(request, "from", 0)))


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 15:
        raise UserError(f"{name}: must be a whole number")
    return int(text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = parse_json(body or b"{}")
    except ValueError as error:
        raise UserError("the body isn't JSON") from error
    if not isinstance(value, dict):
        raise UserError("the body is no JSON object")
    return value


def _refused(status: int) -> Any:
    async def answer(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=status)

    return answer


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


async def _broken(_: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    return JSONResponse({"error": error.strerror or "it can't be read"}, status_code=500)
