"""Every frame of a folder of runs that can be used, and a count of what can't be, and why."""

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from endoforge.captures.run_frames import FrameRecord, read_manifest, usable_frames
from endoforge.captures.schema import MANIFEST_NAME, RunManifest
from endoforge.captures.tally import Tally
from endoforge.core.choices import LabelField
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.core.text import counted, printable

MAKE_RUNS = "make runs with `endoforge datagen` or `endoforge import`"
MOST_NAMED = 3
ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


@dataclass(frozen=True)
class RunInfo:
    """A run folder at `path`, and its name there."""

    name: str
    path: Path

    @cached_property
    def manifest(self) -> RunManifest | None:
        """The run's manifest, read when first asked for; None where none can be read."""
        try:
            return read_manifest(self.path)
        except (OSError, ValidationError):
            return None


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


def index_root(
    root: Path,
    *,
    label_field: LabelField = "label",
    strict: bool = False,
    predicted: bool = False,
) -> CaptureIndex:
    """Read every label under `root`, a folder of `run_*` folders or one run folder.

    Of one run folder, the index's root is its parent, so that keys look alike either way. Frames
    without a box are kept: they are negatives. A frame of which a box can't be used is dropped, and
    so is one with a polyp that has no `label_field`, which names the classes: without its box the
    polyp would be background. Frames that are a detector's word, which nobody has looked at, are
    dropped unless `predicted` asks for them too: they are no truth. Raises UserError if there is no
    run, and, if `strict`, at the first thing that would have been dropped, naming its path and the
    reason.
    """
    folders = find_runs(root)
    index = CaptureIndex(root=folders[0].parent, tally=Tally(strict=strict))
    folders = [folder for folder in folders if has_plain_name(folder, index.tally)]
    with progress("reading labels", len(folders), "runs") as advance:
        for folder in folders:
            index.runs.append(RunInfo(folder.name, folder))
            for record, _ in usable_frames(folder, label_field, index.tally, predicted=predicted):
                index.frames.append(record)
            advance()
    return index


def find_runs(root: Path) -> list[Path]:
    """The run folders of `root` in order; `root` itself if it is one. UserError for neither."""
    root = root.absolute()
    if not root.is_dir():
        raise UserError(_why_no_folder(root))
    if folders := _run_folders(root):
        return sorted(folders, key=_run_order)
    if (root / "labels").is_dir():
        return [root.resolve()]
    if shards := len(list(root.glob("*.tar"))):
        raise UserError(
            f"no capture runs in {root}, but {counted(shards, 'shard')} (*.tar), which only train "
            f"reads: {_runs_of_shards(root)}"
        )
    if within := sorted(one for one in _subfolders(root) if _run_folders(one)):
        names = ", ".join(printable(str(one)) for one in within[:MOST_NAMED])
        more = f" and {len(within) - MOST_NAMED} more" if len(within) > MOST_NAMED else ""
        raise UserError(
            f"no capture runs in {root} itself, but in {names}{more}: name one of these"
        )
    raise UserError(
        f"no capture runs in {root}: looked for folders named run_* and for a labels folder; "
        f"{MAKE_RUNS}, or name another folder"
    )


def _why_no_folder(path: Path) -> str:
    """What lies there in place of a folder of runs, and what to type."""
    if not path.is_file():
        return f"no folder {path}: {MAKE_RUNS}, or name another folder"
    from endoforge.captures.video import SUFFIXES  # PyAV takes its time

    suffix = path.suffix.lower()
    if suffix == ".tar":
        mend = f"train takes their folder, {path.parent}; {_runs_of_shards(path.parent)}"
        return f"{path} is a shard, no folder of runs: {mend}"
    if suffix in SUFFIXES:
        mend = f"`endoforge import --video {path}` makes a run of it, to be labelled"
        return f"{path} is a video, no folder of runs: {mend}"
    if suffix in ARCHIVES:
        return f"{path} is an archive, no folder of runs: unpack it, and name the folder"
    return f"{path} is a file, no folder of runs: name the folder that holds them, or {MAKE_RUNS}"


def _runs_of_shards(folder: Path) -> str:
    return f"`endoforge import --format webdataset --images {folder}` makes runs of them"


def _subfolders(root: Path) -> list[Path]:
    return [one for one in root.iterdir() if one.is_dir() and os.access(one, os.R_OK | os.X_OK)]


def _run_folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as found:
            names = [one.name for one in found if one.name.startswith("run_") and one.is_dir()]
    except OSError as error:
        raise UserError(f"can't read the folder {root}: {error.strerror}") from error
    return [root / name for name in names]


def holds_runs(folder: Path) -> bool:
    """Whether it is a run's folder, or one in which runs lie; not one of pictures drawn of runs."""
    return folder.is_dir() and (is_run(folder) or any(map(is_run, _run_folders(folder))))


def is_run(folder: Path) -> bool:
    """Whether a run's data lies in `folder`, also without its labels."""
    if (folder / "labels").is_dir() or (folder / MANIFEST_NAME).is_file():
        return True
    return folder.name.startswith("run_") and (folder / "images").is_dir()


def has_plain_name(folder: Path, tally: Tally) -> bool:
    """Whether manifests, which are JSON, can hold the run's name; one that isn't so is dropped."""
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        tally.drop("run: its name isn't UTF-8; rename the folder", folder.name)
        return False
    return True


def _run_order(folder: Path) -> tuple[bool, int, str]:
    """Numbered runs by number, then the others by name."""
    number = folder.name.removeprefix("run_")
    numbered = number.isascii() and number.isdigit()
    return not numbered, int(number) if numbered else 0, folder.name
