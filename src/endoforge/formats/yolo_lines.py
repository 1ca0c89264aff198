"""YOLO's lines of numbers: boxes, boxes with more columns, and polygons."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from endoforge.captures.schema import Corners
from endoforge.captures.tally import Unusable

OVERSHOOT = 0.01
"""How far out of 0..1 a number may be by rounding, as Ultralytics has it."""

TRACKED = 6
"""Numbers of a line that a tracker wrote, with a confidence before the track."""

Values = tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """A line of a label file: its place, from 1 on, its class and the numbers after that."""

    place: int
    number: int
    values: Values


def read_lines(text: str) -> list[Line]:
    """The lines that aren't blank. Raises Unusable if one isn't numbers."""
    return [
        _read_line(place, line) for place, line in enumerate(text.splitlines(), 1) if line.strip()
    ]


def _read_line(place: int, line: str) -> Line:
    where = f"line {place}: {line.strip()[:60]}"
    try:
        first, *values = map(float, line.split())
    except ValueError as error:
        raise Unusable("a line of its label isn't numbers", where) from error
    if not first.is_integer():
        raise Unusable("a class in its label isn't a whole number", where)
    return Line(place, int(first), tuple(values))


class Columns:
    """What the columns of a data set's lines mean; a line alone may be read in two ways."""

    def __init__(self, lines: Iterable[Values]) -> None:
        self._counts: set[int] = set()
        self._more: set[int] = set()
        """Numbers of columns with which a line of this data set is plainly a box with more."""
        scores: list[float] = []
        for values in lines:
            self._counts.add(len(values))
            if len(values) == 5:
                scores.append(values[4])
            if _is_box_with_more(values) and not _is_polygon(values):
                self._more.add(len(values))
        self._are_scores = _in_picture(scores)
        self._are_tracks = not self._are_scores and all(map(_is_track, scores))

    @property
    def have_tracks(self) -> bool:
        """Whether lines say which object of a video they are of."""
        return self._are_tracks or TRACKED in self._more

    def track(self, line: Line) -> int | None:
        """The number of the object that a line is of; None if it doesn't say one.

        Five numbers that all end in 1 say a score, as those that end in 0..1 do.
        """
        values = line.values
        is_tracked = self._are_tracks if len(values) == 5 else self._is_tracked_box(values)
        return int(values[-1]) if is_tracked else None

    def _is_tracked_box(self, values: Values) -> bool:
        return TRACKED in self._more and _is_box_with_more(values) and _is_tracked(values)

    def corners(self, line: Line) -> Corners:
        """xyxy in 0..1; raises Unusable for a line whose meaning isn't plain."""
        try:
            return self._corners(line.values)
        except Unusable as unusable:
            shown = " ".join(f"{value:g}" for value in (line.number, *line.values))
            raise Unusable(unusable.reason, f"line {line.place}: {shown[:60]}") from unusable

    def _corners(self, values: Values) -> Corners:
        if self._is_box(values):
            if not _in_picture(values[:4]):
                raise Unusable("a box of its label isn't in 0..1")
            x, y, width, height = values[:4]
            return x - width / 2, y - height / 2, x + width / 2, y + height / 2
        if not _is_polygon(values):
            raise Unusable("a line of its label is neither `class x y width height` nor a polygon")
        if self._may_be_box(values):
            raise Unusable("a line of its label may be a box with more columns or a polygon")
        xs, ys = values[0::2], values[1::2]
        return min(xs), min(ys), max(xs), max(ys)

    def _is_box(self, values: Values) -> bool:
        if len(values) == 5:
            return self._are_scores or self._are_tracks
        return len(values) == 4 or (len(values) in self._more and _is_box_with_more(values))

    def _may_be_box(self, polygon: Values) -> bool:
        if len(polygon) in self._more:
            return True
        if len(polygon) > 6 or not _is_box_like(polygon) or not _is_inside(polygon):
            return False
        return bool(self._counts & {4, 5}) or _is_tracked(polygon)


def _in_picture(values: Sequence[float]) -> bool:
    return all(-OVERSHOOT <= value <= 1 + OVERSHOOT for value in values)


def _is_polygon(values: Values) -> bool:
    return len(values) >= 6 and len(values) % 2 == 0 and _in_picture(values)


def _is_box_like(values: Values) -> bool:
    """Whether the first four can be `x y width height`."""
    return _in_picture(values[:4]) and min(values[2:4]) > 0


def _is_inside(values: Values) -> bool:
    """Whether that box lies within the picture."""
    x, y, width, height = values[:4]
    return _in_picture((x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def _is_box_with_more(values: Values) -> bool:
    """Whether values can be a box and what a tracker, or key points, add to it."""
    return (
        len(values) > 5
        and _is_box_like(values)
        and (_is_tracked(values) or _has_key_points(values[4:]))
    )


def _is_tracked(values: Values) -> bool:
    """Whether six values end as `confidence track` may."""
    return len(values) == TRACKED and _in_picture(values[4:5]) and _is_track(values[5])


def _is_track(value: float) -> bool:
    """Whether a value can be the number of a track; trackers count from 1."""
    return value.is_integer() and value >= 1


def _has_key_points(points: Values) -> bool:
    """Whether the values are `x y visibility` of points."""
    return (
        len(points) % 3 == 0
        and _in_picture((*points[0::3], *points[1::3]))
        and set(points[2::3]) <= {0.0, 1.0, 2.0}
    )
