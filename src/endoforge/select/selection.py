"""The file that says which frames were chosen to be labelled next, and why."""

import csv
import io
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoforge.core.checks import MAX_SEED
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import make_folder_of
from endoforge.core.outputs import check_output_file
from endoforge.core.reading import MOST_LABEL_BYTES, MOST_LIST_BYTES, first_line, read_regular
from endoforge.core.text import as_utf8
from endoforge.select.worth import ReasonKind

COLUMNS = (
    "rank", "run", "frame_id", "image", "seconds", "worth", "score", "track", "reasons", "folder"
)  # fmt: skip
"""Of the table that a .csv file is."""

_Share = Annotated[float, Field(ge=0, le=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ChosenReason(_Entry):
    """One of the reasons to choose a frame: its `kind` for programs, its `text` for people."""

    kind: ReasonKind
    text: str


class SelectedFrame(_Entry):
    """A frame that was chosen.

    `run` is the name of its run, `folder` the run's path, `image` its picture's path in the run,
    with forward slashes. `seconds` is its time in the run, `score` that of the detector's best find
    (0: nothing was found), `worth` how much it is worth a look by its reasons alone, `track` the
    number of the track that the first of them tells of; None where there is none.
    """

    rank: Annotated[int, Field(ge=1)]
    run: str
    folder: str
    frame_id: Annotated[int, Field(ge=0)]
    image: str
    seconds: float | None
    worth: _Share
    score: _Share
    track: int | None
    reasons: list[ChosenReason]

    @property
    def why(self) -> str:
        """The reasons in words, one after the other."""
        return "; ".join(reason.text for reason in self.reasons)


class Selection(_Entry):
    """What `select` chose, by a `detector` and a `seed`: its `frames`, the most worth it first."""

    schema_version: Literal[1] = 1
    version: str
    detector: str
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    frames: list[SelectedFrame]


def read_selection(path: Path) -> Selection:
    """Read the JSON file that `select` wrote; raises UserError for any other."""
    try:
        return Selection.model_validate_json(as_utf8(read_regular(path, MOST_LIST_BYTES)))
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"{path}: can't be read ({why}); name a file of select's") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(
            f"{path}: is no JSON file of select's ({where or 'not JSON'}); make one with "
            "`endoforge select`"
        ) from error


def check_selection_output(path: Path) -> None:
    """Raise UserError unless `path` can be written, and is free or a file that `select` wrote."""
    check_output_file("--output", path)
    if path.is_file() and path.stat().st_size and not _is_ours(path):
        raise UserError(f"--output {path}: is there, but is none of select's files; name another")


def write_selection(selection: Selection, path: Path) -> None:
    """Write the file, whole, as JSON, or as a table if its name ends in .csv."""
    is_table = path.suffix.lower() == ".csv"
    text = _table(selection) if is_table else selection.model_dump_json(indent=2) + "\n"
    make_folder_of(path)
    write_atomic(path, text.encode())


def _is_ours(path: Path) -> bool:
    if path.suffix.lower() == ".csv":
        return first_line(path, MOST_LABEL_BYTES).strip() == ",".join(COLUMNS).encode()
    try:
        read_selection(path)
    except UserError:
        return False
    return True


def _table(selection: Selection) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for frame in selection.frames:
        cells = {**frame.model_dump(), "reasons": frame.why}
        table.writerow([cells[column] for column in COLUMNS])
    return text.getvalue()
