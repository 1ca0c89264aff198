"""Every frame of a folder of runs that can be used, and a count of what can't be, and why."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from endoforge.captures.boxes import normalised_corners, usable_box
from endoforge.captures.pictures import picture_size
from endoforge.captures.schema import MANIFEST_NAME, FrameLabel, RunManifest
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.progress import progress

LABEL_PATTERN = re.compile(r"frame_(\d+)\.json")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class RunInfo:
    """One run folder; `manifest` is None where there is none that can be read."""

    name: str
    path: Path
    manifest: RunManifest | None


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One usable frame. `boxes` is (K, 4) float32 xyxy in 0..1, `classes` the K class names."""

    run: str
    frame_id: int
    image_path: Path
    label_path: Path
    boxes: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def key(self) -> str:
        """The label's path relative to the root, with forward slashes: names the frame."""
        return f"{self.run}/labels/{self.label_path.name}"


@dataclass
class CaptureIndex:
    """The runs under `root` and their usable frames: runs by number, frames by number."""

    root: Path
    runs: list[RunInfo] = field(default_factory=list)
    frames: list[FrameRecord] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def dropped(self) -> Counter[str]:
        """How much was dropped, by reason; a reason starts with what: frame, box, image, run."""
        return self.tally.counts

    @property
    def examples(self) -> dict[str, list[str]]:
        """The first few of what was dropped, by reason."""
        return self.tally.examples


def index_root(root: Path, *, strict: bool = False) -> CaptureIndex:
    """Read every label under `root`, a folder of `run_*` folders or one run folder.

    Of one run folder, the index's root is its parent, so that keys look alike either way. Frames
    without a box are kept: they are negatives. Raises UserError if there is no run, and, if
    `strict`, at the first thing that would have been dropped, naming its path and the reason.
    """
    folders = _find_runs(root)
    index = CaptureIndex(root=folders[0].parent, tally=Tally(strict=strict))
    with progress("reading labels", len(folders), "runs") as advance:
        for folder in folders:
            run = RunInfo(folder.name, folder, _read_manifest(folder, index.tally))
            index.runs.append(run)
            index.frames.extend(_read_frames(run, index.tally))
            advance()
    return index


def _find_runs(root: Path) -> list[Path]:
    """The run folders in order; `root` itself if it is one."""
    root = root.absolute()
    if not root.is_dir():
        raise UserError(
            f"no folder {root}: record runs with `endoforge datagen`, or name another folder"
        )
    folders = [folder for folder in root.glob("run_*") if folder.is_dir()]
    if folders:
        return sorted(folders, key=_run_order)
    if (root / "labels").is_dir():
        return [root.resolve()]
    raise UserError(
        f"no capture runs in {root}: looked for folders named run_* and for a labels folder; "
        "record runs with `endoforge datagen`, or name another folder"
    )


def _run_order(folder: Path) -> tuple[bool, int, str]:
    """Numbered runs by number, then the others by name."""
    number = folder.name.removeprefix("run_")
    numbered = number.isascii() and number.isdigit()
    return not numbered, int(number) if numbered else 0, folder.name


def _read_manifest(folder: Path, tally: Tally) -> RunManifest | None:
    path = folder / MANIFEST_NAME
    try:
        return RunManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        where = f"{folder.name}/{MANIFEST_NAME}"
        tally.drop("run: manifest malformed (its frames are kept)", where, _first_fault(error))
        return None


def _read_frames(run: RunInfo, tally: Tally) -> Iterator[FrameRecord]:
    """The usable frames of a run by number; tallies the others, and images without a label."""
    claimed = set()
    for path in _label_files(run, tally):
        where = f"{run.name}/labels/{path.name}"
        claimed.add(f"images/{path.stem}")
        try:
            label = _read_label(path)
            image = _inner_path(label.image)
            claimed.add(posixpath.splitext(image)[0])
            yield _read_frame(run, path, label, image, tally)
        except Unusable as unusable:
            tally.drop(f"frame: {unusable.reason}", where, unusable.detail)
    for path in _visible_files(run.path / "images"):
        if path.suffix.lower() in IMAGE_SUFFIXES and f"images/{path.stem}" not in claimed:
            tally.drop("image: no label names it", f"{run.name}/images/{path.name}")


def _label_files(run: RunInfo, tally: Tally) -> list[Path]:
    numbered = []
    for path in _visible_files(run.path / "labels"):
        if match := LABEL_PATTERN.fullmatch(path.name):
            numbered.append((int(match[1]), path.name, path))
        elif path.suffix == ".json":
            where = f"{run.name}/labels/{path.name}"
            tally.drop("frame: label not named frame_<number>.json", where)
    return [path for _, _, path in sorted(numbered)]


def _visible_files(folder: Path) -> list[Path]:
    """Names with a leading dot are unfinished files of a recorder, or a desktop's own."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _read_label(path: Path) -> FrameLabel:
    try:
        return FrameLabel.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Unusable("label malformed", _first_fault(error)) from error


def _first_fault(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return str(error)
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else fault["msg"]


def _inner_path(image: str) -> str:
    """`image` in its plainest form, forward slashes; raises Unusable if it leaves the run."""
    path = posixpath.normpath(image.replace("\\", "/"))
    if posixpath.isabs(path) or PureWindowsPath(path).drive or path.split("/")[0] == "..":
        raise Unusable("image path leaves the run folder", image)
    return path


def _read_frame(
    run: RunInfo, label_path: Path, label: FrameLabel, image: str, tally: Tally
) -> FrameRecord:
    if not label.image_present:
        raise Unusable("image_present is false")
    image_path = run.path / image
    try:
        present = image_path.is_file()
    except OSError as error:
        raise Unusable("image missing", str(error)) from error
    if not present:
        raise Unusable("image missing", image)
    if not image_path.resolve().is_relative_to(run.path.resolve()):
        raise Unusable("image path leaves the run folder", image)
    boxes, classes = _usable_boxes(label, image_path, f"{run.name}/labels/{label_path.name}", tally)
    return FrameRecord(run.name, label.frame_id, image_path, label_path, boxes, classes)


def _usable_boxes(
    label: FrameLabel, image_path: Path, where: str, tally: Tally
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """(K, 4) float32 and K class names of the polyps that can be seen; tallies the rest."""
    boxes, classes = [], []
    for polyp in label.polyp_labels:
        corners = normalised_corners(polyp, partial(picture_size, image_path))
        if corners is None:
            continue
        try:
            boxes.append(usable_box(corners))
            classes.append(polyp.class_name)
        except Unusable as unusable:
            tally.drop(f"box: {unusable.reason}", where, unusable.detail)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), tuple(classes)
