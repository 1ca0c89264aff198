"""Batches straight from the simulator, and a fixed set to validate on."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.captures.index import FrameRecord
from endoforge.captures.schema import DEFAULT_CLASS, LabelField
from endoforge.captures.tally import Tally
from endoforge.core.progress import progress
from endoforge.data.classes import Classes
from endoforge.data.images import Images
from endoforge.data.loader import Batch, Shard
from endoforge.data.pack import Pack, largest_boxes
from endoforge.sim.bakery import Recipe
from endoforge.sim.engine import Engine
from endoforge.sim.labels import visible_boxes
from endoforge.sim.polyps import KINDS
from endoforge.sim.randomization import Randomization
from endoforge.sim.renderer import Renderer
from endoforge.sim.simulator import FrameTruth, bake, default_batch_size, render_runs
from endoforge.sim.stage import FootageStage, Shown
from endoforge.sim.streams import validation_seed

log = logging.getLogger(__name__)

VALIDATION_RUNS, VALIDATION_FRAMES = 12, 50
"""Runs to validate on, and frames of each, spread evenly over all of its captures."""


class SimulatedLoader:
    """Batches that are rendered when they are asked for: the face of `data.loader.Loader`.

    An epoch is `len(self)` batches of `batch_size`; frame by frame, the epochs follow each other in
    a sequence that never repeats and that only the recipe decides. Of each batch it gives the part
    that is `shard`. Runs are made ahead by `workers` processes. Close it in the end.
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
    ) -> None:
        self.batch_size = batch_size
        self.batches_an_epoch = batches_an_epoch
        self.max_boxes = max_boxes
        self._class_of = torch.tensor(
            [place_of(class_names, kind) for kind in KINDS], device=engine.device
        )
        self.rows = (shard or Shard()).of(batch_size)
        self.rows_each: int = self.rows.stop - self.rows.start
        self.stage = FootageStage(engine, recipe, runs_at_once, workers=workers)

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.batches_an_epoch

    def batches(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """The batches of `epoch` with the numbers `start`, `start + stride` and so on.

        They are the same whatever was asked before. Some are rendered at once, where that is
        faster. In the end it tells how many frames showed a polyp.
        """
        first = epoch * len(self)
        numbers = np.arange(first + start, first + len(self), stride)
        at_once = max(1, self.stage.renderer.batch_size // max(1, self.rows_each))
        with_box = left_out = torch.zeros((), dtype=torch.int64, device=self.stage.engine.device)
        for some in np.split(numbers, range(at_once, len(numbers), at_once)):
            frames = self._render(some)
            with_box = with_box + (frames.num_boxes > 0).sum()
            left_out = left_out + frames.left_out.sum()
            for place, number in enumerate(some.tolist()):
                part = slice(place * self.rows_each, (place + 1) * self.rows_each)
                yield self._batch(frames, part, number)
        _log_shown(len(numbers) * self.rows_each, int(with_box), int(left_out))

    def num_frames(self, first: int, end: int) -> int:
        """Frames in the batches from number `first` up to `end`."""
        return (end - first) * self.batch_size

    def close(self) -> None:
        """End the processes that make runs."""
        self.stage.close()

    def _render(self, numbers: NDArray[np.int64]) -> "LabelledFrames":
        """This process's part of the batches with these numbers, counted over all epochs."""
        return label(self.stage.show(self._positions(numbers).reshape(-1)), self.max_boxes)

    def _positions(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(batches, rows): places in the sequence."""
        rows = np.arange(self.rows.start, self.rows.stop)
        return np.asarray(numbers[:, None] * self.batch_size + rows)

    def _batch(self, frames: "LabelledFrames", part: slice, number: int) -> Batch:
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
class LabelledFrames:
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


def label(shown: Shown, max_boxes: int) -> LabelledFrames:
    """Frames with the boxes that `sim.labels` gives them; the CPU doesn't wait for any of it."""
    found = visible_boxes(shown.stats, max_boxes)
    height, width = shown.rgb.shape[1:3]
    boxes = found.px.float()
    boxes[..., 0::2] /= width
    boxes[..., 1::2] /= height
    kinds = shown.kinds.gather(1, found.polyps)
    return LabelledFrames(shown.rgb, boxes, found.number, kinds, found.left_out)


def place_of(class_names: Classes, kind: str) -> int:
    """The place of a polyp of a Paris kind among the classes: its own, or that of all polyps."""
    return class_names.index(kind if kind in class_names else DEFAULT_CLASS)


def simulated_classes(label_field: LabelField) -> Classes:
    """The classes of simulated polyps by a field of their labels, sorted by name."""
    return tuple(sorted(KINDS)) if label_field == "paris" else (DEFAULT_CLASS,)


def validation_pack(
    engine: Engine,
    randomization: Randomization,
    size: tuple[int, int],
    max_boxes: int,
    class_names: Classes,
) -> Pack:
    """VALIDATION_FRAMES frames of each of VALIDATION_RUNS runs that no training learns from.

    As `datagen --max-frames` would record them: of a whole procedure, with and without polyps. The
    same for all trainings with the same ranges; `size` is (width, height).
    """
    renderer = Renderer(*size, engine, default_batch_size(engine))
    tally = Tally(strict=False)
    images: list[NDArray[np.uint8]] = []
    boxes: list[NDArray[np.float32]] = []
    classes: list[NDArray[np.int64]] = []
    frames: list[FrameRecord] = []
    runs = (
        bake(validation_seed(run), randomization, size, VALIDATION_FRAMES)
        for run in range(VALIDATION_RUNS)
    )
    total = VALIDATION_RUNS * VALIDATION_FRAMES
    log.info("rendering the fixed %d frames to validate on", total)
    with progress("rendering validation frames", total, "frames") as advance:
        for batch in render_runs(renderer, runs):
            images.append(batch.rgb.cpu().clone().numpy())  # the renderer's own comes anew
            for truth in batch.labels:
                record = _record(truth, randomization, size, class_names)
                rows = largest_boxes(record.boxes, max_boxes, record.key, tally)
                places = np.array([class_names.index(name) for name in record.classes], np.int64)
                boxes.append(record.boxes[rows])
                classes.append(places[rows])
                frames.append(record)
            advance(len(batch))
    block = np.concatenate(images)
    pixels = Images([block], np.zeros(len(block), np.int64), np.arange(len(block)))
    return Pack(pixels, boxes, classes, class_names, frames, tally)


def _record(
    truth: FrameTruth, randomization: Randomization, size: tuple[int, int], class_names: Classes
) -> FrameRecord:
    """As if it had been recorded; the digest is of all that the frame follows from."""
    run = f"simulated_{truth.run.seed}"
    made_of = f"{run} {truth.frame_id} {size} {randomization}"
    return FrameRecord(
        run=run,
        run_path=Path(run),
        frame_id=truth.frame_id,
        label=f"labels/frame_{truth.frame_id:05d}.json",
        image=f"images/frame_{truth.frame_id:05d}.png",
        digest=hashlib.sha256(made_of.encode()).digest()[:16],
        image_bytes=0,
        classes=tuple(class_names[place_of(class_names, kind)] for kind in truth.kinds),
        boxes=np.asarray(truth.boxes / np.array([*size, *size]), np.float32),
    )


def _log_shown(frames: int, with_box: int, left_out: int) -> None:
    share = 100 * with_box / max(frames, 1)
    log.info("simulated %s frames in this process, %.1f %% with boxes", f"{frames:,}", share)
    if left_out:
        log.info("left out %s boxes over --max-boxes", f"{left_out:,}")
