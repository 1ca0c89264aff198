"""JSON of other tools: numbers that are some, and what is wrong where it isn't as it should be."""

from typing import Annotated

from pydantic import Field, FiniteFloat, ValidationError

from endoforge.captures.schema import MOST_SIDE, Corners
from endoforge.core.text import printable

Point = tuple[FiniteFloat, FiniteFloat]
Side = Annotated[int, Field(ge=-MOST_SIDE, le=MOST_SIDE)]


def fault_of(error: ValidationError) -> str:
    """Where the first fault is, and what, in a line."""
    fault = error.errors(include_input=False, include_url=False)[0]
    return printable(" ".join([".".join(map(str, fault["loc"])), fault["msg"]]).strip())


def around_points(points: list[Point]) -> Corners:
    """The box around some points, xyxy."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
