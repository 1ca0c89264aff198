"""The capture runs under the output root, as lists and thumbnails."""

import math
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from pydantic import ValidationError

from endoforge.captures.label_boxes import normalised_corners, usable_box
from endoforge.captures.overlay import TRUTH_COLOR, draw_boxes
from endoforge.captures.run_frames import read_manifest
from endoforge.captures.schema import Corners, PolypLabel
from endoforge.captures.tally import Unusable
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.view.encoding import jpeg
from endoforge.view.run_files import RunFiles, newest_runs, stamp_of

MOST_RUNS = 200
WIDTHS = (32, 1280)
"""Of thumbnails, the least and the most in pixels."""


class Library:
    """The runs of a folder, read anew at each question; any thread may ask."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._boxes: dict[str, dict[int, _Counted]] = {}
        """Of each run that was listed, its frames with a label, and their boxes. A label is read
        again when its file is another one."""

    def runs(self) -> dict[str, Any]:
        """What the page shows of the newest MOST_RUNS runs, the newest first."""
        shown, left_out = newest_runs(self._root, MOST_RUNS)
        with self._lock:
            self._boxes = {path.name: self._read_boxes(path) for path in shown}
            rows = [_row(path, self._boxes[path.name]) for path in shown]
        listing = {"root": str(self._root), "runs": rows}
        return listing | ({"left_out": left_out} if left_out else {})

    def thumbnail(self, name: str, frame_id: int, *, width: int, overlay: bool) -> bytes:
        """A frame as a JPEG, `width` pixels wide, if it has so many; raises NotThere.

        `overlay` draws the boxes of its label.
        """
        run = RunFiles.named(self._root, name)
        label = run.label(frame_id)
        picture = run.picture(frame_id, label)
        width = min(max(width, WIDTHS[0]), WIDTHS[1], picture.shape[1])
        if overlay:
            size = picture.shape[1], picture.shape[0]
            corners = [_corners(polyp, size) for polyp in label.polyp_labels]
            boxes = np.array([box for box in corners if box], np.float32).reshape(-1, 4)
            # Drawn before the picture is made smaller, so that lines are a pixel wide afterwards.
            thickness = max(1, round(picture.shape[1] / width))
            picture = draw_boxes(picture, boxes, TRUTH_COLOR, thickness=thickness)
        height = max(1, round(picture.shape[0] * width / picture.shape[1]))
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return jpeg(np.asarray(small, np.uint8))

    def _read_boxes(self, run: Path) -> dict[int, "_Counted"]:
        """The boxes of each frame of a run that has a label."""
        known, found = self._boxes.get(run.name, {}), dict[int, _Counted]()
        for number, path in RunFiles(run).labels():
            try:
                stamp = stamp_of(path)
            except OSError:
                continue
            before = known.get(number)
            if before is None or before.stamp != stamp:
                before = _Counted(stamp, _count_boxes(path))
            found[number] = before
        return found


@dataclass(frozen=True)
class _Counted:
    """The boxes of a label's file, as it was when it had this stamp."""

    stamp: tuple[int, int, int]
    boxes: int


def _row(run: Path, boxes: dict[int, _Counted]) -> dict[str, Any]:
    frames = sorted(boxes)
    row: dict[str, Any] = {
        "name": run.name,
        "frames": len(frames),
        "boxes": sum(counted.boxes for counted in boxes.values()),
        "complete": None,
        "seed": None,
        "started_at_unix": None,
        "frame_ids": frames,
    }
    try:
        manifest = read_manifest(run)
    except (OSError, ValidationError):
        manifest = None
    if manifest is not None:
        ours = manifest.endoforge or {}
        row["complete"] = bool(ours.get("complete", True))
        row["seed"] = str(manifest.seed)  # JavaScript has no 64-bit numbers
        started = manifest.started_at_unix
        row["started_at_unix"] = started if math.isfinite(started) else None
    return row


def _count_boxes(path: Path) -> int:
    try:
        polyps = parse_json(as_utf8(read_regular(path, MOST_LABEL_BYTES)))["polyp_labels"]
        return sum(bool(polyp.get("bbox_px") or polyp.get("bbox_norm")) for polyp in polyps)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0


def _corners(polyp: PolypLabel, size: tuple[int, int]) -> Corners | None:
    """A label's box in 0..1, if it has one that can be drawn."""
    try:
        corners = normalised_corners(polyp, size)
        return None if corners is None else usable_box(corners)
    except Unusable:
        return None
