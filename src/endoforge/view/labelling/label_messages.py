"""What the label tab asks for and gets, a class each, as JSON over HTTP.

Boxes are in pixels of the picture as stored, right and bottom edges exclusive, as in labels.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoforge.captures.schema import PolypLabel, Source
from endoforge.core.errors import UserError

MOST_BOXES = 500
"""Of one frame: far more than any shows."""

FrameStatus = Literal["unlabelled", "predicted", "reviewed", "given", "unreadable"]
"""How a frame stands: it has no label; a part of it is a prediction that nobody has looked at; a
person has confirmed it here; it has a label of another origin, such as the simulator's or that of
an import, which is truth; its label can't be read."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_M = TypeVar("_M", bound=_Message)


class FrameNote(_Message):
    """One frame of a list: its number, how it stands, and its boxes."""

    frame_id: int
    status: FrameStatus
    boxes: int
    chosen: bool = False
    """Whether `select` has chosen it."""


class RunProgress(_Message):
    """How far the labels of one run are: frames by their status."""

    name: str
    frames: int
    boxes: int
    counts: dict[FrameStatus, int]
    chosen: int
    """Of the frames, those that `select` has chosen."""
    chosen_left: int
    """Of these, those that nobody has labelled."""
    first: int | None
    """The number of a frame to show of it."""


class RunShelf(_Message):
    """All runs under the root, the newest first; `left_out` are older ones that aren't shown.

    `problem` says in a line why nothing is chosen, if the file that should do it is at fault.
    """

    root: str
    runs: list[RunProgress]
    left_out: int
    problem: str | None


class RunView(_Message):
    """One run to be labelled: its frames by number, the classes of its labels, the most frequent
    first, and the first `polyp_id` that no label has."""

    name: str
    simulated: bool
    has_masks: bool
    frames: list[FrameNote]
    classes: list[str]
    next_polyp_id: int


class FrameView(_Message):
    """One frame, its label, and the digest that a change of it must name."""

    run: str
    frame_id: int
    status: FrameStatus
    digest: str | None
    """Of the label's file; None if there is none."""
    width: int
    height: int
    polyp_labels: list[PolypLabel]
    """All with `bbox_px` that can be used, and those that can't be seen."""
    source: Source | None
    reviewed: bool
    locked: bool
    """Whether it is the simulator's own truth, which is changed only by who says so."""
    problem: str | None
    """What of the label can't be used, and isn't among `polyp_labels`."""


class Suggestion(_Message):
    """Boxes of the frame before, where they have come to; `why` there are none, if so."""

    polyp_labels: list[PolypLabel]
    why: str | None


class LabelEdit(_Message):
    """What a person makes of a frame's label: all of its polyps, and whether that is confirmed.

    `overrule` says that the simulator's own truth is to be replaced.
    """

    polyp_labels: Annotated[list[PolypLabel], Field(max_length=MOST_BOXES)]
    reviewed: bool
    overrule: bool = False


def parse_edit(body: bytes) -> LabelEdit:
    """Read the body of a change; raises UserError that says what is wrong with it."""
    return _parsed(LabelEdit, body)


LearningState = Literal["idle", "preparing", "training", "comparing", "done", "failed", "stopped"]
StartName = Literal["packaged", "shown"]
"""What a training begins from: the weights that come with EndoForge, or those that the live view
shows."""


class LearningWish(_Message):
    """A training on the reviewed frames is to begin."""

    start: StartName


class DetectorScore(_Message):
    """How well a detector does on the frames that were held out; None where nothing is to find."""

    name: str
    ap50: float | None
    ap: float | None
    found: int
    missed: int
    false: int


class ComparedFrame(_Message):
    """A held-out frame, of which there are pictures of what both detectors find: a line of each."""

    old: str
    new: str


class ComparisonView(_Message):
    """The detector that a training began from, beside the one that it made."""

    boxes: int
    threshold: float
    old: DetectorScore
    new: DetectorScore
    frames: list[ComparedFrame]


class LearningView(_Message):
    """How a training on reviewed frames stands. `frames_needed` are too few as yet."""

    state: LearningState
    reviewed: int
    frames_needed: int
    starts: list[StartName]
    trained_on: int = 0
    held_out: int = 0
    how: str = ""
    """How the frames were held out."""
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    eta_s: float | None = None
    command: str = ""
    weights: str = ""
    """The file that the training writes."""
    problem: str = ""
    comparison: ComparisonView | None = None


def parse_wish(body: bytes) -> LearningWish:
    """Read what a training is to begin from; raises UserError that says what is wrong with it."""
    return _parsed(LearningWish, body)


def _parsed(kind: type[_M], body: bytes) -> _M:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the body"
        raise UserError(f"{place}: {fault['msg']}") from error
