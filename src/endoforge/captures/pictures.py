"""Pictures on disk to arrays and back."""

import os
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from endoforge.captures.tally import Unusable

# Boxes are of the pixels as stored, so a camera's note on how to turn the picture is ignored.
_DECODE = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
_ORIENTATION, _UPRIGHT = 0x0112, 1


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, without the alpha channel; raises Unusable if it can't be decoded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unusable("image unreadable", str(error)) from error
    return decode_picture(data)


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """As `read_picture`, from the bytes of a file."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), _DECODE)
    except cv2.error as error:
        raise Unusable("image unreadable", str(error)) from error
    if bgr is None:
        raise Unusable("image unreadable", "not a picture, or cut short")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) from the file's header; raises Unusable if it has none."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unusable("image unreadable", str(error)) from error


def encode_png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """The bytes of a PNG file, by OpenCV's default: its fastest level.

    `image` is (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 of one channel.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise ValueError(f"can't encode a picture of shape {image.shape} as PNG")
    return data.tobytes()


def is_whole(path: Path) -> bool:
    """Whether the file is there and ends as a PNG, or by its name a JPEG, file ends."""
    end = _PNG_END if path.suffix == ".png" else _JPEG_END
    try:
        with path.open("rb") as file:
            file.seek(-len(end), os.SEEK_END)
            return file.read() == end
    except OSError:
        return False


def suffix_of(data: bytes) -> str | None:
    """`.png` or `.jpg` by a file's first bytes; None for a kind that runs don't hold."""
    kinds = (suffix for magic, suffix in _SUFFIXES.items() if data.startswith(magic))
    return next(kinds, None)


def is_upright(data: bytes) -> bool:
    """Whether no EXIF note in a picture's file says to turn it before it is shown."""
    try:
        with Image.open(BytesIO(data)) as picture:
            return bool(picture.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return True
