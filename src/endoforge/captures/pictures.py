"""Pictures on disk to arrays and back."""

import os
import struct
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from endoforge.captures.tally import Unusable
from endoforge.core.reading import MOST_PICTURE_BYTES, open_regular, read_regular

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
"""Endings of the files that `read_picture` reads."""
MOST_PIXELS = 2**27
"""Pictures of more are left out by every command: decoded, this many take 400 MB."""

_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG_TIFFS = _TIFFS[2:]
_HEADERS: dict[bytes, type[ImageFile]] = {
    b"\x89PNG": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"RIFF": WebPImageFile,
    **dict.fromkeys(_TIFFS, TiffImageFile),
}
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_UPRIGHT, _LONG = 1, 4


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, without the alpha channel; raises Unusable if it can't be decoded.

    Pixels are as stored, whatever a note in the file says on how to turn them: boxes are of these.
    """
    return decode_picture(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """A picture's file; raises Unusable if it can't be read."""
    try:
        return read_regular(path, MOST_PICTURE_BYTES)
    except (OSError, MemoryError) as error:
        raise Unusable("image unreadable", str(error) or "not enough memory") from error


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of a picture's file to (H, W, 3) uint8 RGB, as `read_picture` does.

    Raises Unusable if that can't be done.
    """
    bgr = decode_pixels(data, cv2.IMREAD_COLOR)
    try:
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    except cv2.error as error:
        raise Unusable("image unreadable", _in_words(data, error)) from error


def decode_pixels(data: bytes, flags: int) -> NDArray[Any]:
    """Decode a file's bytes to the pixels as stored, of the kind that OpenCV's `flags` ask for.

    Raises Unusable for what isn't a picture, is cut short, or is larger than MOST_PIXELS.
    """
    # Asked before OpenCV decodes: a file of some kilobytes may claim any size, and would get it.
    header = open_header(BytesIO(data))
    if header is not None:
        _refuse_large(_stored_size(header))
    stored = _noted_upright(data) if data.startswith(_TIFFS) else data
    try:
        pixels = cv2.imdecode(
            np.frombuffer(stored, dtype=np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except (cv2.error, MemoryError) as error:
        raise Unusable("image unreadable", _in_words(data, error)) from error
    if pixels is None:
        raise Unusable("image unreadable", "not a picture, or cut short")
    _refuse_large((pixels.shape[1], pixels.shape[0]))
    return np.asarray(pixels)


def _in_words(data: bytes, error: cv2.error | MemoryError) -> str:
    if not data:
        return "an empty file"
    if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
        return "not enough memory"
    return str(error.err)


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of the pixels as stored; raises Unusable if the file isn't a picture."""
    try:
        with open_regular(path) as file:
            header = open_header(file)
            size = None if header is None else _stored_size(header)
    except OSError as error:
        raise Unusable("image unreadable", str(error)) from error
    if size is None:
        height, width, _ = read_picture(path).shape
        return width, height
    _refuse_large(size)
    return size


def open_header(file: IO[bytes]) -> ImageFile | None:
    """What Pillow knows of a file before it decodes it; None if it can't tell.

    Not by `Image.open`, which warns of pictures within our limit, and has another of its own.
    """
    magic = file.read(4)
    file.seek(0)
    for start, kind in _HEADERS.items():
        if magic.startswith(start):
            try:
                return kind(file)
            except (OSError, ValueError, SyntaxError, MemoryError):
                return None
    return None


def _stored_size(header: ImageFile) -> tuple[int, int]:
    if isinstance(header, TiffImageFile):  # whose size is that of the turned picture
        return int(header.tag_v2[_WIDTH]), int(header.tag_v2[_HEIGHT])
    return header.size


def _refuse_large(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        limit = f"larger than {MOST_PIXELS // 10**6} million pixels"
        raise Unusable(limit, f"{size[0]}x{size[1]}")


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
        with open_regular(path) as file:
            file.seek(-len(end), os.SEEK_END)
            return file.read() == end
    except OSError:
        return False


def suffix_of(data: bytes) -> str | None:
    """`.png` or `.jpg` by a file's first bytes; None for a kind that runs don't hold."""
    kinds = (suffix for magic, suffix in _SUFFIXES.items() if data.startswith(magic))
    return next(kinds, None)


def is_upright(data: bytes) -> bool:
    """Whether no note in a picture's file (EXIF, XMP) says to turn it before it is shown."""
    if data.startswith(_TIFFS):
        note = _tiff_note(data)
        return note is None or note[0].unpack_from(data, note[1]) == (_UPRIGHT,)
    header = open_header(BytesIO(data))
    try:
        return header is None or header.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
    except (OSError, ValueError, SyntaxError):
        return True


def _noted_upright(data: bytes) -> bytes | bytearray:
    """A TIFF file that says it is upright: OpenCV turns others even if it is told not to."""
    note = _tiff_note(data)
    if note is None:
        return data
    number, place = note
    upright = bytearray(data)
    number.pack_into(upright, place, _UPRIGHT)
    return upright


def _tiff_note(data: bytes) -> tuple[struct.Struct, int] | None:
    """Kind and place of the number that says how to turn a TIFF file's first picture, if any does.

    The file's header leads to a list of entries: tag, type, count and value (TIFF 6.0, section 2).
    """
    order = "<" if data.startswith(b"II") else ">"
    if data.startswith(_BIG_TIFFS):
        start, offset, count, size, value = 8, "Q", "Q", 20, 12
    else:
        start, offset, count, size, value = 4, "I", "H", 12, 8
    try:
        (entries,) = struct.unpack_from(order + offset, data, start)
        (num_entries,) = struct.unpack_from(order + count, data, entries)
        first = entries + struct.calcsize(count)
        for entry in range(first, first + num_entries * size, size):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            if tag == _ORIENTATION:
                number = struct.Struct(order + ("I" if kind == _LONG else "H"))
                number.unpack_from(data, entry + value)
                return number, entry + value
    except struct.error:
        return None  # cut short: decoding says so
    return None
