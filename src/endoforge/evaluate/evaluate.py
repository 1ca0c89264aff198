"""The `eval` command: a checkpoint, measured on every frame of a root."""

import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.backends.devices import pick_device
from endoforge.captures.index import FrameRecord, index_root
from endoforge.core.files import append_json_line
from endoforge.core.progress import progress
from endoforge.data.loader import Loader
from endoforge.data.pack import Pack, pack_frames
from endoforge.detect.detections import Detections
from endoforge.detect.predict import predict
from endoforge.detect.weights import WeightsMetadata, load_weights
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.metrics import Metrics
from endoforge.evaluate.validate import Validation, validate

log = logging.getLogger(__name__)

EVERY_BOX = 1_000_000


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """A measured checkpoint. The lists run alike; boxes are in 0..1 of the input, as `images` are.

    `images` is (N, H, W, 3) uint8 RGB, letterboxed as the checkpoint wants its input.
    """

    metrics: Metrics
    metadata: WeightsMetadata
    frames: list[FrameRecord]
    images: NDArray[np.uint8]
    detections: list[Detections]
    truths: list[NDArray[np.float32]]
    seconds: float

    def lines(self) -> list[str]:
        """The summary for people."""
        return [self.metrics.summary()]


def run_eval(config: EvalConfig) -> EvalResult:
    """Measure `config.checkpoint` on every frame of `config.input_root`.

    Raises UserError for a checkpoint or a root that can't be used.
    """
    model, metadata = load_weights(Path(config.checkpoint))
    model.to(pick_device(config.device))
    pack = _load_frames(config, metadata)
    loader = Loader(pack, config.batch_size, seed=None)
    started = time.monotonic()
    with progress("measuring", len(pack), "frames") as advance:
        validation = validate(
            partial(predict, model),
            loader,
            obj_thresh=config.val_obj_thresh,
            iou_threshs=config.iou_thresholds,
            on_batch=advance,
        )
    seconds = time.monotonic() - started
    if config.metrics_out is not None:
        append_json_line(Path(config.metrics_out), _record(config, validation, seconds))
    return EvalResult(
        metrics=validation.metrics,
        metadata=metadata,
        frames=pack.frames,
        images=pack.images,
        detections=validation.detections,
        truths=validation.truths,
        seconds=seconds,
    )


def _load_frames(config: EvalConfig, metadata: WeightsMetadata) -> Pack:
    index = index_root(Path(config.input_root), strict=config.strict, cache=True)
    pack = pack_frames(
        index.frames,
        size=metadata.input_size,
        resize_mode=metadata.resize_mode,
        max_boxes=EVERY_BOX,
        strict=config.strict,
        label="evaluation",
    )
    log.info("%d frames of %d runs in %s", len(pack), len(index.runs), index.root)
    for line in index.tally.lines() + pack.tally.lines():
        log.warning("left out: %s", line)
    return pack


def _record(config: EvalConfig, validation: Validation, seconds: float) -> dict[str, Any]:
    """A line of the metrics file."""
    metrics = validation.metrics
    return {
        "checkpoint": config.checkpoint,
        "input_root": config.input_root,
        **metrics.to_record(validation.batches),
        "seconds": round(seconds, 3),
        "pr_curve": [point.to_record() for point in metrics.pr_curve],
    }
