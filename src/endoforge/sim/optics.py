"""The lens: which way each pixel looks, and where a direction lands in the picture."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TILE = 8
"""Pixels a side of the tiles that the kernels march first; grids of rays are padded to them."""
FAR_MM = 280.0
"""Distance at which rays end: nothing is lit farther away."""


@dataclass(frozen=True)
class Lens:
    """A wide-angle lens: r = focal_px * (angle + k1 * angle^3), OpenCV's fisheye model.

    (Kannala and Brandt 2006; the coefficients after k1 are 0.) Camera axes are OpenCV's: x right,
    y down, z forward; the middle of the top left pixel is (0, 0). `window` is the part of the
    frame that the picture fills, (x0, y0, x1, y1), right and bottom exclusive; None: all of it.
    `diagonal_fov_deg` is across the window's diagonal. `stretch` is how much too wide the picture
    is shown; the other side is never squeezed, so that nothing beyond the field of view is seen.
    """

    width: int
    height: int
    diagonal_fov_deg: float = 140.0
    k1: float = 0.0
    window: tuple[int, int, int, int] | None = None
    stretch: float = 1.0

    @property
    def picture(self) -> tuple[int, int, int, int]:
        """The rectangle that the picture fills: the window, or the whole frame."""
        return self.window or (0, 0, self.width, self.height)

    @property
    def focal_px(self) -> float:
        """Focal length in pixels: pixels per radian in the middle of the picture."""
        x0, y0, x1, y1 = self.picture
        angle = math.radians(self.diagonal_fov_deg / 2)
        return 0.5 * math.hypot(x1 - x0, y1 - y0) / (angle + self.k1 * angle**3)

    @property
    def focal_across_px(self) -> float:
        """Focal length along rows: longer where the picture is shown too wide."""
        return self.focal_px * max(self.stretch, 1.0)

    @property
    def focal_down_px(self) -> float:
        """Focal length along columns: longer where the picture is shown too narrow."""
        return self.focal_px * max(1 / self.stretch, 1.0)

    @property
    def principal_point(self) -> tuple[float, float]:
        """The pixel position (x, y) where the optical axis meets the picture."""
        x0, y0, x1, y1 = self.picture
        return (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2

    def rays(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Unit directions (rows, columns, 3) of pixels from (0, 0), beyond the picture too."""
        cx, cy = self.principal_point
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
        u, v = (x - cx) / self.focal_across_px, (y - cy) / self.focal_down_px
        radius = np.hypot(u, v)
        angle = self._angle(radius)
        scale = np.sin(angle) / np.maximum(radius, 1e-12)
        return np.stack([u * scale, v * scale, np.cos(angle)], axis=-1)

    def project(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project directions (..., 3) in camera axes to pixel positions (..., 2)."""
        x, y, z = np.moveaxis(directions, -1, 0)
        sine = np.hypot(x, y)
        angle = np.arctan2(sine, z)
        scale = self.focal_px * (angle + self.k1 * angle**3) / np.maximum(sine, 1e-12)
        cx, cy = self.principal_point
        across, down = max(self.stretch, 1.0), max(1 / self.stretch, 1.0)
        return np.stack([cx + across * scale * x, cy + down * scale * y], axis=-1)

    def _angle(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        """Angles off the axis whose distorted size is `radius`, by Newton's method.

        Beyond the frame's corners the model may turn back on itself; there the angle stops at pi.
        """
        angle = radius.copy()
        for _ in range(4):
            bend = self.k1 * angle * angle
            angle -= (angle + bend * angle - radius) / np.maximum(1 + 3 * bend, 0.2)
        return np.clip(angle, 0.0, np.pi)

    def intrinsics(self) -> dict[str, object]:
        """The intrinsics as a label file keeps them, in OpenCV's terms."""
        cx, cy = self.principal_point
        return {
            "model": "opencv_fisheye",
            "width": self.width,
            "height": self.height,
            "fx": self.focal_across_px,
            "fy": self.focal_down_px,
            "cx": cx,
            "cy": cy,
            "k": [self.k1, 0.0, 0.0, 0.0],
        }


def ray_table(lens: Lens) -> tuple[NDArray[np.float32], float]:
    """Make what the kernels read of a lens: (N, 4) float32 directions, and the widest tile.

    The directions are those of a grid that is padded to whole tiles and one more row and column,
    row-major, their fourth column 0. The widest tile's is the tangent of the largest angle between
    a tile's middle ray and those of its corners.
    """
    rows, columns = (-(-side // TILE) for side in (lens.height, lens.width))
    grid = lens.rays(rows * TILE + 1, columns * TILE + 1)
    middle = grid[TILE // 2 :: TILE, TILE // 2 :: TILE]
    corners = [grid[y::TILE, x::TILE][:rows, :columns] for y in (0, TILE) for x in (0, TILE)]
    cosine = min(float((middle * corner).sum(-1).min()) for corner in corners)
    table = np.zeros((grid.shape[0] * grid.shape[1], 4), np.float32)
    table[:, :3] = grid.reshape(-1, 3)
    return table, 1.02 * math.tan(math.acos(cosine))
