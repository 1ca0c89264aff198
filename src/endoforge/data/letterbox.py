"""Pictures of any size into inputs of one size, and boxes there and back."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.core.choices import ResizeMode


@dataclass(frozen=True)
class Placement:
    """The rectangle of an input that shows the picture, in pixels; around it the input is black.

    `input_size` is (width, height). Boxes are (N, 4) float32 xyxy in 0..1, of the picture or of
    the whole input.
    """

    left: int
    top: int
    width: int
    height: int
    input_size: tuple[int, int]

    def to_input(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of the picture as boxes of the input."""
        scale, offset = self._scale_and_offset
        return (boxes * scale + offset).astype(np.float32)

    def to_picture(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of the input as boxes of the picture, clipped to it."""
        scale, offset = self._scale_and_offset
        return np.clip((boxes - offset) / scale, 0.0, 1.0).astype(np.float32)

    @cached_property
    def _scale_and_offset(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        size = np.array(self.input_size * 2, dtype=np.float64)
        scale = np.array([self.width, self.height] * 2) / size
        offset = np.array([self.left, self.top] * 2) / size
        return scale, offset


def letterbox(size_from: tuple[int, int], size_to: tuple[int, int]) -> Placement:
    """The largest centred rectangle of `size_to` with the aspect of `size_from` (width, height)."""
    scale = min(size_to[0] / size_from[0], size_to[1] / size_from[1])
    width = min(max(1, round(size_from[0] * scale)), size_to[0])
    height = min(max(1, round(size_from[1] * scale)), size_to[1])
    return Placement((size_to[0] - width) // 2, (size_to[1] - height) // 2, width, height, size_to)


@lru_cache(maxsize=256)  # pictures of a data set are of few sizes
def placement_of(
    size_from: tuple[int, int], size_to: tuple[int, int], mode: ResizeMode
) -> Placement:
    """Where a picture of `size_from` lies in an input of `size_to`, (width, height) both."""
    if mode == "force":
        return Placement(0, 0, *size_to, size_to)
    return letterbox(size_from, size_to)


def resize_picture(
    image: NDArray[np.uint8], size: tuple[int, int], mode: ResizeMode
) -> tuple[NDArray[np.uint8], Placement]:
    """(H, W, 3) uint8 to (height, width, 3) for `size` = (width, height), and where it lies.

    "letterbox" keeps the aspect and pads with black, as endoscope pictures are; "force" stretches.
    """
    place = placement_of((image.shape[1], image.shape[0]), size, mode)
    resized = _resize(image, (place.width, place.height))
    if (place.width, place.height) == size:
        return resized, place
    padded = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    padded[place.top : place.top + place.height, place.left : place.left + place.width] = resized
    return padded, place


def _resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = size[0] <= image.shape[1] and size[1] <= image.shape[0]
    # Averaging areas doesn't alias when shrinking, but makes blocks when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
