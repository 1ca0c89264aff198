"""Labels as a person leaves them: written whole, or not at all, and never over another's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from endoforge.captures.frame_times import read_frame_times
from endoforge.captures.schema import FrameLabel, PolypLabel
from endoforge.core.errors import UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.folders import FolderLock, make_folder, refuse_link
from endoforge.view.browser_json import browser_value
from endoforge.view.labelling.label_files import FrameOnDisk, in_shares
from endoforge.view.labelling.label_messages import FrameView, LabelEdit
from endoforge.view.run_files import RunFiles

LEAST_SIDE_PX = 1.0
BUSY_S = 2.0
"""Another program has a run for longer only if it records it."""


class LabelConflict(Exception):
    """Somebody else has changed the label since the page read it; `now` is what it is."""

    def __init__(self, now: FrameView) -> None:
        super().__init__("somebody else has changed this label")
        self.now = now


class RunBusy(UserError):
    """Another program is writing this run."""


class LabelKeeper:
    """Reads and writes the labels of the runs under `root`; any thread may ask."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()

    def read(self, name: str, frame_id: int) -> FrameView:
        """The frame and its label as they are now; raises NotThere if there is no such frame."""
        return FrameOnDisk.read(RunFiles.named(self._root, name), frame_id).view()

    def keep(self, name: str, frame_id: int, edit: LabelEdit, begun_from: str | None) -> FrameView:
        """Write what a person made of the label whose digest was `begun_from`; None: of no label.

        All of it is on disk on return. Raises LabelConflict if the label is another one by now,
        unless it says the same; RunBusy while another program writes the run; UserError for a
        box that can't be, for a link, and for truth that isn't to be overruled.
        """
        run = RunFiles.named(self._root, name)
        with self._lock, _held(run):
            frame = FrameOnDisk.read(run, frame_id)
            if frame.is_locked and not edit.overrule:
                raise UserError(f"frame {frame_id} has the simulator's own truth: unlock it first")
            fields = _edited_fields(frame, edit)
            if fields == frame.stored.fields:
                return frame.view()  # written already: the answer didn't come through
            if frame.stored.digest != begun_from:
                raise LabelConflict(frame.view())
            path = run.label_path(frame_id)
            make_folder(path.parent, within=run.path)
            write_json_atomic(path, fields, sync=True)
            return FrameOnDisk.read(run, frame_id).view()


@contextmanager
def _held(run: RunFiles) -> Iterator[None]:
    """Have the run to oneself for as long as a label is written."""
    refuse_link(run.path)
    end = time.monotonic() + BUSY_S
    while True:
        try:
            own = FolderLock(run.path)
            break
        except BlockingIOError as error:
            if time.monotonic() > end:
                message = f"{run.name} is being recorded: its labels can be changed afterwards"
                raise RunBusy(message) from error
            time.sleep(0.02)
    try:
        yield
    finally:
        own.release()


def _edited_fields(frame: FrameOnDisk, edit: LabelEdit) -> dict[str, Any]:
    """The fields of the label to write; what other programs have added to it stays."""
    before = frame.stored.label or _new_label(frame, confirmed=edit.reviewed)
    reviewed = edit.reviewed if edit.reviewed or before.reviewed is not None else None
    after = before.model_copy(update={"polyp_labels": [], "reviewed": reviewed})
    polyps = [_polyp_fields(frame, polyp, confirmed=edit.reviewed) for polyp in edit.polyp_labels]
    # JSON as other languages write it has no NaN: null stands for it, as readers of labels know.
    fields = {**after.model_dump(mode="json"), "polyp_labels": polyps}
    known: dict[str, Any] = browser_value({**frame.stored.fields, **fields})
    return known


def _new_label(frame: FrameOnDisk, *, confirmed: bool) -> FrameLabel:
    """What is known of a frame that had no label: its picture, and when that was taken."""
    run = frame.run
    image = run.image_path(frame.frame_id, None)
    time_of = read_frame_times(run.path).get(frame.frame_id)
    return FrameLabel(
        frame_id=frame.frame_id,
        sim_time=float(frame.frame_id) if time_of is None else time_of.seconds,
        unix_time=image.stat().st_mtime,
        image=image.relative_to(run.path).as_posix(),
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=[],
        # A frame that isn't done has been confirmed by nobody: none may learn from it.
        source="annotated" if confirmed else "predicted",
        reviewed=confirmed,
    )


def _polyp_fields(frame: FrameOnDisk, polyp: PolypLabel, *, confirmed: bool) -> dict[str, Any]:
    """One polyp as it is to be written; one that nobody has moved has the corners that it had."""
    raw, shown = _known_as(frame, polyp)
    added = {name: value for name, value in raw.items() if name not in PolypLabel.model_fields}
    if polyp.bbox_px is None:
        return {**added, **polyp.model_dump(mode="json")}
    if confirmed and polyp.source in ("predicted", "annotated"):
        polyp = polyp.model_copy(update={"reviewed": True})
    if polyp.score is not None and not 0 <= polyp.score <= 1:
        raise UserError(f"a score of {polyp.score:g}: must be 0 to 1")
    if shown is not None and shown.bbox_px == polyp.bbox_px:
        corners = {name: raw.get(name) for name in ("bbox_px", "bbox_norm")}
        return {**added, **polyp.model_dump(mode="json"), **corners}
    polyp = polyp.model_copy(update=_checked_box(polyp, frame.size))
    return {**added, **polyp.model_dump(mode="json")}


def _known_as(frame: FrameOnDisk, polyp: PolypLabel) -> tuple[dict[str, Any], PolypLabel | None]:
    """What the label says of a polyp so far, as it stands there and as it was shown."""
    raws = frame.stored.raw_polyps()
    for place, shown in frame.polyps.items():
        same_id = polyp.polyp_id is not None and shown.polyp_id == polyp.polyp_id
        if same_id or (polyp.polyp_id == shown.polyp_id and shown.bbox_px == polyp.bbox_px):
            return raws[place], shown
    return {}, None


def _checked_box(polyp: PolypLabel, size: tuple[int, int]) -> dict[str, Any]:
    """Both fields of a box, cut to the picture; raises UserError if too little is left."""
    assert polyp.bbox_px is not None
    x0, y0, x1, y1 = polyp.bbox_px
    box = max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1]))
    # NaN is in no order: it fails here too.
    if not (box[2] - box[0] >= LEAST_SIDE_PX and box[3] - box[1] >= LEAST_SIDE_PX):
        raise UserError(f"a box at {x0:g}, {y0:g} has no area within the picture")
    return {"bbox_px": box, "bbox_norm": in_shares(box, size)}
