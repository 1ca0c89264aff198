"""What `eval` found."""

from dataclasses import dataclass
from pathlib import Path

from endoforge.captures.run_frames import FrameRecord
from endoforge.data.images import Images
from endoforge.detect.detections import Detections
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.lesion_result import LesionResult
from endoforge.evaluate.lesion_table import lesion_lines
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import Metrics
from endoforge.evaluate.subject import Subject


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """A measured detector. The lists run alike; boxes are in 0..1 of the input, as `images` are.

    `images` is (N, H, W, 3) uint8 RGB, letterboxed as the detector wants its input.
    """

    config: EvalConfig
    metrics: Metrics
    subject: Subject
    root: Path
    """The folder of the runs."""
    simulated: bool
    """Whether all of the frames come from EndoForge's simulator, as their runs' manifests say."""
    left_out: list[str]
    """What could not be measured or was not asked for, and why: a line for each reason."""
    frames: list[FrameRecord]
    images: Images
    detections: list[Detections]
    truths: list[Truth]
    class_names: tuple[str, ...]
    """The detector's, then those of the frames that it doesn't know."""
    seconds: float
    lesions: LesionResult | None = None
    """What `--lesions` asks for."""
    report: Path | None = None
    """The page that was written, if one was asked for."""

    def lines(self) -> list[str]:
        """Sum it up for people, a line each."""
        lesions = [] if self.lesions is None else lesion_lines(self.lesions)
        report = [] if self.report is None else [f"report   {self.report}"]
        return [self.metrics.summary(), *self.metrics.class_lines(), *lesions, *report]
