"""Labels' boxes as they were written, checked and made boxes that can be used."""

import math
import struct
from collections.abc import Iterable

from endoforge.captures.schema import NO_NAME, Corners, PolypLabel
from endoforge.captures.tally import Tally, Unusable

HALF_PIXEL = 0.501
"""What pixels may differ by if they were rounded to whole ones, or the shares to six digits."""
ROUNDING = 0.01
"""How far over 1 a share of the picture may be."""
_AS_FLOAT32 = struct.Struct("4f")  # for four numbers far faster than an array


def normalised_corners(polyp: PolypLabel, size: tuple[int, int]) -> Corners | None:
    """The box in 0..1 as it was written; None if there is none.

    Where both fields are there and agree, that is `bbox_norm`, which isn't rounded; else the pixels
    of a picture of `size` (width, height) count. Raises Unusable for pixels that are none.
    """
    if polyp.bbox_px is None or (polyp.bbox_norm is not None and agree(polyp, size)):
        return polyp.bbox_norm
    refuse_shares(polyp.bbox_px)
    width, height = size
    x0, y0, x1, y1 = polyp.bbox_px
    return x0 / width, y0 / height, x1 / width, y1 / height


def agree(polyp: PolypLabel, size: tuple[int, int]) -> bool:
    """Whether both of a polyp's fields tell of one box, as far as rounding goes: half a pixel."""
    if polyp.bbox_px is None or polyp.bbox_norm is None:
        return True
    width, height = size
    x0, y0, x1, y1 = polyp.bbox_px
    left, top, right, bottom = polyp.bbox_norm
    return (  # spelt out: an index asks this of every box, three times
        abs(x0 - left * width) <= HALF_PIXEL
        and abs(y0 - top * height) <= HALF_PIXEL
        and abs(x1 - right * width) <= HALF_PIXEL
        and abs(y1 - bottom * height) <= HALF_PIXEL
    )


def note_disagreement(
    polyp: PolypLabel, number: int, size: tuple[int, int], tally: Tally, where: str
) -> None:
    """Tally the box `number` of the label at `where` if its two fields tell of two boxes."""
    if not agree(polyp, size):
        detail = f"box {number}: {_numbers(polyp.bbox_px)}, not {_numbers(polyp.bbox_norm)}"
        tally.drop("label: bbox_px and bbox_norm disagree (the pixels count)", where, detail)


def note_namelessness(polyps: Iterable[PolypLabel], tally: Tally, where: str) -> None:
    """Tally the label at `where` if a `polyp_id` in it is none, so that its polyp has no name."""
    if any(polyp.polyp_id == NO_NAME for polyp in polyps):
        tally.drop("label: a polyp_id that is no whole number from 1 on (names no polyp)", where)


def _numbers(corners: Corners | None) -> str:
    return " ".join(f"{value:.6g}" for value in corners or ())


def refuse_shares(corners: Corners) -> None:
    """Raises Unusable for corners that are all in 0..1 and not whole: nobody's box is a part of the
    first pixel, but some programs write shares of the picture where pixels are meant."""
    are_whole = all(corner.is_integer() for corner in corners)
    if not are_whole and all(0 <= corner <= 1 + ROUNDING for corner in corners):
        raise Unusable("a box in 0..1 where pixels are meant")


def usable_box(corners: Corners) -> Corners:
    """Clip a box, xyxy, to 0..1, as float32 has it; raises Unusable if no box is left."""
    if not all(map(math.isfinite, corners)):
        raise Unusable("a box with NaN or infinite corners")
    x0, y0, x1, y1 = corners
    if x1 < x0 or y1 < y0:
        raise Unusable("a box with reversed corners")
    # Rounded before it is judged: a box of some area in float64 may have none in float32.
    x0, y0, x1, y1 = _AS_FLOAT32.unpack(_AS_FLOAT32.pack(*(min(max(v, 0.0), 1.0) for v in corners)))
    if x0 >= x1 or y0 >= y1:
        raise Unusable("a box with no area within the picture")
    return x0, y0, x1, y1
