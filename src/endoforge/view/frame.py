"""One picture of the live view, with all that is known of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState
from endoforge.sim.labels import MIN_VISIBLE_PX, PolypView, polyp_views
from endoforge.view.world import Colon

STILL_S = 0.1
"""While its clock stands still, a frame is at most so long after the one before."""
NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass(frozen=True, eq=False)
class LiveFrame(ABC):
    """A picture, wherever it is from: `rgb` is (H, W, 3) uint8; `number` counts from 1.

    Of itself it has no truth: nothing is known of what is in it.
    """

    number: int
    rgb: NDArray[np.uint8]

    @property
    @abstractmethod
    def seconds(self) -> float:
        """Its time, by the clock of what it is a part of."""

    @property
    @abstractmethod
    def part(self) -> object:
        """What it is a part of; a frame of another part doesn't follow from it."""

    @property
    def has_truth(self) -> bool:
        """Whether all polyps in it are known."""
        return False

    @property
    def seen(self) -> list[PolypView]:
        """The polyps with a box, which a detector is to find."""
        return []

    def boxes(self) -> NDArray[np.float32]:
        """The boxes of `seen`, (N, 4) float32 xyxy in 0..1."""
        return NO_BOXES

    def unboxed(self) -> NDArray[np.float32]:
        """Where polyps are that show too few pixels to be seen, (N, 4) float32 xyxy in 0..1."""
        return NO_BOXES

    def mm_from(self, before: "LiveFrame") -> float:
        """How far the camera has moved since another frame of the same part, as far as is known."""
        del before
        return 0.0


def clock_step(before: LiveFrame, frame: LiveFrame, *, most_s: float, wall_s: float) -> float:
    """Seconds from a frame to the next one, by the clock of what they are a part of.

    Where that stands still, goes back, or leaps by more than `most_s`, it is STILL_S, or `wall_s`,
    what the viewers' own clock says, if that is less.
    """
    step = frame.seconds - before.seconds
    return step if 0 < step <= most_s else min(wall_s, STILL_S)


@dataclass(frozen=True, eq=False)
class PlainFrame(LiveFrame):
    """A frame of a file, a camera or a stream; after each leap, `stretch` is another object."""

    time_s: float
    stretch: object

    @property
    def seconds(self) -> float:
        return self.time_s

    @property
    def part(self) -> object:
        return self.stretch


@dataclass(frozen=True, eq=False)
class WorldFrame(LiveFrame):
    """A rendered frame, the camera that it was made with, and the colon that it shows.

    `stats` are (polyps, 6) int32 as the renderer gives them.
    """

    stats: NDArray[np.int32]
    state: CameraState
    colon: Colon

    @property
    def seconds(self) -> float:
        return self.state.time_s

    @property
    def part(self) -> object:
        return self.colon

    @property
    def has_truth(self) -> bool:
        return True

    @cached_property
    def views(self) -> tuple[PolypView, ...]:
        """The polyps in the picture, as labels have them.

        Of a frame that isn't recorded nobody has counted what is hidden: polyps that can't be seen
        are lacking, and the visibility of the others is 1.
        """
        return tuple(polyp_views(self.colon.run.scene, self.state, self.stats))

    @property
    def seen(self) -> list[PolypView]:
        return [view for view in self.views if view.box_px is not None]

    def boxes(self) -> NDArray[np.float32]:
        return self._in_picture(np.array([view.box_px for view in self.seen], np.float32))

    def unboxed(self) -> NDArray[np.float32]:
        visible = self.stats[:, 0]
        return self._in_picture(self.stats[(visible > 0) & (visible < MIN_VISIBLE_PX), 2:])

    def mm_from(self, before: LiveFrame) -> float:
        assert isinstance(before, WorldFrame)
        way = np.subtract(self.state.pose.position, before.state.pose.position)
        return float(np.linalg.norm(way))

    def _in_picture(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        height, width = self.rgb.shape[:2]
        scale = np.array([width, height, width, height], np.float32)
        return np.asarray(boxes.reshape(-1, 4) / scale, np.float32)
