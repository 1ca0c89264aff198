"""What the label tab asks for by HTTP."""

import cv2
import numpy as np
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from endoforge.core.errors import UserError
from endoforge.view.browser_json import browser_value
from endoforge.view.config import SimViewConfig
from endoforge.view.encoding import jpeg
from endoforge.view.labelling.carrying import Carrier
from endoforge.view.labelling.keeping import LabelConflict, LabelKeeper
from endoforge.view.labelling.label_files import read_stored
from endoforge.view.labelling.label_messages import parse_edit, parse_wish
from endoforge.view.labelling.learning import Learning
from endoforge.view.labelling.shelf import Shelf
from endoforge.view.queries import number_of
from endoforge.view.run_files import NotThere, RunFiles

WIDTHS = (32, 4096)
"""Of pictures, the least and the most in pixels."""
SHARP = 92
"""Quality of the JPEGs: who draws a box looks at pixels."""
NO_LABEL = '"none"'
"""In If-Match, of a frame that had no label."""


class LabelTab:
    """The endpoints, and what stands behind them. Files are read and written in threads."""

    def __init__(self, config: SimViewConfig) -> None:
        self._root = config.root
        self._shelf = Shelf(config.root)
        self._keeper = LabelKeeper(config.root)
        self._carrier = Carrier(config.root)
        self.learning = Learning(config, self._shelf)

    def routes(self) -> list[Route]:
        """Where the endpoints are."""
        frame = "/api/labels/{name}/{frame_id:int}"
        return [
            Route("/api/labels", self._runs),
            Route("/api/labels/{name}", self._run),
            Route(frame, self._frame),
            Route(frame, self._keep, methods=["PUT"]),
            Route(f"{frame}/carried", self._carried),
            Route(f"{frame}/picture.jpg", self._picture),
            Route("/api/learning", self._learning),
            Route("/api/learning/start", self._learn, methods=["POST"]),
            Route("/api/learning/stop", self._stop_learning, methods=["POST"]),
            Route("/api/learning/{place:int}/{which}.jpg", self._compared),
        ]

    async def _runs(self, _: Request) -> Response:
        return _answer(await run_in_threadpool(self._shelf.runs))

    async def _run(self, request: Request) -> Response:
        return _answer(await run_in_threadpool(self._shelf.run, request.path_params["name"]))

    async def _frame(self, request: Request) -> Response:
        return _answer(await run_in_threadpool(self._keeper.read, *_place(request)))

    async def _keep(self, request: Request) -> Response:
        begun_from = request.headers.get("if-match", "")
        if len(begun_from) < 3 or begun_from[0] + begun_from[-1] != '""':
            raise UserError('If-Match: must be the digest of the label that was changed, or "none"')
        digest = None if begun_from == NO_LABEL else begun_from[1:-1]
        edit = parse_edit(await request.body())
        try:
            kept = await run_in_threadpool(self._keeper.keep, *_place(request), edit, digest)
        except LabelConflict as conflict:
            return _answer(conflict.now, status=412)
        return _answer(kept)

    async def _carried(self, request: Request) -> Response:
        return _answer(await run_in_threadpool(self._carrier.carried, *_place(request)))

    async def _picture(self, request: Request) -> Response:
        width = number_of(request, "width", WIDTHS[1])
        data = await run_in_threadpool(self._encoded, *_place(request), width)
        return Response(data, media_type="image/jpeg")

    async def _learning(self, _: Request) -> Response:
        return _answer(await run_in_threadpool(self.learning.view))

    async def _learn(self, request: Request) -> Response:
        wish = parse_wish(await request.body())
        await run_in_threadpool(self.learning.start, wish)
        return await self._learning(request)

    async def _stop_learning(self, request: Request) -> Response:
        self.learning.stop()
        return await self._learning(request)

    async def _compared(self, request: Request) -> Response:
        data = self.learning.picture(request.path_params["place"], request.path_params["which"])
        if data is None:
            raise NotThere("no such picture")
        return Response(data, media_type="image/jpeg")

    def _encoded(self, name: str, frame_id: int, width: int) -> bytes:
        """A frame as a JPEG, `width` pixels wide, if it has so many; raises NotThere."""
        run = RunFiles.named(self._root, name)
        picture = run.picture(frame_id, read_stored(run, frame_id).label)
        width = min(max(width, WIDTHS[0]), WIDTHS[1], picture.shape[1])
        if width < picture.shape[1]:
            height = max(1, round(picture.shape[0] * width / picture.shape[1]))
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            picture = np.asarray(small, np.uint8)
        return jpeg(picture, quality=SHARP)


def _place(request: Request) -> tuple[str, int]:
    return request.path_params["name"], request.path_params["frame_id"]


def _answer(message: BaseModel, status: int = 200) -> Response:
    return JSONResponse(browser_value(message.model_dump()), status_code=status)
