"""What can be seen of each polyp: boxes and visibility from the pixels of the instance image.

The rule: a polyp gets a box if at least MIN_VISIBLE_PX of its pixels can be seen, whatever hides
the rest. Its box holds exactly those pixels. A polyp with fewer gets none, and its visibility
says so; one that wouldn't be in the picture even with nothing before it isn't mentioned.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.sim.camera import CameraState
from endoforge.sim.polyps import Polyp, polyp_shifts
from endoforge.sim.scene import Scene

MIN_VISIBLE_PX = 128
"""About 11 x 11: nobody marks smaller ones in real footage."""


@dataclass(frozen=True)
class PolypView:
    """A polyp as one picture shows it.

    `instance` is its value in the instance image; `box_px` is (x0, y0, x1, y1), right and bottom
    exclusive, or None. `visibility` is visible pixels over those that it would have with nothing
    in front of it, 0..1. `centre` (3,) mm is where peristalsis has carried it, `distance_mm` from
    there to the camera.
    """

    polyp: Polyp
    instance: int
    box_px: tuple[int, int, int, int] | None
    visibility: float
    centre: tuple[float, float, float]
    distance_mm: float


def polyp_views(scene: Scene, state: CameraState, stats: NDArray[np.int32]) -> Iterator[PolypView]:
    """Yield the polyps in one picture, by its (MAX_POLYPS, 6) counts (`RenderedFrames.stats`)."""
    shifts = polyp_shifts(scene.swells, state.time_s)
    counts = zip(scene.polyps, shifts, stats.tolist(), strict=False)
    for instance, (polyp, shift, (visible, unoccluded, *box)) in enumerate(counts, start=1):
        if visible == 0 and unoccluded == 0:
            continue
        x0, y0, x1, y1 = box
        x, y, z = np.add(polyp.centre, shift).tolist()
        yield PolypView(
            polyp=polyp,
            instance=instance,
            box_px=(x0, y0, x1, y1) if visible >= MIN_VISIBLE_PX else None,
            visibility=min(1.0, visible / max(unoccluded, 1)),
            centre=(x, y, z),
            distance_mm=float(np.linalg.norm(np.subtract((x, y, z), state.pose.position))),
        )


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of B pictures, up to M each, in the order of the scene's polyps.

    `px` (B, M, 4) int32 as in `PolypView.box_px`, and `polyps` (B, M) int64 their polyps' places in
    the scene; `number` (B,) int64 of each row count, the rest are zeros. `left_out` (B,) int64 says
    how many more there would be without the limit.
    """

    px: Tensor
    polyps: Tensor
    number: Tensor
    left_out: Tensor


def visible_boxes(stats: Tensor, max_boxes: int) -> Boxes:
    """The boxes of `RenderedFrames.stats` (B, MAX_POLYPS, 6), on their device, unread by the CPU.

    Of more than `max_boxes` the largest are kept. M is `max_boxes`, or MAX_POLYPS if that is less.
    """
    visible, corners = stats[..., 0], stats[..., 2:]
    there = visible >= MIN_VISIBLE_PX
    areas = (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])
    by_size = torch.where(there, areas, -1).argsort(dim=1, descending=True, stable=True)
    kept = there & (by_size.argsort(dim=1) < max_boxes)
    first = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, :max_boxes]
    px = (corners * kept[..., None]).gather(1, first[..., None].expand(-1, -1, 4))
    number = kept.sum(1)
    return Boxes(px, first * kept.gather(1, first), number, there.sum(1) - number)
