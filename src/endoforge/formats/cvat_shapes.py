"""The shapes of CVAT's XML, and the boxes around them."""

import math
from xml.etree import ElementTree

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import Corners, is_class_name
from endoforge.captures.tally import Unusable
from endoforge.formats.outlines import Size

Element = ElementTree.Element

MOST_DIGITS = 10
"""Longer numbers than any frame, track or side has."""


def whole(text: str | None) -> int | None:
    """The number from 0 on that a text is; None for any other."""
    is_number = text is not None and text.isascii() and text.isdecimal()
    return int(text) if text is not None and is_number and len(text) < MOST_DIGITS else None


def size_of(element: Element) -> Size | None:
    """(width, height) of attributes or of elements within; None where they aren't said."""
    width, height = (
        whole(element.get(side) or element.findtext(side)) for side in ("width", "height")
    )
    return (width, height) if width and height else None


def class_of(label: str | None) -> str:
    name = (label or "").strip()
    if not name or not is_class_name(name):
        raise Unusable("a shape without a label that can name a class")
    return name


def corners_of(shape: Element) -> Corners:
    """The box around a shape, xyxy in pixels; raises Unusable if it has none."""
    if shape.tag == "box":
        corners = _turned(shape, *_numbers(shape, "xtl", "ytl", "xbr", "ybr"))
    elif shape.tag == "ellipse":
        corners = _around_ellipse(shape)
    elif shape.tag == "mask":
        left, top, width, height = _numbers(shape, "left", "top", "width", "height")
        corners = (left, top, left + width, top + height)
    elif shape.tag == "polygon":
        corners = _around_polygon(shape)
    else:
        raise Unusable("a shape that has no box", shape.tag)
    refuse_shares(corners)
    return corners


def _numbers(shape: Element, *names: str) -> list[float]:
    try:
        numbers = [float(shape.get(name) or "") for name in names]
    except ValueError as error:
        raise Unusable(f"a {shape.tag} without {' '.join(names)}") from error
    if not all(map(math.isfinite, numbers)):
        raise Unusable(f"a {shape.tag} with NaN or infinite numbers")
    return numbers


def _rotation(shape: Element) -> float:
    """Radians, clockwise in the picture."""
    return math.radians(_numbers(shape, "rotation")[0]) if shape.get("rotation") else 0.0


def _turned(shape: Element, x0: float, y0: float, x1: float, y1: float) -> Corners:
    """Around a box that is turned about its centre: half a side is the sum of two projections."""
    angle = _rotation(shape)
    if angle == 0:
        return x0, y0, x1, y1
    if x1 < x0 or y1 < y0:
        raise Unusable("a box with reversed corners")
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    half_x = (cos * (x1 - x0) + sin * (y1 - y0)) / 2
    half_y = (sin * (x1 - x0) + cos * (y1 - y0)) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def _around_ellipse(shape: Element) -> Corners:
    x, y, rx, ry = _numbers(shape, "cx", "cy", "rx", "ry")
    cos, sin = math.cos(_rotation(shape)), math.sin(_rotation(shape))
    half_x, half_y = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return x - half_x, y - half_y, x + half_x, y + half_y


def outline_of(shape: Element) -> list[list[float]] | None:
    """A polygon as COCO's `segmentation` has it; None of other shapes."""
    if shape.tag != "polygon":
        return None
    return [[number for point in _points(shape) for number in point]]


def _around_polygon(shape: Element) -> Corners:
    xs, ys = zip(*_points(shape), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _points(shape: Element) -> list[tuple[float, float]]:
    """Of `x,y;x,y;...`; raises Unusable for anything else."""
    pairs: list[tuple[float, float]] = []
    try:
        for point in (shape.get("points") or "").split(";"):
            x, y = map(float, point.split(","))
            pairs.append((x, y))
    except ValueError as error:
        raise Unusable("a polygon that isn't pairs of numbers") from error
    if not all(math.isfinite(number) for pair in pairs for number in pair):
        raise Unusable("a polygon with NaN or infinite numbers")
    return pairs
