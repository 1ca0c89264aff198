"""Labels as they lie on the disk, and as the page shows them."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from endoforge.captures.label_boxes import normalised_corners, usable_box
from endoforge.captures.schema import Corners, FrameLabel, PolypLabel
from endoforge.captures.tally import Unusable
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.view.labelling.label_messages import FrameStatus, FrameView
from endoforge.view.labelling.shelf import status_of
from endoforge.view.run_files import RunFiles

DIGEST_DIGITS = 32


@dataclass(frozen=True)
class StoredLabel:
    """The label of a frame as its file is now.

    `digest` is of the file's bytes, None if there is none; `fields` are what it says, also what
    other programs have written there; `label` is None if that can't be used.
    """

    digest: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    label: FrameLabel | None = None

    @property
    def status(self) -> FrameStatus:
        """How the frame stands."""
        if self.label is not None:
            return status_of(self.label)
        return "unlabelled" if self.digest is None else "unreadable"

    def raw_polyps(self) -> list[dict[str, Any]]:
        """What the file says of each polyp of `label`."""
        return [] if self.label is None else self.fields["polyp_labels"]


def read_stored(run: RunFiles, frame_id: int) -> StoredLabel:
    """Read a frame's label; raises OSError if the disk doesn't give it."""
    try:
        data = read_regular(run.label_path(frame_id), MOST_LABEL_BYTES)
    except FileNotFoundError:
        return StoredLabel()
    digest = hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]
    try:
        fields = parse_json(as_utf8(data))
        return StoredLabel(digest, fields, FrameLabel.model_validate(fields))
    except ValueError:  # of the JSON, or of what it says
        return StoredLabel(digest)


@dataclass(frozen=True)
class FrameOnDisk:
    """One frame of a run with its label."""

    run: RunFiles
    frame_id: int
    stored: StoredLabel

    @classmethod
    def read(cls, run: RunFiles, frame_id: int) -> "FrameOnDisk":
        """The frame as it is now."""
        return cls(run, frame_id, read_stored(run, frame_id))

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of its picture; raises NotThere if that can't be read."""
        return self.run.picture_size(self.frame_id, self.stored.label)

    @cached_property
    def polyps(self) -> dict[int, PolypLabel]:
        """The polyps that can be shown by their place in the label, with boxes in pixels."""
        return self._read_polyps[0]

    @property
    def problem(self) -> str | None:
        """What of the label can't be shown."""
        if self.stored.status == "unreadable":
            return "its label can't be read: what you confirm here takes its place"
        return "; ".join(self._read_polyps[1]) or None

    @property
    def is_locked(self) -> bool:
        """Whether its label is the simulator's own truth."""
        label = self.stored.label
        if label is None or self.stored.status != "given":
            return False
        return label.source == "simulated" or (label.source is None and self.run.is_simulated)

    def view(self) -> FrameView:
        """What the page gets of it."""
        label = self.stored.label
        return FrameView(
            run=self.run.name,
            frame_id=self.frame_id,
            status=self.stored.status,
            digest=self.stored.digest,
            width=self.size[0],
            height=self.size[1],
            polyp_labels=list(self.polyps.values()),
            source=None if label is None else label.source,
            reviewed=label is not None and bool(label.reviewed),
            locked=self.is_locked,
            problem=self.problem,
        )

    @cached_property
    def _read_polyps(self) -> tuple[dict[int, PolypLabel], list[str]]:
        shown, faults = {}, []
        label = self.stored.label
        for place, polyp in enumerate([] if label is None else label.polyp_labels):
            try:
                corners = normalised_corners(polyp, self.size)
                box = None if corners is None else usable_box(corners)
            except Unusable as fault:
                faults.append(f"box {place + 1} can't be used ({fault.reason}): saving removes it")
                continue
            pixels = polyp.bbox_px if is_within(polyp.bbox_px, self.size) else None
            if pixels is None and box is not None:
                pixels = in_pixels(box, self.size)
            shown[place] = polyp.model_copy(update={"bbox_px": pixels, "bbox_norm": box})
        return shown, faults


def is_within(box: Corners | None, size: tuple[int, int]) -> bool:
    """Whether a box in pixels has an area, and all of it within a picture of `size`."""
    if box is None:
        return False
    (x0, y0, x1, y1), (width, height) = box, size
    return 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height


def in_pixels(box: Corners, size: tuple[int, int]) -> Corners:
    """A box in 0..1 in the pixels of a picture of `size`."""
    (x0, y0, x1, y1), (width, height) = box, size
    return x0 * width, y0 * height, x1 * width, y1 * height


def in_shares(box: Corners, size: tuple[int, int]) -> Corners:
    """A box in pixels of a picture of `size`, in 0..1."""
    (x0, y0, x1, y1), (width, height) = box, size
    return x0 / width, y0 / height, x1 / width, y1 / height
