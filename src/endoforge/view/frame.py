"""One picture of the live world, with all that is known of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState
from endoforge.sim.labels import MIN_VISIBLE_PX, PolypView, polyp_views
from endoforge.view.world import Colon


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A rendered frame, the camera that it was made with, and the colon that it shows.

    `rgb` is (H, W, 3) uint8; `stats` (polyps, 6) int32 as the renderer gives them; `number` counts
    the frames that were asked for, from 1.
    """

    number: int
    rgb: NDArray[np.uint8]
    stats: NDArray[np.int32]
    state: CameraState
    colon: Colon

    @cached_property
    def views(self) -> tuple[PolypView, ...]:
        """The polyps in the picture, as labels have them.

        Of a frame that isn't recorded nobody has counted what is hidden: polyps that can't be seen
        are lacking, and the visibility of the others is 1.
        """
        return tuple(polyp_views(self.colon.run.scene, self.state, self.stats))

    @property
    def seen(self) -> list[PolypView]:
        """The polyps with a box, which a detector is to find."""
        return [view for view in self.views if view.box_px is not None]

    def boxes(self) -> NDArray[np.float32]:
        """The boxes of `seen`, (N, 4) float32 xyxy in 0..1."""
        return self._in_picture(np.array([view.box_px for view in self.seen], np.float32))

    def unboxed(self) -> NDArray[np.float32]:
        """Where polyps are that show too few pixels to be seen, (N, 4) float32 xyxy in 0..1."""
        visible = self.stats[:, 0]
        return self._in_picture(self.stats[(visible > 0) & (visible < MIN_VISIBLE_PX), 2:])

    def _in_picture(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        height, width = self.rgb.shape[:2]
        scale = np.array([width, height, width, height], np.float32)
        return np.asarray(boxes.reshape(-1, 4) / scale, np.float32)
