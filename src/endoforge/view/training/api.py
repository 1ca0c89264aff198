"""What the training tab asks for by HTTP."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json
from endoforge.view.config import SimViewConfig
from endoforge.view.queries import number_of
from endoforge.view.training.curves import TrainingWatch
from endoforge.view.training.jobs import Jobs
from endoforge.view.training.library import Library

THUMBNAIL_PX = 320


class TrainingTab:
    """The endpoints, and what stands behind them. What reads files does so in threads."""

    def __init__(self, config: SimViewConfig) -> None:
        self.jobs = Jobs(config)
        self.watch = TrainingWatch(config.status_file, config.metrics_out)
        self._library = Library(config.root)

    def routes(self) -> list[Route]:
        """Where the endpoints are."""
        return [
            Route("/api/training", self._training),
            Route("/api/runs", self._runs),
            Route("/api/runs/{name}/frames/{frame_id:int}.jpg", self._thumbnail),
            Route("/api/jobs", self._all_jobs),
            Route("/api/jobs/{kind}/start", self._start, methods=["POST"]),
            Route("/api/jobs/{kind}/stop", self._stop, methods=["POST"]),
            Route("/api/jobs/{kind}/log", self._log),
        ]

    async def _training(self, _: Request) -> Response:
        shown = await run_in_threadpool(self.watch.as_json)
        return JSONResponse({**shown, "phase": self.jobs.job("train").phase(shown["status"])})

    async def _runs(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._library.runs))

    async def _thumbnail(self, request: Request) -> Response:
        data = await run_in_threadpool(
            self._library.thumbnail,
            request.path_params["name"],
            request.path_params["frame_id"],
            width=number_of(request, "width", THUMBNAIL_PX),
            overlay=request.query_params.get("overlay") == "1",
        )
        return Response(data, media_type="image/jpeg")

    async def _all_jobs(self, _: Request) -> Response:
        return JSONResponse(self.jobs.as_json())

    async def _start(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        values = _object(await request.body())
        await run_in_threadpool(self.jobs.start, kind, values)
        return JSONResponse(self.jobs.job(kind).as_json())

    async def _stop(self, request: Request) -> Response:
        job = self.jobs.job(request.path_params["kind"])
        job.stop()
        return JSONResponse(job.as_json())

    async def _log(self, request: Request) -> Response:
        job = self.jobs.job(request.path_params["kind"])
        return JSONResponse(job.log_from(number_of(request, "from", 0)))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = parse_json(body or b"{}")
    except ValueError as error:
        raise UserError("the body isn't JSON") from error
    if not isinstance(value, dict):
        raise UserError("the body is no JSON object")
    return value
