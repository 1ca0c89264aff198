"""A frame's pictures of more truth, as writers of other formats need them: there and fitting."""

from typing import Any

import cv2
from numpy.typing import NDArray

from endoforge.captures.pictures import decode_pixels, read_bytes
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.schema import extra_name
from endoforge.captures.tally import Unusable


def no_picture(kind: str) -> str:
    """Why a frame of a run that was recorded without this `kind` of picture can't be used."""
    return f"no {kind} image (record its run with --save {kind})"


def extra_pixels(frame: FrameRecord, kind: str, size: tuple[int, int]) -> NDArray[Any]:
    """(H, W): the pixels of a frame's `instance` or `depth` image, as they are stored.

    `size` is the frame's (width, height). Raises Unusable if there is no such image, if it can't be
    read, and if it is of another size or has several channels.
    """
    path = frame.run_path / extra_name(kind, frame.frame_id)
    if not path.is_file():
        raise Unusable(no_picture(kind))
    try:
        pixels = decode_pixels(read_bytes(path), cv2.IMREAD_UNCHANGED)
    except Unusable as unusable:
        raise Unusable(f"{kind} image unreadable", unusable.detail) from unusable
    if pixels.ndim != 2 or pixels.shape[::-1] != size:
        raise Unusable(f"its {kind} image is of another size or kind")
    return pixels
