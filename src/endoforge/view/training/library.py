"""The capture runs under the output root, as lists and thumbnails."""

import math
import re
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from pydantic import ValidationError

from endoforge.captures.label_boxes import normalised_corners, usable_box
from endoforge.captures.overlay import TRUTH_COLOR, draw_boxes
from endoforge.captures.pictures import read_picture
from endoforge.captures.run_frames import LABEL_PATTERN, read_manifest
from endoforge.captures.schema import Corners, FrameLabel, PolypLabel, label_name
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.view.encoding import jpeg

MOST_RUNS = 200
RUN_NAME = re.compile(r"run_[A-Za-z0-9_-]{1,64}")
WIDTHS = (32, 1280)
"""Of thumbnails, the least and the most in pixels."""
MOST_NUMBER = 2**63
"""Frames have lower numbers: more than any run has, and no more than the index takes."""


class NotThere(UserError):
    """There is no such run or frame, or it can't be read; says which."""


class Library:
    """The runs of a folder, read anew at each question; any thread may ask."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._boxes: dict[str, dict[int, int]] = {}
        """Of each run that was listed, its frames with a label, and their boxes. Labels never
        change, so each is read once."""

    def runs(self) -> dict[str, Any]:
        """What the page shows of the newest MOST_RUNS runs, the newest first."""
        folders = sorted(self._folders(), key=lambda path: (len(path.name), path.name))[::-1]
        shown = folders[:MOST_RUNS]
        with self._lock:
            self._boxes = {path.name: self._read_boxes(path) for path in shown}
            rows = [_row(path, self._boxes[path.name]) for path in shown]
        listing = {"root": str(self._root), "runs": rows}
        return listing | ({"left_out": len(folders) - len(shown)} if folders[MOST_RUNS:] else {})

    def thumbnail(self, name: str, frame_id: int, *, width: int, overlay: bool) -> bytes:
        """A frame as a JPEG, `width` pixels wide, if it has so many; raises NotThere.

        `overlay` draws the boxes of its label.
        """
        label, run = self._label(name, frame_id)
        try:
            path = run / label.image
            if not path.resolve().is_relative_to(run.resolve()):
                raise NotThere(f"{name}: frame {frame_id} names a picture outside its run")
            picture = read_picture(path)
        except (Unusable, OSError, ValueError) as error:  # ValueError: a null, in no file's name
            raise NotThere(f"{name}: the picture of frame {frame_id} can't be read") from error
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

    def _folders(self) -> list[Path]:
        try:
            return [
                path
                for path in self._root.iterdir()
                if RUN_NAME.fullmatch(path.name) and path.is_dir()
            ]
        except OSError:
            return []

    def _read_boxes(self, run: Path) -> dict[int, int]:
        """The number of boxes of each frame of a run that has a label."""
        known, found = self._boxes.get(run.name, {}), dict[int, int]()
        try:
            paths = list((run / "labels").iterdir())
        except OSError:
            return found
        for path in paths:
            match = LABEL_PATTERN.fullmatch(path.name)
            if match is not None and (number := int(match[1])) < MOST_NUMBER:
                found[number] = known[number] if number in known else _count_boxes(path)
        return found

    def _label(self, name: str, frame_id: int) -> tuple[FrameLabel, Path]:
        if RUN_NAME.fullmatch(name) is None or not 0 <= frame_id < MOST_NUMBER:
            raise NotThere("no such run or frame")
        run = self._root / name
        try:
            data = read_regular(run / label_name(frame_id), MOST_LABEL_BYTES)
            label = FrameLabel.model_validate_json(as_utf8(data))
        except (OSError, ValidationError) as error:
            raise NotThere(f"{name}: no frame {frame_id} that can be read") from error
        return label, run


def _row(run: Path, boxes: dict[int, int]) -> dict[str, Any]:
    frames = sorted(boxes)
    row: dict[str, Any] = {
        "name": run.name,
        "frames": len(frames),
        "boxes": sum(boxes.values()),
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
