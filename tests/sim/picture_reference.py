"""The slow twin of `kernels.picture`'s recorder: one frame, whole arrays, float64."""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LUMA = np.array([0.299, 0.587, 0.114])
LONGEST_SHIFT_PX = 24.0


def moved(picture: Array, shift: Array) -> Array:
    """The picture (H, W, 3) as looked up `shift` (H, W, 2) px off, at most 24; its edges repeat."""
    length = np.maximum(np.linalg.norm(shift, axis=-1, keepdims=True), 1e-9)
    shift = shift * np.minimum(LONGEST_SHIFT_PX / length, 1.0)
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(
            picture,
            x + shift[..., 0].astype(np.float32),
            y + shift[..., 1].astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def recorded(rgb: Array, path: Array, rows: NDArray[np.float32]) -> Array:
    """RGB 0..255 (H, W, 3) as the recorder of `Recorder.table_rows` leaves it.

    `path` (H, W, 2) is the motion in px during the exposure.
    """
    ghosts, fields, before, share = rows[0].tolist()
    softness, step, smear, _ = rows[1].tolist()
    out = rgb.copy()
    if ghosts > 0:
        out[..., 0] = moved(rgb, ghosts * path)[..., 0]
        out[..., 2] = moved(rgb, -ghosts * path)[..., 2]
    if fields > 0:
        out[1::2] = moved(rgb, fields * path)[1::2]
    out = out + share * (moved(rgb, before * path) - out)
    luma = out @ LUMA
    chroma = out[..., [2, 0]] - luma[..., None]
    taps = np.zeros(4 * int(step) + 1)
    taps[:: int(step)] = np.array([1, 4, 6, 4, 1]) / 16

    def around(values: Array) -> Array:
        return np.asarray(
            cv2.sepFilter2D(values, -1, taps, taps, borderType=cv2.BORDER_REPLICATE), np.float64
        )

    luma = luma + softness * (around(luma) - luma)
    chroma = chroma + max(softness, 0.0) * (around(chroma) - chroma)
    if smear > 0:
        reach = smear * 0.04 * rgb.shape[0]
        columns = np.arange(rgb.shape[1])
        lefts = [int(reach * (k - 2) / 8 + 0.5) for k in range(9)]
        chroma = np.mean(
            [chroma[:, np.clip(columns - left, 0, rgb.shape[1] - 1)] for left in lefts], axis=0
        )
    luma = np.clip(luma, 0, 255)
    blue, red = luma + chroma[..., 0], luma + chroma[..., 1]
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return np.asarray(np.clip(np.stack([red, green, blue], axis=-1), 0, 255))
