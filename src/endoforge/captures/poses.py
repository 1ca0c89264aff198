"""Rotations of the camera as other tools write them."""

import numpy as np
from numpy.typing import NDArray


def quaternion_xyzw(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit quaternion (4,) x, y, z, w with w >= 0 of a (3, 3) rotation.

    Its outer product is a linear function of the rotation; the row with the largest entry on the
    diagonal gives it without loss of digits (Shepperd 1978, J. Guidance and Control 1:223).
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    outer = np.array(
        [
            [1 + a - e - i, b + d, c + g, h - f],
            [b + d, 1 - a + e - i, f + h, c - g],
            [c + g, f + h, 1 - a - e + i, d - b],
            [h - f, c - g, d - b, 1 + a + e + i],
        ]
    )
    row = outer[int(np.argmax(np.diag(outer)))]
    quaternion: NDArray[np.float64] = row / np.linalg.norm(row)
    return quaternion if quaternion[3] >= 0 else -quaternion
