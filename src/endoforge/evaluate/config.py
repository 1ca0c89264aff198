"""What `eval` can be told; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from endoforge.backends.flags import (
    AdapterFlag,
    BackendFlag,
    CheckpointFlag,
    DetectorFlag,
    DeviceFlag,
    check_compute,
    check_detector,
)
from endoforge.core import checks
from endoforge.detect.packaged import chosen_weights
from endoforge.roots.places import RootFlag

DEFAULT_INPUT_ROOT = "assets/datasets/captures_filtered"
DEFAULT_OBJ_THRESH = 0.3
DEFAULT_IOU_THRESH = 0.5
DEFAULT_IOU_SWEEP = "0.5,0.75"
REPORT_NAME = "report.html"
VALIDATION_BATCH_SIZE = 16
"""Of `eval` and of the validation in training alike, so that they agree to the last digit."""


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Measure a detector on the frames of a folder of capture runs."""

    detector: DetectorFlag = "neural"
    checkpoint: CheckpointFlag = None

    input_root: RootFlag = DEFAULT_INPUT_ROOT
    """Folder that holds the capture runs (run_* folders), or one run. Every frame counts, but for
    --split-manifest."""

    split_manifest: Annotated[str | None, arg(metavar="FILE")] = None
    """Measure the validation frames of this split alone, as `train --split-manifest` wrote it."""

    val_obj_thresh: float = DEFAULT_OBJ_THRESH
    """Score from which a detection counts in precision, recall and mean IoU, 0 to 1."""

    val_iou_thresh: float = DEFAULT_IOU_THRESH
    """Overlap (IoU) with a true box from which a detection counts as a hit, 0 to 1. Detections that
    overlap each other by more than 0.5 are one, whatever this is."""

    val_iou_sweep: str = DEFAULT_IOU_SWEEP
    """More IoU thresholds to report at, split by commas."""

    lesions: bool = False
    """Measure lesions as well, of runs whose labels name polyps (polyp_id): found or not, how soon,
    and false alarms a minute, by single frames and by tracks."""

    metrics_out: Annotated[str | None, arg(metavar="FILE")] = None
    """Append the metrics to this file, one JSON object a line."""

    report: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Write report.html to this folder: charts, the best and the worst frames, and facts."""

    batch_size: int = VALIDATION_BATCH_SIZE
    """Frames that go through the detector at once; changes speed and memory, not the result."""

    backend: BackendFlag = "torch"
    device: DeviceFlag = "auto"
    adapter: AdapterFlag = None

    strict: bool = False
    """Stop at the first bad label or image instead of leaving it out and counting it."""

    def __post_init__(self) -> None:
        checks.check_probability("--val-obj-thresh", self.val_obj_thresh, example="0.3")
        checks.check_share("--val-iou-thresh", self.val_iou_thresh, example="0.5")
        checks.parse_thresholds("--val-iou-sweep", self.val_iou_sweep)
        checks.check_at_least("--batch-size", self.batch_size, 1, example="16")
        check_compute(self.backend, self.device, self.adapter)
        check_detector(self.detector, self.checkpoint, self.backend, self.device)

    @property
    def weights(self) -> str | None:
        """The file of weights to measure; None for a detector that has none."""
        if self.detector == "heuristic":
            return None
        return str(chosen_weights(self.checkpoint))

    @property
    def iou_thresholds(self) -> list[float]:
        """`val_iou_thresh` first, then the others of the sweep, rising."""
        return iou_thresholds(self.val_iou_thresh, self.val_iou_sweep)


def iou_thresholds(first: float, sweep: str) -> list[float]:
    """The IoU thresholds to measure at: `first`, then the others of `sweep`, rising."""
    others = set(checks.parse_thresholds("--val-iou-sweep", sweep)) - {first}
    return [first, *sorted(others)]
