"""The lens: which way each pixel looks, and where a direction lands in the picture."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lens:
    """A wide-angle lens: an equidistant projection, r = focal_px * angle.

    This is OpenCV's fisheye model with all four coefficients 0. Camera axes are OpenCV's: x right,
    y down, z forward; the middle of the top left pixel is (0, 0).
    """

    width: int
    height: int
    diagonal_fov_deg: float = 140.0

    @property
    def focal_px(self) -> float:
        """Pixels per radian."""
        half_diagonal = 0.5 * math.hypot(self.width, self.height)
        return half_diagonal / math.radians(self.diagonal_fov_deg / 2)

    @property
    def principal_point(self) -> tuple[float, float]:
        """(x, y) in pixels where the optical axis meets the picture."""
        return (self.width - 1) / 2, (self.height - 1) / 2

    def rays(self, rows: int, columns: int) -> NDArray[np.float64]:
        """(rows, columns, 3) unit directions of the pixels from (0, 0), beyond the picture too."""
        cx, cy = self.principal_point
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
        u, v = (x - cx) / self.focal_px, (y - cy) / self.focal_px
        angle = np.hypot(u, v)
        sine = np.sinc(angle / np.pi)
        return np.stack([u * sine, v * sine, np.cos(angle)], axis=-1)

    def project(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) directions in camera axes to (..., 2) pixel positions."""
        x, y, z = np.moveaxis(directions, -1, 0)
        sine = np.hypot(x, y)
        scale = self.focal_px * np.arctan2(sine, z) / np.maximum(sine, 1e-12)
        cx, cy = self.principal_point
        return np.stack([cx + scale * x, cy + scale * y], axis=-1)

    def intrinsics(self) -> dict[str, object]:
        """As a label file keeps them."""
        cx, cy = self.principal_point
        focal = self.focal_px
        return {
            "model": "opencv_fisheye",
            "width": self.width,
            "height": self.height,
            "fx": focal,
            "fy": focal,
            "cx": cx,
            "cy": cy,
            "k": [0.0, 0.0, 0.0, 0.0],
        }
