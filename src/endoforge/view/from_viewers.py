"""What viewers send over the live view's socket, a class a message.

They are JSON objects whose `type` is that of a class here, with its fields. `parse_message` takes
exactly those.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from endoforge.core.checks import MAX_SEED
from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json

Reader = Callable[[Any], Any]
"""Makes of a JSON value that of a field, or raises ValueError that says what it must be."""

Switchable = Literal[
    "autopilot",
    "camera",
    "data_run",
    "detector",
    "loop",
    "newest_first",
    "pause",
    "record",
    "reset_score",
    "truth",
]
Threshold = Literal["objectness", "iou"]
Whose = Literal["first", "second"]
"""Detectors that look at a frame."""

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""How many times as fast as the wall's a clock can go."""
MOST_FRAME = 2**53
"""JavaScript counts no further; at 60 Hz that takes millions of years."""
MOST_DRAG_PX = 4000.0
"""Of one message, which tells of a 60th of a second: more than a screen is wide."""


def _choice(among: tuple[Any, ...], value: Any) -> Any:
    # True equals 1, which is a speed; a list can be looked for in a tuple alone.
    if isinstance(value, bool) or value not in among:
        raise ValueError(f"must be one of {', '.join(f'{choice}' for choice in among)}")
    return value


def _number(value: Any) -> float:
    """A finite number; raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    # Compared before it is converted, for an integer of 400 digits is no float.
    if not abs(value) <= sys.float_info.max:
        raise ValueError("must be finite")
    return float(value)


def _within(most: float, value: Any) -> float:
    if not abs(number := _number(value)) <= most:
        raise ValueError(f"must be a number from {-most:g} to {most:g}")
    return number


def _axis(value: Any) -> float:
    """A number, cut to -1..1."""
    return max(-1.0, min(1.0, _number(value)))


def _frame(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_FRAME:
        raise ValueError("must be the number of a frame")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _seed(value: Any) -> int | None:
    """A seed may be a text, since JavaScript's numbers don't have 64 bits."""
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ValueError("must be a whole number from 0 to 2^64 - 1")
    return value


Axis = Annotated[float, _axis]
Pixels = Annotated[float, partial(_within, MOST_DRAG_PX)]


@dataclass(frozen=True)
class Ack:
    """The viewer has shown a frame, and can take another one."""

    type: ClassVar = "ack"
    frame: Annotated[int, _frame]


@dataclass(frozen=True)
class Switch:
    """A key or a button that needs no value: what is off goes on, or the next of two comes."""

    type: ClassVar = "switch"
    what: Annotated[Switchable, partial(_choice, get_args(Switchable))]


@dataclass(frozen=True)
class ThresholdStep:
    """A threshold of one of the detectors is to be higher or lower, by -1 to 1."""

    type: ClassVar = "threshold"
    which: Annotated[Threshold, partial(_choice, get_args(Threshold))]
    by: Annotated[float, partial(_within, 1.0)]
    of: Annotated[Whose, partial(_choice, get_args(Whose))] = "first"


@dataclass(frozen=True)
class SpeedStep:
    """The clock of what is shown is to go faster or slower, by so many of SPEEDS."""

    type: ClassVar = "speed"
    by: Annotated[int, partial(_choice, tuple(range(1 - len(SPEEDS), len(SPEEDS))))]


@dataclass(frozen=True)
class SeedChoice:
    """The colon of a base seed is to be flown; None: of the seed after the one that is shown.

    `at_s` is the moment of the flight to begin at, in seconds.
    """

    type: ClassVar = "seed"
    seed: Annotated[int | None, _seed]
    at_s: Annotated[float, _number] = 0.0


@dataclass(frozen=True)
class Steer:
    """What is asked of the camera, each -1 to 1: moves along its axes, and turns.

    `yaw` turns to the right, `pitch` upwards, `roll` clockwise as seen in the picture's depth.
    """

    type: ClassVar = "steer"
    forward: Axis = 0.0
    right: Axis = 0.0
    up: Axis = 0.0
    yaw: Axis = 0.0
    pitch: Axis = 0.0
    roll: Axis = 0.0

    def __bool__(self) -> bool:
        return any(asdict(self).values())


@dataclass(frozen=True)
class Drag:
    """The mouse was dragged over the picture, by so many pixels of the page right and down."""

    type: ClassVar = "drag"
    dx: Pixels
    dy: Pixels


@dataclass(frozen=True)
class Seek:
    """Another moment of the flight or the file is to be shown, in seconds from its beginning."""

    type: ClassVar = "seek"
    seconds: Annotated[float, _number]


@dataclass(frozen=True)
class SeekStep:
    """A moment so many seconds later is to be shown, or earlier; of several, each counts from the
    one before."""

    type: ClassVar = "seek_by"
    seconds: Annotated[float, _number]


@dataclass(frozen=True)
class FrameStep:
    """A file is to be paused, and the frame before (-1) or after (1) to be shown."""

    type: ClassVar = "step"
    by: Annotated[int, partial(_choice, (-1, 1))]


@dataclass(frozen=True)
class SourceChoice:
    """One of the sources that `--source` names is to be shown, by its place among them from 0."""

    type: ClassVar = "source"
    place: Annotated[int, _frame]


@dataclass(frozen=True)
class WeightsChoice:
    """The detector is to have other weights, by their name among the choices of the state."""

    type: ClassVar = "weights"
    name: Annotated[str, _text]


@dataclass(frozen=True)
class SecondChoice:
    """A second detector is to look on: its weights by name, or heuristic; None: none any longer."""

    type: ClassVar = "second"
    name: Annotated[str | None, _text_or_none]


ViewCommand = (
    Switch
    | ThresholdStep
    | SpeedStep
    | SeedChoice
    | Seek
    | SeekStep
    | FrameStep
    | SourceChoice
    | WeightsChoice
    | SecondChoice
)
FromViewer = Ack | ViewCommand | Steer | Drag
FROM_VIEWER: Mapping[str, type[FromViewer]] = {kind.type: kind for kind in get_args(FromViewer)}


def _readers(kind: type[FromViewer]) -> dict[str, Reader]:
    """The readers of the fields of a message, which stand at their types."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in fields(kind)}


READERS = {kind: _readers(kind) for kind in FROM_VIEWER.values()}


def parse_message(text: str) -> FromViewer:
    """The message that a viewer sent; raises UserError with a line for that viewer."""
    try:
        message = parse_json(text)
    except ValueError as error:
        raise UserError("a message that isn't JSON") from error
    if not isinstance(message, dict):
        raise UserError("a message that is no JSON object")
    name = message.pop("type", None)
    if not isinstance(name, str):
        raise UserError("a message without a type")
    if name not in FROM_VIEWER:
        raise UserError(f"no message of type {name[:40]!r}: there are {', '.join(FROM_VIEWER)}")
    return _built(FROM_VIEWER[name], message)


def _built(kind: type[FromViewer], values: dict[str, Any]) -> FromViewer:
    readers, built = READERS[kind], dict[str, Any]()
    for name, value in values.items():
        if name not in readers:
            raise UserError(f"{kind.type}: no field {name[:40]!r}: there are {', '.join(readers)}")
        try:
            built[name] = readers[name](value)
        except ValueError as error:
            raise UserError(f"{kind.type}: {name} {error}") from error
    for field in fields(kind):
        if field.name not in built and field.default is MISSING:
            raise UserError(f"{kind.type}: {field.name} is missing")
    return kind(**built)
