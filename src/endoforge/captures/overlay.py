"""Boxes drawn on pictures, to look at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.config import OverlayConfig
from endoforge.captures.index import CaptureIndex, holds_runs, index_root, is_run
from endoforge.captures.pictures import encode_png, read_picture
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.schema import PICTURE_EXTRAS
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import is_link, make_folder, refuse_link, remove_unfinished
from endoforge.core.marks import leave_mark, mark_of
from endoforge.core.outputs import check_output_folder
from endoforge.core.progress import progress
from endoforge.core.text import counted

Color = tuple[int, int, int]
TRUTH_COLOR: Color = (80, 255, 120)
PREDICTED_COLOR: Color = (255, 190, 60)
DASH_PX = 4
"""How long the dashes are around a box that is a detector's word alone, and the gaps."""

COMMAND = "overlay-labels"
OVERLAYS = "overlays"
"""The folder of a run in which its overlays lie."""
FRAME_FOLDERS = ("labels", "images", OVERLAYS, *PICTURE_EXTRAS)
FOLDERS_SHOWN = 3
_OVERLAY = re.compile(r"(frame_\d+\.png|\..*)")


@dataclass
class OverlayReport:
    """How many pictures and boxes were drawn, and what could not be."""

    folders: list[Path] = field(default_factory=list)
    skipped: Tally = field(default_factory=Tally)
    frames: int = 0
    boxes: int = 0
    unreviewed: int = 0
    """Frames that are a detector's word, and nobody has looked at."""

    def lines(self) -> list[str]:
        """The summary for people."""
        shown = ", ".join(map(str, self.folders[:FOLDERS_SHOWN]))
        if more := self.folders[FOLDERS_SHOWN:]:
            shown += f" and {len(more)} more"
        head = f"drew {counted(self.boxes, 'box')} on {counted(self.frames, 'frame')} in {shown}"
        if self.unreviewed:
            head += f"; {self.unreviewed} of the frames are predicted (dashed), and await review"
        return [head, *(f"  skipped {line}" for line in self.skipped.lines())]


def overlay_labels(config: OverlayConfig) -> OverlayReport:
    """Write each usable frame of runs with its boxes drawn; frames without a box too.

    Boxes that are a detector's word, and that nobody has looked at, are dashed, with their scores.

    It writes only where nothing but overlays lies: to a run's `overlays`, or to a folder that is
    new, empty, or made by this command. Raises UserError, before anything is written, if the folder
    is another, and if there is no run.
    """
    paths, out = _parted(config.paths)
    for path in paths:
        if out is None and (path / "labels").is_dir():
            refuse_link(path)  # its overlays lie in it
    indexes = [index_root(path, predicted=True) for path in paths]
    targets = _targets(indexes, out)
    # All of them before the first picture is written: a refusal leaves nothing half done.
    for run, target in targets.items():
        _refuse_what_is_no_overlay(target, run, out or run)
    if out is not None:
        for run, target in targets.items():
            _refuse_among_data(out, run)
            _refuse_among_data(target, run)
    report = OverlayReport()
    frames = _frames_of(indexes, report.skipped)
    with progress("drawing", len(frames), "frames") as advance:
        for frame in frames:
            target = targets[frame.run_path]
            if target not in report.folders:
                within = out or frame.run_path
                make_folder(target, within=within)
                if out is not None:
                    leave_mark(target, COMMAND)
                remove_unfinished(target, "frame_*.png", within=within)
                report.folders.append(target)
            _draw(frame, target, report)
            advance()
    return report


def _parted(given: tuple[str, ...]) -> tuple[list[Path], Path | None]:
    """Runs or folders of runs, and the folder to write to, if the last path is one."""
    paths = [Path(path) for path in given]
    if len(paths) > 1 and not holds_runs(paths[-1]):
        return paths[:-1], paths[-1]
    return paths, None


def _frames_of(indexes: list[CaptureIndex], skipped: Tally) -> list[FrameRecord]:
    """The frames of the indexes, those of a run once, however often it is named."""
    frames: list[FrameRecord] = []
    seen: set[Path] = set()
    for index in indexes:
        new = {run.path: run.path.resolve() for run in index.runs}
        new = {path: real for path, real in new.items() if real not in seen}
        seen.update(new.values())
        frames += [frame for frame in index.frames if frame.run_path in new]
        if new:
            skipped.add(index.tally)
    return frames


def _targets(indexes: list[CaptureIndex], out: Path | None) -> dict[Path, Path]:
    """The folder for the overlays of each run; UserError for two runs that would share one."""
    runs = [run for index in indexes for run in index.runs]
    if out is None:
        return {run.path: run.path / OVERLAYS for run in runs}
    if len({run.path.resolve() for run in runs}) == 1:
        return {run.path: out for run in runs}
    by_name: dict[str, Path] = {}
    for run in runs:
        other = by_name.setdefault(run.name, run.path)
        if other.resolve() != run.path.resolve():
            raise UserError(f"{other} and {run.path} have one name: draw them into two folders")
    return {run.path: out / run.name for run in runs}


def _refuse_what_is_no_overlay(target: Path, run: Path, within: Path) -> None:
    """Raises UserError if pictures in the folder `target` may be others than overlays of `run`.

    So may they be if there is a link on the way to it, from `within` on.
    """
    refuse_link(target, within=within)
    check_output_folder("OUT", target)
    if not target.is_dir() or mark_of(target) == COMMAND:
        return
    is_own = target.resolve() == run.resolve() / OVERLAYS
    for path in sorted(target.iterdir()):
        is_file = path.is_file() and not is_link(path)
        if not (is_own and _OVERLAY.fullmatch(path.name) and is_file):
            raise UserError(
                f"OUT {target}: holds {path.name}, which is no overlay of {COMMAND}; name a new or "
                "an empty folder"
            )


def _refuse_among_data(place: Path, run: Path) -> None:
    """Raises UserError if `place` is a run, or lies where a run's data does.

    Overlays that lie there would be taken for it, though nothing else does.
    """
    real = place.resolve()
    if real == run.resolve() / OVERLAYS:
        return
    for folder in (real, *real.parents):
        inner = real.relative_to(folder).parts
        if is_run(folder) and (not inner or inner[0] in FRAME_FOLDERS):
            raise UserError(
                f"OUT {place}: lies among the data of the run {folder}; name a folder outside it"
            )


def _draw(frame: FrameRecord, target: Path, report: OverlayReport) -> None:
    try:
        picture = read_picture(frame.image_path)
    except Unusable as unusable:
        report.skipped.drop(f"frame: {unusable.reason}", frame.key, unusable.detail)
        return
    told = ~np.array(frame.unreviewed, np.bool_)
    names = [name for name, is_told in zip(frame.classes, told, strict=True) if is_told]
    drawn = draw_boxes(picture, frame.boxes[told], TRUTH_COLOR, names)
    _draw_predicted(drawn, frame)
    write_atomic(target / f"{frame.label_path.stem}.png", encode_png(drawn))
    report.frames += 1
    report.boxes += len(frame.boxes)
    report.unreviewed += frame.awaits_review


def _draw_predicted(canvas: NDArray[np.uint8], frame: FrameRecord) -> None:
    """Draw the boxes that nobody has looked at on a picture, each with its name and score."""
    height, width = canvas.shape[:2]
    corners = np.rint(frame.boxes * [width, height, width, height]).astype(int).tolist()
    for (x0, y0, x1, y1), name, score, is_drawn in zip(
        corners, frame.classes, frame.scores, frame.unreviewed, strict=True
    ):
        if is_drawn:
            _draw_dashes(canvas, x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
            text = name if score is None else f"{name} {score:.2f}"
            _write(canvas, text, (x0, y0), PREDICTED_COLOR)


def _draw_dashes(canvas: NDArray[np.uint8], x0: int, y0: int, right: int, bottom: int) -> None:
    for x in range(x0, right + 1, 2 * DASH_PX):
        end = min(x + DASH_PX - 1, right)
        for y in (y0, bottom):
            cv2.line(canvas, (x, y), (end, y), PREDICTED_COLOR)
    for y in range(y0, bottom + 1, 2 * DASH_PX):
        end = min(y + DASH_PX - 1, bottom)
        for x in (x0, right):
            cv2.line(canvas, (x, y), (x, end), PREDICTED_COLOR)


def draw_boxes(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    color: Color,
    captions: Sequence[str] = (),
    *,
    thickness: int = 1,
) -> NDArray[np.uint8]:
    """A copy of `image`, (H, W, 3) uint8 RGB, with outlines just inside each box.

    `boxes` is (N, 4) xyxy in 0..1 with exclusive right and bottom edges; `captions`, if any, has
    a text for each; `thickness` is in pixels.
    """
    height, width = image.shape[:2]
    canvas = image.copy()
    corners = np.rint(boxes * [width, height, width, height]).astype(int)
    for number, (x0, y0, x1, y1) in enumerate(corners.tolist()):
        right, bottom = max(x0, x1 - 1), max(y0, y1 - 1)
        cv2.rectangle(canvas, (x0, y0), (right, bottom), color, thickness)
        if captions:
            _write(canvas, captions[number], (x0, y0), color)
    return canvas


def _write(canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], color: Color) -> None:
    """`text` above the box's corner, or below the edge where there is no room above."""
    baseline = corner[1] - 4 if corner[1] > 14 else corner[1] + 14
    place = (corner[0] + 2, baseline)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
