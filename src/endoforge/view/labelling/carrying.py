"""Where the boxes of the frames before have come to: a suggestion for a frame without any."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.frame_times import FrameTime, read_frame_times
from endoforge.captures.schema import Corners, PolypLabel
from endoforge.core.errors import UserError
from endoforge.tracking.association import best_pairs, likeness
from endoforge.tracking.box_filter import BoxFilter
from endoforge.tracking.camera_motion import measure_motion, small_grey
from endoforge.view.labelling.label_files import FrameOnDisk, in_pixels, in_shares
from endoforge.view.labelling.label_messages import Suggestion
from endoforge.view.labelling.shelf import DONE
from endoforge.view.run_files import NotThere, RunFiles

MOST_FRAMES = 4
"""So many frames before are looked at: enough to see how a box moves."""
UNKNOWN_STEP_S = 0.2
"""Between two frames that don't say when they were taken."""
MOST_GAP_S = 1.0
"""Between frames of a video whose camera's motion can't be measured, as when one is blurred."""
LEAST_LIKENESS = 0.2
LEAST_LEFT = 0.5
"""A box of which less is left in the picture isn't suggested."""


@dataclass(frozen=True, eq=False)
class _Step:
    """A frame with known boxes: its polyps, their boxes (N, 4) xyxy in 0..1, and its picture."""

    polyps: list[PolypLabel]
    boxes: NDArray[np.float64]
    small: NDArray[np.uint8]
    seconds: float


class Carrier:
    """Carries boxes on in the runs under `root`; any thread may ask."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def carried(self, name: str, frame_id: int) -> Suggestion:
        """The boxes of the frame before, which must be reviewed, as they should be in this one."""
        run = RunFiles.named(self._root, name)
        numbers = sorted({n for n, _ in run.images()} | {n for n, _ in run.labels()})
        if frame_id not in numbers:
            raise NotThere(f"{name}: no frame {frame_id}")
        place = numbers.index(frame_id)
        times = _times(run)
        steps = _known_before(run, numbers[max(0, place - MOST_FRAMES) : place], times)
        if not steps or not steps[-1].polyps:
            return Suggestion(polyp_labels=[], why="no confirmed boxes in the frame before")
        frame = FrameOnDisk.read(run, frame_id)
        small = small_grey(run.picture(frame_id, frame.stored.label))
        boxes = _moved(steps, small, _seconds(frame, times), is_video=bool(times))
        if boxes is None:
            why = "the picture has changed too much since the frame before"
            return Suggestion(polyp_labels=[], why=why)
        polyps = [
            _suggested(polyp, cut, frame.size)
            for polyp, box in zip(steps[-1].polyps, boxes, strict=True)
            if (cut := _within(box)) is not None
        ]
        return Suggestion(polyp_labels=polyps, why=None if polyps else "they have left the picture")


def _times(run: RunFiles) -> dict[int, FrameTime]:
    try:
        return read_frame_times(run.path)
    except UserError:
        return {}  # a file that is none helps nobody, and hinders nobody from labelling


def _known_before(run: RunFiles, numbers: list[int], times: dict[int, FrameTime]) -> list[_Step]:
    """The frames right before that are known, without a gap, the oldest first."""
    steps: list[_Step] = []
    for number in reversed(numbers):
        frame = FrameOnDisk.read(run, number)
        if frame.stored.status not in DONE:
            break
        polyps = [polyp for polyp in frame.polyps.values() if polyp.bbox_px is not None]
        boxes = [in_shares(polyp.bbox_px, frame.size) for polyp in polyps if polyp.bbox_px]
        try:
            small = small_grey(run.picture(number, frame.stored.label))
        except NotThere:
            break
        shares = np.array(boxes, np.float64).reshape(-1, 4)
        steps.insert(0, _Step(polyps, shares, small, _seconds(frame, times)))
    return steps


def _seconds(frame: FrameOnDisk, times: dict[int, FrameTime]) -> float:
    """When the frame was taken, as well as it is known."""
    if frame.frame_id in times:
        return times[frame.frame_id].seconds
    label = frame.stored.label
    return UNKNOWN_STEP_S * frame.frame_id if label is None else label.sim_time


def _moved(
    steps: list[_Step], small: NDArray[np.uint8], seconds: float, *, is_video: bool
) -> NDArray[np.float64] | None:
    """Where the boxes of the last step are in the picture `small`; None if that isn't sure.

    Without the camera's motion only a video's boxes are carried: pictures by themselves may show
    anything.
    """
    filtered = BoxFilter()
    polyps: list[PolypLabel] = []
    before: _Step | None = None
    for step in steps:
        if before is not None:
            _follow(filtered, before.small, step.small, step.seconds - before.seconds)
        polyps = _take_in(filtered, polyps, step)
        before = step
    assert before is not None
    gap = seconds - before.seconds
    is_sure = _follow(filtered, before.small, small, gap)
    if not is_sure and not (is_video and 0 < gap <= MOST_GAP_S):
        return None
    order = [polyps.index(polyp) for polyp in before.polyps]
    return filtered.boxes[order]


def _follow(
    filtered: BoxFilter, before: NDArray[np.uint8], after: NDArray[np.uint8], seconds: float
) -> bool:
    """Let the boxes move from one picture to the next; whether the camera's motion was sure."""
    filtered.predict(seconds if 0 < seconds < 1 else UNKNOWN_STEP_S)
    if before.shape != after.shape:
        return False
    motion = measure_motion(before, after)
    if motion is not None:
        filtered.follow(motion)
    return motion is not None


def _take_in(filtered: BoxFilter, tracked: list[PolypLabel], step: _Step) -> list[PolypLabel]:
    """Correct the boxes by those of a frame; those that it doesn't have go, new ones come."""
    pairs = _pairs(tracked, filtered.boxes, step)
    rows = [row for row, _ in pairs]
    places = [place for _, place in pairs]
    filtered.correct(np.array(rows, np.intp), step.boxes[places])
    kept = np.zeros(len(tracked), bool)
    kept[rows] = True
    filtered.keep(kept)
    new = [place for place in range(len(step.polyps)) if place not in places]
    filtered.add(step.boxes[new])
    place_of = dict(pairs)
    going_on = [step.polyps[place_of[row]] for row in sorted(rows)]
    return going_on + [step.polyps[place] for place in new]


def _pairs(
    tracked: list[PolypLabel], boxes: NDArray[np.float64], step: _Step
) -> list[tuple[int, int]]:
    """Which tracked polyp is which of the step's: by their numbers, else by where they are."""
    alike = likeness(boxes, step.boxes)
    for row, one in enumerate(tracked):
        for place, other in enumerate(step.polyps):
            if one.polyp_id is not None and other.polyp_id is not None:
                alike[row, place] = 1.0 if one.polyp_id == other.polyp_id else 0.0
    return best_pairs(alike, LEAST_LIKENESS)


def _within(box: NDArray[np.float64]) -> Corners | None:
    """The part of a box within the picture; None if too little of it is."""
    x0, y0, x1, y1 = (float(value) for value in np.clip(box, 0.0, 1.0))
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    left = (x1 - x0) * (y1 - y0)
    return None if left < LEAST_LEFT * area or left <= 0 else (x0, y0, x1, y1)


def _suggested(polyp: PolypLabel, box: Corners, size: tuple[int, int]) -> PolypLabel:
    x0, y0, x1, y1 = (float(round(value)) for value in in_pixels(box, size))
    pixels = x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
    return PolypLabel(
        center_world=polyp.center_world,
        bbox_px=pixels,
        bbox_norm=in_shares(pixels, size),
        label=polyp.label,
        paris=polyp.paris,
        diameter_mm=polyp.diameter_mm,
        polyp_id=polyp.polyp_id,
        source="predicted",
    )
