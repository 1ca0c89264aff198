"""The labels of one run, read and judged: the frames that can be used, and why others can't."""

import hashlib
import ntpath
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from endoforge.captures.label_boxes import (
    agree,
    normalised_corners,
    note_disagreement,
    usable_box,
)
from endoforge.captures.listing import RunFolders
from endoforge.captures.pictures import picture_size
from endoforge.captures.schema import MANIFEST_NAME, Corners, FrameLabel, PolypLabel, RunManifest
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8

LABEL_PATTERN = re.compile(r"frame_(\d+)\.json")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}
DIGEST_BYTES = 16


@dataclass
class RunFrames:
    """The N usable frames of a run by number, column by column, and a tally of what was dropped.

    `labels` and `images` are paths relative to the run, `image_bytes` sizes, `digests` the first 16
    bytes of the SHA-256 of each label's bytes; `boxes` is (M, 4) float32 xyxy in 0..1, of which
    each frame has as many as it has `classes` and Paris kinds (None where unknown).
    """

    labels: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    frame_ids: list[int] = field(default_factory=list)
    image_bytes: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    classes: list[tuple[str, ...]] = field(default_factory=list)
    paris: list[tuple[str | None, ...]] = field(default_factory=list)
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))
    tally: Tally = field(default_factory=Tally)


def read_manifest(run: Path) -> RunManifest | None:
    """The manifest of the run folder `run`; None if it has none.

    Raises OSError or ValidationError if it is there but can't be read.
    """
    try:
        data = read_regular(run / MANIFEST_NAME, MOST_LABEL_BYTES)
        return RunManifest.model_validate_json(as_utf8(data))
    except FileNotFoundError:
        return None


def read_run(folders: RunFolders, *, strict: bool) -> RunFrames:
    """Every label of a run; tallies frames of no use, and images without a label.

    A frame is of use if its picture is there and all of its boxes can be used. A malformed manifest
    is tallied too, and boxes whose two fields disagree. Raises UserError at the first of all these
    if `strict`.
    """
    run, tally = folders.path.name, Tally(strict=strict)
    frames, boxes = RunFrames(tally=tally), list[Corners]()
    label_folder = f"{folders.path / 'labels'}{os.sep}"
    claimed, sizes = set(), _Sizes()
    _check_manifest(folders, tally)
    for name in _label_names(folders, tally):
        where = f"{run}/labels/{name}"
        claimed.add(f"images/{name.removesuffix('.json')}")
        try:
            label, digest = _read_label(label_folder + name)
            image = _inner_path(label.image)
            claimed.add(posixpath.splitext(image)[0])
            num_bytes = _image_bytes(folders, label, image)
            corners, polyps = _usable_boxes(folders, label, image, sizes, tally, where)
        except Unusable as unusable:
            tally.drop(f"frame: {unusable.reason}", where, unusable.detail)
            continue
        frames.labels.append(f"labels/{name}")
        frames.images.append(image)
        frames.frame_ids.append(label.frame_id)
        frames.image_bytes.append(num_bytes)
        frames.digests.append(digest)
        frames.classes.append(tuple(polyp.class_name for polyp in polyps))
        frames.paris.append(tuple(polyp.paris_kind for polyp in polyps))
        boxes += corners
    for image in _images_without_label(folders, claimed):
        tally.drop("image: no label names it", f"{run}/{image}")
    frames.boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return frames


def _check_manifest(folders: RunFolders, tally: Tally) -> None:
    try:
        read_manifest(folders.path)
    except (OSError, ValidationError) as error:
        where = f"{folders.path.name}/{MANIFEST_NAME}"
        tally.drop("run: manifest malformed (its frames are kept)", where, _first_fault(error))


def _first_fault(error: OSError | ValidationError) -> str:
    """What is wrong with a file, in a line."""
    if isinstance(error, OSError):
        return str(error)
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else fault["msg"]


def _label_names(folders: RunFolders, tally: Tally) -> list[str]:
    numbered = []
    for name in folders.listing("labels").names:
        if match := LABEL_PATTERN.fullmatch(name):
            numbered.append((int(match[1]), name))
        elif name.endswith(".json"):
            where = f"{folders.path.name}/labels/{name}"
            tally.drop("frame: label not named frame_<number>.json", where)
    return [name for _, name in sorted(numbered)]


def _images_without_label(folders: RunFolders, claimed: set[str]) -> Iterator[str]:
    for name in folders.listing("images").names:
        stem, suffix = posixpath.splitext(name)
        if suffix.lower() in IMAGE_SUFFIXES and f"images/{stem}" not in claimed:
            yield f"images/{name}"


def _read_label(path: str) -> tuple[FrameLabel, bytes]:
    try:
        data = read_regular(path, MOST_LABEL_BYTES)
        label = FrameLabel.model_validate_json(as_utf8(data))
    except (OSError, ValidationError) as error:
        raise Unusable("label malformed", _first_fault(error)) from error
    return label, hashlib.sha256(data).digest()[:DIGEST_BYTES]


def _inner_path(image: str) -> str:
    """`image` in its plainest form, forward slashes; raises Unusable if it leaves the run."""
    path = posixpath.normpath(image.replace("\\", "/"))
    if posixpath.isabs(path) or ntpath.splitdrive(path)[0] or path.split("/")[0] == "..":
        raise Unusable("image path leaves the run folder", image)
    return path


def _image_bytes(folders: RunFolders, label: FrameLabel, image: str) -> int:
    """The image's size; raises Unusable if it isn't there, or lies outside the run by a link."""
    if not label.image_present:
        raise Unusable("image_present is false")
    if (size := folders.plain_size(image)) is not None:
        return size
    path = folders.path / image
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise Unusable("image missing", str(error)) from error
    if size is None:
        raise Unusable("image missing", image)
    if folders.leads_out(path):
        raise Unusable("image path leaves the run folder", image)
    return size


def _usable_boxes(
    folders: RunFolders, label: FrameLabel, image: str, sizes: "_Sizes", tally: Tally, where: str
) -> tuple[list[Corners], list[PolypLabel]]:
    """Boxes of the polyps that can be seen, and their labels.

    Raises Unusable if one of them can't be used: a frame without it would show a polyp that its
    label doesn't have. Tallies boxes whose two fields disagree.
    """
    boxes, polyps = [], []
    seen = [polyp for polyp in label.polyp_labels if polyp.bbox_px or polyp.bbox_norm]
    size = sizes.of(folders.path / image, seen)
    for number, polyp in enumerate(seen, 1):
        corners = normalised_corners(polyp, size)
        if corners is None:
            continue
        note_disagreement(polyp, number, size, tally, where)
        boxes.append(usable_box(corners))
        polyps.append(polyp)
    return boxes, polyps


class _Sizes:
    """Sizes of a run's pictures: a picture is opened only where its label leaves that open.

    Most runs have pictures of one size. One with which a label's pixels and shares of 0..1 agree is
    taken without a look.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def of(self, image: Path, polyps: list[PolypLabel]) -> tuple[int, int]:
        """(width, height); raises Unusable for a picture without a header that it needs."""
        if all(polyp.bbox_px is None for polyp in polyps):
            return 1, 1  # shares of the picture need no size
        if self._last is not None and all(
            polyp.bbox_norm is not None and agree(polyp, self._last) for polyp in polyps
        ):
            return self._last
        self._last = picture_size(image)
        return self._last
