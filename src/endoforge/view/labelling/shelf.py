"""The runs that can be labelled, and how far each is; labels are read again when they change."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from endoforge.captures.schema import DEFAULT_CLASS, FrameLabel
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.view.labelling.chosen_frames import SELECTED_NAME, ChosenFrames
from endoforge.view.labelling.label_messages import (
    FrameNote,
    FrameStatus,
    RunProgress,
    RunShelf,
    RunView,
)
from endoforge.view.run_files import RunFiles, newest_runs, stamp_of

MOST_RUNS = 200
DONE: tuple[FrameStatus, ...] = ("reviewed", "given")
"""Frames whose truth is known."""


@dataclass(frozen=True)
class _Gist:
    """What lists need of a label's file, as it was when it had this stamp."""

    stamp: tuple[int, int, int]
    status: FrameStatus
    boxes: int
    classes: tuple[str, ...]
    top_id: int


class Shelf:
    """The runs under a root; any thread may ask."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._chosen = ChosenFrames(root)
        self._lock = Lock()
        self._known: dict[str, dict[int, _Gist]] = {}

    def runs(self) -> RunShelf:
        """How far the labels of all runs are."""
        shown, left_out = newest_runs(self._root, MOST_RUNS)
        rows = [self._progress(RunFiles(path)) for path in shown]
        return RunShelf(
            root=str(self._root), runs=rows, left_out=left_out, problem=self._problem(rows)
        )

    def _problem(self, rows: list[RunProgress]) -> str | None:
        """Why no frames are chosen, though there is a file that should name some."""
        choice = self._chosen.now()
        if choice.by_run and not any(row.chosen for row in rows):
            return f"{SELECTED_NAME} names frames of {min(choice.by_run)}, and none of a run here"
        return choice.problem

    def run(self, name: str) -> RunView:
        """One run with all its frames; raises NotThere if there is none of that name."""
        run = RunFiles.named(self._root, name)
        gists = self._gists(run)
        counts = Counter(one for gist in gists.values() for one in gist.classes)
        return RunView(
            name=name,
            simulated=run.is_simulated,
            has_masks=(run.path / "instance").is_dir(),
            frames=self._notes(run, gists),
            classes=[one for one, _ in counts.most_common()] or [DEFAULT_CLASS],
            next_polyp_id=1 + max((gist.top_id for gist in gists.values()), default=0),
        )

    def reviewed(self, names: set[str]) -> dict[str, set[int]]:
        """The numbers of the frames that people have reviewed, by the run's name."""
        found = {}
        for name in names:
            gists = self._gists(RunFiles(self._root / name))
            found[name] = {number for number, one in gists.items() if one.status == "reviewed"}
        return found

    def _progress(self, run: RunFiles) -> RunProgress:
        notes = self._notes(run, self._gists(run))
        chosen = [note for note in notes if note.chosen]
        return RunProgress(
            name=run.name,
            frames=len(notes),
            boxes=sum(note.boxes for note in notes),
            counts=dict(Counter(note.status for note in notes)),
            chosen=len(chosen),
            chosen_left=sum(note.status not in DONE for note in chosen),
            first=notes[len(notes) // 2].frame_id if notes else None,
        )

    def _notes(self, run: RunFiles, gists: dict[int, _Gist]) -> list[FrameNote]:
        numbers = gists.keys() | {number for number, _ in run.images()}
        chosen = self._chosen.now().by_run.get(run.name, frozenset())
        bare = _Gist((0, 0, 0), "unlabelled", 0, (), 0)
        return [
            FrameNote(
                frame_id=number,
                status=gists.get(number, bare).status,
                boxes=gists.get(number, bare).boxes,
                chosen=number in chosen,
            )
            for number in sorted(numbers)
        ]

    def _gists(self, run: RunFiles) -> dict[int, _Gist]:
        with self._lock:
            known, now = self._known.get(run.name, {}), dict[int, _Gist]()
            for number, path in run.labels():
                try:
                    stamp = stamp_of(path)
                except OSError:
                    continue  # gone since the folder was listed
                before = known.get(number)
                if before is None or before.stamp != stamp:
                    before = _read_gist(path, stamp)
                now[number] = before
            self._known[run.name] = now
            return now


def status_of(label: FrameLabel) -> FrameStatus:
    """How the frame of a label stands."""
    if label.awaits_review:
        return "predicted"
    return "reviewed" if label.reviewed else "given"


def _read_gist(path: Path, stamp: tuple[int, int, int]) -> _Gist:
    try:
        data = read_regular(path, MOST_LABEL_BYTES)
        label = FrameLabel.model_validate_json(as_utf8(data))
    except (OSError, ValidationError):
        return _Gist(stamp, "unreadable", 0, (), 0)
    seen = label.seen_polyps
    return _Gist(
        stamp,
        status_of(label),
        len(seen),
        tuple(polyp.class_name for polyp in seen),
        max((polyp.polyp_id or 0 for polyp in label.polyp_labels), default=0),
    )
