"""Every frame of a loader through a detector, and the metrics of what it found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.backends.group import Group
from endoforge.data.augment import flip, seeded_generator
from endoforge.data.images import Images
from endoforge.data.loader import Batch, Loader
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import Metrics, measure

Predict = Callable[[torch.Tensor], list[Detections]]
"""(B, H, W, 3) uint8 RGB pictures to the detections of each."""

_Found = tuple[list[Detections], list[Truth], NDArray[np.bool_]]
"""Of the pictures of a batch: what was found, what is true, and which of them were mirrored."""


@dataclass(frozen=True)
class Validation:
    """What was found, beside what is true, in the order of the loader's pack; 0..1 of the input."""

    metrics: Metrics
    images: Images
    """(N, H, W, 3) RGB, the pack's: as they are on disk, before any was mirrored."""
    mirrored: NDArray[np.bool_]
    """(N,): which of them the detector saw mirrored, and their boxes with them."""
    detections: list[Detections]
    truths: list[Truth]
    class_names: tuple[str, ...]
    batches: int

    def picture(self, place: int) -> NDArray[np.uint8]:
        """A copy of the picture at `place` as the detector saw it, (H, W, 3) uint8 RGB."""
        seen = self.images[place][:, ::-1] if self.mirrored[place] else self.images[place]
        return np.array(seen)


def validate(
    predict: Predict,
    loader: Loader,
    *,
    obj_thresh: float,
    iou_threshs: Sequence[float],
    flip_probability: float = 0.0,
    seed: int = 0,
    group: Group | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Validation:
    """Ask `predict` about every frame of `loader`, and measure.

    With a `flip_probability`, so large a share of the frames is mirrored, the same ones each time
    for a `seed`. The processes of a `group` share the batches, none twice, and all get the result.
    `on_batch` is told the number of frames when batches are done, of all processes together, and
    equally often in each of them; what it raises ends the validation.
    """
    group = group or Group()
    asked = loader.batches(0, start=group.rank, stride=group.size)
    found: list[_Found] = []
    for first in range(0, len(loader), group.size):
        if (batch := next(asked, None)) is not None:
            mirrored = _drawn(len(batch.images), flip_probability, seed, first + group.rank)
            batch = _flipped(batch, mirrored) if flip_probability > 0 else batch
            found.append((predict(batch.images), _truths(batch), mirrored))
        on_batch(loader.num_frames(first, first + group.size))
    in_order = _deal_out(group.gather(found), len(loader))
    detections = [one for picked, _, _ in in_order for one in picked]
    truths = [one for _, true, _ in in_order for one in true]
    return Validation(
        metrics=measure(
            detections,
            truths,
            class_names=loader.pack.class_names,
            obj_thresh=obj_thresh,
            iou_threshs=iou_threshs,
        ),
        images=loader.pack.images,
        mirrored=np.concatenate([mirrored for _, _, mirrored in in_order]),
        detections=detections,
        truths=truths,
        class_names=loader.pack.class_names,
        batches=len(loader),
    )


def _truths(batch: Batch) -> list[Truth]:
    parts = (part.numpy() for part in (batch.boxes, batch.classes, batch.num_boxes))
    rows = zip(*parts, strict=True)
    return [Truth(boxes[:count], classes[:count]) for boxes, classes, count in rows]


def _deal_out(found: list[list[_Found]], count: int) -> list[_Found]:
    """What each process found, in the order of the batches, which they had taken in turns."""
    return [found[number % len(found)][number // len(found)] for number in range(count)]


def _drawn(count: int, probability: float, seed: int, number: int) -> NDArray[np.bool_]:
    """(count,): which pictures of batch `number` to mirror."""
    drawn = torch.rand(count, generator=seeded_generator(seed, number))
    return (drawn < probability).numpy()


def _flipped(batch: Batch, mirrored: NDArray[np.bool_]) -> Batch:
    images, boxes, classes, num_boxes = flip(
        batch.images.permute(0, 3, 1, 2),
        batch.boxes,
        batch.classes,
        batch.num_boxes,
        torch.from_numpy(mirrored),
    )
    return replace(
        batch,
        images=images.permute(0, 2, 3, 1).contiguous(),
        boxes=boxes,
        classes=classes,
        num_boxes=num_boxes,
    )
