"""Batches straight from the simulator."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.captures.schema import DEFAULT_CLASS
from endoforge.core.choices import LabelField
from endoforge.core.noticeboard import Noticeboard
from endoforge.core.text import counted
from endoforge.data.classes import Classes
from endoforge.data.loader import Batch, Shard
from endoforge.sim.bakery import Recipe
from endoforge.sim.engine import Engine
from endoforge.sim.labels import visible_boxes
from endoforge.sim.polyps import KINDS
from endoforge.sim.stage import FootageStage, Shown

log = logging.getLogger(__name__)


class SimulatedLoader:
    """Batches that are rendered when they are asked for: a `BatchSource`.

    An epoch is `len(self)` batches of `batch_size`; frame by frame, the epochs follow each other in
    a sequence that never repeats and that only the recipe decides. Of each batch it gives the part
    that is `shard`. Runs are made ahead by `workers` processes. Those that have a `board` in common
    make them for each other, so they must ask for batches alike. Close it in the end.
    """

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        *,
        batch_size: int,
        batches_an_epoch: int,
        max_boxes: int,
        class_names: Classes,
        runs_at_once: int,
        workers: int,
        shard: Shard | None = None,
        board: Noticeboard | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.batches_an_epoch = batches_an_epoch
        self.max_boxes = max_boxes
        self._class_of = torch.tensor(
            [place_of(class_names, kind) for kind in KINDS], device=engine.device
        )
        self.rows = (shard or Shard()).of(batch_size)
        self.rows_each: int = self.rows.stop - self.rows.start
        self.stage = FootageStage(engine, recipe, runs_at_once, workers=workers, board=board)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return self.batches_an_epoch

    def batches(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """The batches of `epoch` with the numbers `start`, `start + stride` and so on.

        They are the same whatever was asked before. Some are rendered at once, where that is
        faster. In the end it tells how many frames showed a polyp.
        """
        first = epoch * len(self)
        numbers = np.arange(first + start, first + len(self), stride)
        # A GPU renders many frames together faster than few, so several batches are rendered at
        # once where they fit; that changes no pixel.
        at_once = max(1, self.stage.renderer.batch_size // max(1, self.rows_each))
        with_box = left_out = torch.zeros((), dtype=torch.int64, device=self.stage.engine.device)
        for some in np.split(numbers, range(at_once, len(numbers), at_once)):
            frames = self._render(some)
            # Summed on the device, and read once at the end: reading waits for it.
            with_box = with_box + (frames.num_boxes > 0).sum()
            left_out = left_out + frames.left_out.sum()
            for place, number in enumerate(some.tolist()):
                part = slice(place * self.rows_each, (place + 1) * self.rows_each)
                yield self._batch(frames, part, number)
        _log_shown(len(numbers) * self.rows_each, int(with_box), int(left_out))

    def close(self) -> None:
        """End the processes that make runs."""
        self.stage.close()

    def _render(self, numbers: NDArray[np.int64]) -> "BoxedFrames":
        """Render this process's part of the batches with these numbers, over all epochs."""
        whole = range(numbers[0] * self.batch_size, (numbers[-1] + 1) * self.batch_size)
        shown = self.stage.show(self._positions(numbers).reshape(-1), whole)
        return with_boxes(shown, self.max_boxes)

    def _positions(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the frames of these batches stand in the sequence: (batches, rows)."""
        rows = np.arange(self.rows.start, self.rows.stop)
        return np.asarray(numbers[:, None] * self.batch_size + rows)

    def _batch(self, frames: "BoxedFrames", part: slice, number: int) -> Batch:
        return Batch(
            images=frames.images[part],
            boxes=frames.boxes[part],
            classes=self._class_of[frames.kinds[part]],
            num_boxes=frames.num_boxes[part],
            indices=self._positions(np.array([number]))[0],
            rows=self.rows,
            num_all=self.batch_size,
        )


@dataclass(frozen=True, eq=False)
class BoxedFrames:
    """N frames with at most M boxes each, on the renderer's device.

    `images` (N, H, W, 3) uint8 RGB; `boxes` (N, M, 4) float32 xyxy in 0..1, the first `num_boxes`
    (N,) int64 of each row; `kinds` (N, M) int64, the boxes' places in `polyps.KINDS`; `left_out`
    (N,) int64 boxes over the limit.
    """

    images: Tensor
    boxes: Tensor
    num_boxes: Tensor
    kinds: Tensor
    left_out: Tensor


def with_boxes(shown: Shown, max_boxes: int) -> BoxedFrames:
    """Frames with the boxes that `sim.labels` gives them; the CPU doesn't wait for any of it."""
    found = visible_boxes(shown.stats, max_boxes)
    height, width = shown.rgb.shape[1:3]
    boxes = found.px.float()
    boxes[..., 0::2] /= width
    boxes[..., 1::2] /= height
    kinds = shown.kinds.gather(1, found.polyps)
    return BoxedFrames(shown.rgb, boxes, found.number, kinds, found.left_out)


def place_of(class_names: Classes, kind: str) -> int:
    """The place of a polyp of a Paris kind among the classes: its own, or that of all polyps."""
    return class_names.index(kind if kind in class_names else DEFAULT_CLASS)


def simulated_classes(label_field: LabelField) -> Classes:
    """The classes of simulated polyps by a field of their labels, sorted by name."""
    return tuple(sorted(KINDS)) if label_field == "paris" else (DEFAULT_CLASS,)


def _log_shown(frames: int, with_box: int, left_out: int) -> None:
    share = 100 * with_box / max(frames, 1)
    log.info("simulated %s in this process, %.1f %% with boxes", counted(frames, "frame"), share)
    if frames and not with_box:
        log.warning(
            "no box in these frames: a detector that is shown no polyp learns to find none; look "
            "at polyps.count of the ranges, or make epochs longer"
        )
    if left_out:
        log.info("left out %s over --max-boxes", counted(left_out, "box"))
