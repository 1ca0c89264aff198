"""Copies of runs in a folder: which are whose, so that nothing else is ever removed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from endoforge.captures.index import RunInfo
from endoforge.captures.run_frames import IMAGE_SUFFIXES
from endoforge.captures.schema import MANIFEST_NAME, PICTURE_EXTRAS
from endoforge.core.errors import UserError
from endoforge.core.files import FolderLock, remove_unfinished
from endoforge.core.marks import MARK_NAME, facts_of, leave_mark, mark_of
from endoforge.core.reading import MOST_PICTURE_BYTES, read_regular
from endoforge.core.text import printable

COMMAND = "prune-empty"
FRAME_FOLDERS = ("labels", "images", "overlays", *PICTURE_EXTRAS)
"""Labels first: while old frames go, no label is left without its image."""


@contextmanager
def copies_in(output: Path, source: Path, runs: Sequence[RunInfo]) -> Iterator[list[str]]:
    """Hold `output` for copies of `runs`, the runs of `source`; no other process may meanwhile.

    Gives the names of the copied runs that `source` has no more. Raises UserError, before anything
    is changed, for a folder of a run's name that is no copy of the run, or a link, and while
    another process is at it.
    """
    for run in runs:
        _refuse_other(output, source, run)
    output.mkdir(parents=True, exist_ok=True)
    try:
        lock = FolderLock(output)
    except BlockingIOError as error:
        raise UserError(f"--output {output}: another {COMMAND} is writing it") from error
    try:
        for run in runs:
            _remove_unfinished(output / run.name)
        yield _no_longer_there(output, source, {run.name for run in runs})
    finally:
        lock.release()


def leave_copy_mark(copy: Path, run: RunInfo) -> None:
    """Say in the folder `copy`, made if need be, that it is a copy of the run."""
    copy.mkdir(parents=True, exist_ok=True)
    leave_mark(copy, COMMAND, {"copy_of": printable(str(run.path.resolve()))})


def _copied_from(copy: Path) -> Path | None:
    """The run that `copy` is marked as a copy of; None if it isn't, or was renamed since."""
    original = facts_of(copy).get("copy_of")
    if mark_of(copy) != COMMAND or not isinstance(original, str):
        return None
    return Path(original) if Path(original).name == copy.name else None


def _no_longer_there(output: Path, source: Path, names: set[str]) -> list[str]:
    gone = []
    for copy in sorted(output.glob("run_*")):
        original = _copied_from(copy) if _is_real_folder(copy) else None
        if original and copy.name not in names and original.parent == source.resolve():
            gone.append(copy.name)
    return gone


def _refuse_other(output: Path, source: Path, run: RunInfo) -> None:
    """Raises UserError if what has the run's name in `output` isn't its copy."""
    copy = output / run.name
    for folder in (copy, *(copy / name for name in FRAME_FOLDERS)):
        if folder.is_symlink():
            raise UserError(f"--output {output}: {folder} is a link, which isn't written through")
    original = _copied_from(copy)
    if original is not None:
        if original == run.path.resolve() or not original.is_dir():
            return
        raise UserError(
            f"--output {output} holds the copy of {original}, another run of the same name than "
            f"that of --input {source}: name another folder"
        )
    for file in _files_of_frames(copy):
        original = run.path / file.relative_to(copy)
        if not original.is_file() or _content(original) != _content(file):
            raise UserError(
                f"--output {output}: {file} isn't as in --input {source}, and {COMMAND} didn't "
                "make it, so it stays: were the two swapped? Else name another folder"
            )


def _content(path: Path) -> bytes:
    return read_regular(path, MOST_PICTURE_BYTES)


def _files_of_frames(run: Path) -> Iterator[Path]:
    for folder in ("labels", "images"):
        if (run / folder).is_dir():
            yield from sorted(path for path in (run / folder).iterdir() if path.is_file())


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove_unfinished(copy: Path) -> None:
    """What a killed call left: files that had not got their names."""
    for folder, names in ((copy, MANIFEST_NAME), *((copy / f, "*") for f in FRAME_FOLDERS)):
        if _is_real_folder(folder):
            remove_unfinished(folder, names)


def remove_stale_frames(copy: Path, kept: set[Path]) -> int:
    """Remove a copied run's frames but for the files `kept`; how many labels went."""
    removed = 0
    for name in FRAME_FOLDERS:
        if not _is_real_folder(copy / name):
            continue
        for path in sorted((copy / name).iterdir()):
            if path not in kept and _is_of_a_frame(name, path):
                path.unlink()
                removed += name == "labels"
    return removed


def _is_of_a_frame(folder: str, path: Path) -> bool:
    """Images may have any name; what else is of a frame is named as its label is."""
    if path.is_dir():
        return False
    is_image = folder == "images" and path.suffix.lower() in IMAGE_SUFFIXES
    return is_image or path.name.startswith("frame_")


def remove_copied_run(copy: Path, run_files: Sequence[str]) -> int:
    """Remove a copied run: its frames, `run_files`, and folders that are then empty.

    What else lies there stays. How many labels went.
    """
    if not _is_real_folder(copy):
        return 0
    removed = remove_stale_frames(copy, set())
    for name in (*run_files, MARK_NAME):
        (copy / name).unlink(missing_ok=True)
    for folder in (*(copy / name for name in FRAME_FOLDERS), copy):
        if _is_real_folder(folder) and not any(folder.iterdir()):
            folder.rmdir()
    return removed
