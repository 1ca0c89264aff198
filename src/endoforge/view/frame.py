"""One picture of the live world, with all that is known of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState
from endoforge.sim.labels import PolypView, polyp_views
from endoforge.view.world import Colon


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """`rgb` (H, W, 3) uint8; `stats` as of the renderer; `number` counts the frames shown."""

    number: int
    rgb: NDArray[np.uint8]
    stats: NDArray[np.int32]
    state: CameraState
    colon: Colon

    @cached_property
    def views(self) -> tuple[PolypView, ...]:
        """The polyps in the picture, as labels have them; unless the frame was recorded, without
        those that can't be seen, and all of what can be seen counts as all there is."""
        return tuple(polyp_views(self.colon.run.scene, self.state, self.stats))

    @property
    def seen(self) -> list[PolypView]:
        """Those with a box: what a detector is to find."""
        return [view for view in self.views if view.box_px is not None]

    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) float32 xyxy in 0..1 of `seen`."""
        height, width = self.rgb.shape[:2]
        boxes = np.array([view.box_px for view in self.seen], np.float32).reshape(-1, 4)
        return np.asarray(boxes / np.array([width, height, width, height], np.float32), np.float32)
