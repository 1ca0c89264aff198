"""The labels of one run, read and judged: the frames that can be used, and why others can't."""

import hashlib
import math
import ntpath
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from endoforge.captures.label_boxes import (
    agree,
    normalised_corners,
    note_disagreement,
    note_namelessness,
    usable_box,
)
from endoforge.captures.listing import RunFolders
from endoforge.captures.pictures import picture_size
from endoforge.captures.schema import MANIFEST_NAME, Corners, FrameLabel, PolypLabel, RunManifest
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.choices import LabelField
from endoforge.core.reading import MOST_LABEL_BYTES, read_ahead, read_regular
from endoforge.core.text import as_utf8

LABEL_PATTERN = re.compile(r"frame_(\d+)\.json")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}
DIGEST_BYTES = 16
AWAITS_REVIEW = "predicted, and nobody has looked at it (`endoforge sim-view`, Labels, does it)"


@dataclass(frozen=True, eq=False, slots=True)
class FrameRecord:
    """One usable frame of the run folder `run_path`, whose name is `run`.

    `label` and `image` are paths relative to the run, with forward slashes; `image_bytes` is the
    image's size, `digest` the first 16 bytes of the SHA-256 of the label's bytes; `boxes` is (K, 4)
    float32 xyxy in 0..1, `classes` the K class names, of the field that the index was asked for.
    Of these K polyps, `polyp_ids` name them through the run, `kinds` are their Paris kinds, and
    `diameters_mm` their sizes; None where the label doesn't say. `seconds` is the frame's time in
    its run, always finite. `scores` are how sure a detector was of each, where it was one that said
    it is there, and `unreviewed` says of which of them that is all there is. A frame that
    `awaits_review` is no truth, also where it has no box: no index gives it unless it is asked to.
    """

    run: str
    run_path: Path
    frame_id: int
    label: str
    image: str
    digest: bytes
    image_bytes: int
    classes: tuple[str, ...]
    boxes: NDArray[np.float32]
    polyp_ids: tuple[int | None, ...]
    kinds: tuple[str | None, ...]
    diameters_mm: tuple[float | None, ...]
    seconds: float
    scores: tuple[float | None, ...] = ()
    unreviewed: tuple[bool, ...] = ()
    awaits_review: bool = False

    @property
    def key(self) -> str:
        """The label's path relative to the root, with forward slashes: names the frame."""
        return f"{self.run}/{self.label}"

    @property
    def label_path(self) -> Path:
        """The path of the label's file."""
        return self.run_path / self.label

    @property
    def image_path(self) -> Path:
        """The path of the image's file."""
        return self.run_path / self.image


def read_manifest(run: Path) -> RunManifest | None:
    """The manifest of the run folder `run`; None if it has none.

    Raises OSError or ValidationError if it is there but can't be read.
    """
    try:
        data = read_regular(run / MANIFEST_NAME, MOST_LABEL_BYTES)
        return RunManifest.model_validate_json(as_utf8(data))
    except FileNotFoundError:
        return None


def label_of(run: Path, path: Path) -> FrameLabel | None:
    """The label of the image at `path` of the run folder `run`; None if none can be read."""
    try:
        data = read_regular(run / "labels" / f"{path.stem}.json", MOST_LABEL_BYTES)
        return FrameLabel.model_validate_json(as_utf8(data))
    except (OSError, ValidationError):
        return None


def usable_frames(
    run: Path, label_field: LabelField, tally: Tally, *, predicted: bool = False
) -> Iterator[tuple[FrameRecord, FrameLabel]]:
    """Every usable frame of the run folder `run`, by number; tallies what is of no use, and why.

    A frame is of use if its picture is there, no part of its label is a prediction that nobody has
    looked at, all of its boxes can be used, and all of their polyps have the `label_field` that
    names their class. `predicted` asks for what nobody has looked at too, which is no truth. Images
    without a label are tallied too, so are a malformed manifest, boxes whose two fields disagree,
    and times that are none. Raises UserError at the first of all these if the tally is strict, and
    if the labels or the images can't be listed.
    """
    folders, sizes = RunFolders(run), _Sizes()
    label_folder = f"{run / 'labels'}{os.sep}"  # joined as text: a Path a label takes its time
    claimed = set()
    _check_manifest(run, tally)
    names = _label_names(folders, tally)
    # A disk brings many small files sooner than one after the other: this halves the time of an
    # index whose files aren't in the system's memory, and costs next to nothing where they are.
    read_ahead((label_folder + name for name in names), MOST_LABEL_BYTES)
    for name in names:
        where = f"{run.name}/labels/{name}"
        claimed.add(f"images/{name.removesuffix('.json')}")
        try:
            label, digest = _read_label(label_folder + name)
            image = _inner_path(label.image)
            claimed.add(posixpath.splitext(image)[0])
            if label.awaits_review and not predicted:
                raise Unusable(AWAITS_REVIEW)
            num_bytes = _image_bytes(folders, label, image)
            boxes = _usable_boxes(folders, label, image, sizes, tally, where)
            polyps = label.seen_polyps
            classes = classes_of(polyps, label_field)
            note_namelessness(polyps, tally, where)
        except Unusable as unusable:
            tally.drop(f"frame: {unusable.reason}", where, unusable.detail)
            continue
        record = FrameRecord(
            run=run.name,
            run_path=run,
            frame_id=label.frame_id,
            label=f"labels/{name}",
            image=image,
            digest=digest,
            image_bytes=num_bytes,
            classes=classes,
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            polyp_ids=tuple(polyp.name for polyp in polyps),
            kinds=tuple(polyp.paris_kind for polyp in polyps),
            diameters_mm=tuple(polyp.size_mm for polyp in polyps),
            seconds=_seconds(label, tally, where),
            scores=tuple(map(_score, polyps)),
            unreviewed=tuple(polyp.awaits_review for polyp in polyps),
            awaits_review=label.awaits_review,
        )
        yield record, label
    for image in _images_without_label(folders, claimed):
        tally.drop("image: no label names it", f"{run.name}/{image}")


def _check_manifest(run: Path, tally: Tally) -> None:
    try:
        read_manifest(run)
    except (OSError, ValidationError) as error:
        where = f"{run.name}/{MANIFEST_NAME}"
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
) -> list[Corners]:
    """Boxes of the polyps that can be seen.

    Raises Unusable if one of them can't be used: a frame without it would show a polyp that its
    label doesn't have. Tallies boxes whose two fields disagree.
    """
    boxes = []
    size = sizes.of(folders.path / image, label.seen_polyps)
    for number, polyp in enumerate(label.seen_polyps, 1):
        corners = normalised_corners(polyp, size)
        if corners is not None:
            note_disagreement(polyp, number, size, tally, where)
            boxes.append(usable_box(corners))
    return boxes


def _seconds(label: FrameLabel, tally: Tally, where: str) -> float:
    """The frame's time; one that is none is tallied, and the frame's number is its place in time:
    its picture and its boxes are as good as any."""
    if math.isfinite(label.sim_time):
        return label.sim_time
    reason = "label: sim_time is no number (its frame_id counts as seconds)"
    tally.drop(reason, where, str(label.sim_time))
    return float(label.frame_id)


def _score(polyp: PolypLabel) -> float | None:
    """How sure a detector was of it; None where nobody says, and for what is no number."""
    is_number = polyp.score is not None and math.isfinite(polyp.score)
    return polyp.score if is_number else None


def classes_of(polyps: tuple[PolypLabel, ...], label_field: LabelField) -> tuple[str, ...]:
    """The class of each polyp; raises Unusable if one has none, for it would be background."""
    if label_field == "label":
        return tuple(polyp.class_name for polyp in polyps)
    kinds = tuple(polyp.paris_kind for polyp in polyps)
    if None in kinds:
        raise Unusable(f"a polyp without {label_field}")
    return tuple(kind for kind in kinds if kind is not None)


class _Sizes:
    """Sizes of a run's pictures: a picture is opened only where its label leaves that open.

    Most runs have pictures of one size. One with which a label's pixels and shares of 0..1 agree is
    taken without a look.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def of(self, image: Path, polyps: tuple[PolypLabel, ...]) -> tuple[int, int]:
        """(width, height); raises Unusable for a picture without a header that it needs."""
        if all(polyp.bbox_px is None for polyp in polyps):
            return 1, 1  # shares of the picture need no size
        if self._last is not None and all(
            polyp.bbox_norm is not None and agree(polyp, self._last) for polyp in polyps
        ):
            return self._last
        self._last = picture_size(image)
        return self._last
