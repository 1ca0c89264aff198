"""The flags of `detect`, and of `import`, which may use a detector too; nothing heavy is imported
here."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from tyro.conf import Positional, arg

from endoforge.backends.flags import (
    AdapterFlag,
    BackendFlag,
    CheckpointFlag,
    DetectorFlag,
    DeviceFlag,
    check_compute,
    check_detector,
)
from endoforge.captures.addresses import live_address
from endoforge.core import checks
from endoforge.core.choices import DETECTED_FROM
from endoforge.core.errors import UserError
from endoforge.formats.config import ImportConfig
from endoforge.roots.places import refuse_cloud

Draw = Literal["all", "found", "none"]


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """Find polyps in pictures and videos, draw them, and write them down."""

    paths: Positional[Annotated[tuple[str, ...], arg(metavar="IMAGES|VIDEO|FOLDER...")]] = ()
    """Pictures, videos, and folders of them, which are searched with all that they hold; of capture
    runs the images are taken, and nothing that EndoForge has drawn. Cameras (/dev/video0) and
    streams (rtsp://...) too, for --seconds."""

    detector: DetectorFlag = "neural"
    checkpoint: CheckpointFlag = None

    output: Annotated[str, arg(metavar="FOLDER")] = "detections"
    """Folder for the results (made if it isn't there), which replace earlier ones."""

    as_runs: Annotated[str | None, arg(metavar="FOLDER")] = None
    """In place of results: a folder that gets capture runs, one of each video, stream, run and
    folder of pictures, whose labels are what was found, for people to review (made if it isn't
    there). Run it again after any end: what is there already is left alone."""

    draw: Draw = "all"
    """Pictures to draw: all, those with something found, or none; a video is drawn as a whole."""

    infer_obj_thresh: float = DETECTED_FROM
    """Score from which a detection is drawn and written down, 0 to 1. COCO results hold all from
    0.01, for average precision is of all scores."""

    infer_iou_thresh: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Overlap from which two detections count as the same, 0 to 1. Default: 0.5 of the neural
    detector, 0.35 of the heuristic one."""

    report: bool = False
    """Write report.html: each video and recorded run over its time, with its tracks and stills."""

    mot: bool = False
    """Write the tracks of each video as the text of the MOT Challenge too, into the folder mot."""

    annotations: Annotated[str | None, arg(metavar="FILE")] = None
    """A COCO JSON file whose numbers of images and categories COCO results take, by their names;
    imported frames by those that they had before."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Frames a second of a video to look at; all of them if not given."""

    seconds: Annotated[float | None, arg(metavar="FLOAT")] = None
    """How long to look at each camera or stream, in seconds from its first picture."""

    batch_size: int = 8
    """Frames that go through the neural detector at once; changes speed, not the result."""

    backend: BackendFlag = "torch"
    device: DeviceFlag = "auto"
    adapter: AdapterFlag = None

    def __post_init__(self) -> None:
        if not self.paths:
            raise UserError("IMAGES|VIDEO|FOLDER: name at least one picture, video or folder")
        if not self.output.strip():
            raise UserError("--output: expected the name of a folder, got nothing")
        checks.check_choice("--draw", self.draw, get_args(Draw))
        check_compute(self.backend, self.device, self.adapter)
        check_detector(self.detector, self.checkpoint, self.backend, self.device)
        checks.check_probability("--infer-obj-thresh", self.infer_obj_thresh, example="0.3")
        if self.infer_iou_thresh is not None:
            checks.check_probability("--infer-iou-thresh", self.infer_iou_thresh, example="0.5")
        checks.check_at_least("--batch-size", self.batch_size, 1, example="8")
        self._check_seconds()
        self._check_as_runs()
        if self.fps is not None and not (self.fps > 0 and math.isfinite(self.fps)):
            raise UserError(f"--fps {self.fps}: must be a number greater than 0; try 5")

    def _check_as_runs(self) -> None:
        if self.as_runs is None:
            return
        if not self.as_runs.strip():
            raise UserError("--as-runs: expected the name of a folder, got nothing")
        for name in ("output", "draw", "report", "mot", "annotations"):
            if getattr(self, name) != getattr(DetectConfig, name):
                raise UserError(
                    f"--{name}: is of results, and --as-runs writes capture runs in their place; "
                    "leave one of the two out"
                )

    def _check_seconds(self) -> None:
        live = [one for path in self.paths if (one := live_address(path)) is not None]
        if live and self.seconds is None:
            raise UserError(f"{live[0].shown}: say how long to look at it; try --seconds 60")
        if live and self.report:
            raise UserError(
                f"--report: reads stills again, which can't be done with {live[0].shown}; leave "
                "it out, or make the page of the video that is drawn"
            )
        if self.seconds is None:
            return
        if not live:
            raise UserError("--seconds: is for cameras and streams, and none is named")
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise UserError(f"--seconds {self.seconds}: must be a number greater than 0; try 60")


@dataclass(frozen=True, kw_only=True)
class ImportCommandConfig(ImportConfig):
    __doc__ = ImportConfig.__doc__

    prelabel: bool = False
    """Video: label its frames with what a detector finds, for people to review; as detect --as-runs
    does."""

    detector: DetectorFlag = "neural"
    checkpoint: CheckpointFlag = None
    backend: BackendFlag = "torch"
    device: DeviceFlag = "auto"
    adapter: AdapterFlag = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.prelabel:
            self._refuse_detector()
            return
        refuse_cloud("--output-root", self.output_root, "--prelabel writes to folders; name one")
        if self.video is None:
            raise UserError(
                "--prelabel: is for a --video; of pictures, `endoforge detect PICTURES --as-runs "
                "FOLDER` makes labels"
            )
        _ = self.detecting

    def _refuse_detector(self) -> None:
        for name in ("detector", "checkpoint", "backend", "device", "adapter"):
            if getattr(self, name) != getattr(ImportCommandConfig, name):
                raise UserError(f"--{name}: is of the detector of --prelabel; give that too")
        if self.video is not None and self.infer_obj_thresh != ImportConfig.infer_obj_thresh:
            raise UserError("--infer-obj-thresh: is of the detector of --prelabel; give that too")

    @property
    def detecting(self) -> DetectConfig:
        """What `detect` is told, to label the frames of the video."""
        return DetectConfig(
            paths=() if self.video is None else (self.video,),
            as_runs=self.output_root,
            detector=self.detector,
            checkpoint=self.checkpoint,
            infer_obj_thresh=self.infer_obj_thresh,
            fps=self.fps,
            backend=self.backend,
            device=self.device,
            adapter=self.adapter,
        )
