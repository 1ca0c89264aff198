"""Copies of runs in a folder: which are whose, so that nothing else is ever removed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from endoforge.captures.index import RunInfo
from endoforge.captures.run_frames import IMAGE_SUFFIXES
from endoforge.captures.schema import MANIFEST_NAME, PICTURE_EXTRAS
from endoforge.core.errors import UserError
from endoforge.core.files import FolderLock, remove_unfinished
from endoforge.core.marks import facts_of, leave_mark, mark_of

COMMAND = "prune-empty"
FRAME_FOLDERS = ("labels", "images", "overlays", *PICTURE_EXTRAS)
"""Labels first: while old frames go, no label is left without its image."""


@contextmanager
def copies_in(output: Path, source: Path, runs: Sequence[RunInfo]) -> Iterator[list[str]]:
    """Make `output` ready to get copies of `runs`, the runs of `source`, and note that in its mark.

    Gives the runs that were copied from `source` before, and that it has no more. Until the end, no
    other process may do the same. Raises UserError, before anything is changed, for a folder of a
    run's name that is no copy of the run, or a link, and while another process is at it.
    """
    place, names = str(source.resolve()), {run.name for run in runs}
    copied = _copied(output)
    for run in runs:
        _refuse_other(output, source, run, copied)
    output.mkdir(parents=True, exist_ok=True)
    try:
        lock = FolderLock(output)
    except BlockingIOError as error:
        raise UserError(f"--output {output}: another {COMMAND} is writing it") from error
    try:
        gone = [name for name in copied.pop(place, []) if name not in names]
        gone = [name for name in gone if _is_real_folder(output / name)]
        inputs = {other: sorted(set(known) - names) for other, known in copied.items()}
        leave_mark(output, COMMAND, {"inputs": {**inputs, place: sorted({*names, *gone})}})
        for run in runs:
            _remove_unfinished(output / run.name)
        yield gone
        leave_mark(output, COMMAND, {"inputs": {**inputs, place: sorted(names)}})
    finally:
        lock.release()


def _copied(output: Path) -> dict[str, list[str]]:
    """The names of the runs that were copied there, by the input that they were copied from."""
    if mark_of(output) != COMMAND:
        return {}
    inputs: Any = facts_of(output).get("inputs")
    if not isinstance(inputs, dict):
        return {}
    return {
        place: [name for name in names if isinstance(name, str) and Path(name).name == name]
        for place, names in inputs.items()
        if isinstance(names, list)
    }


def _refuse_other(output: Path, source: Path, run: RunInfo, copied: dict[str, list[str]]) -> None:
    """Raises UserError if what has the run's name in `output` isn't its copy."""
    copy = output / run.name
    for folder in (copy, *(copy / name for name in FRAME_FOLDERS)):
        if folder.is_symlink():
            raise UserError(f"--output {output}: {folder} is a link, which isn't written through")
    for place in (place for place, names in copied.items() if run.name in names):
        original = Path(place) if Path(place).name == run.name else Path(place) / run.name
        if original.resolve() == run.path.resolve() or not original.is_dir():
            return
        raise UserError(
            f"--output {output} holds the copy of {original}, another run of the same name than "
            f"that of --input {source}: name another folder"
        )
    for file in _files_of_frames(copy):
        original = run.path / file.relative_to(copy)
        if not original.is_file() or original.read_bytes() != file.read_bytes():
            raise UserError(
                f"--output {output}: {file} isn't as in --input {source}, and {COMMAND} didn't "
                "make it, so it stays: were the two swapped? Else name another folder"
            )


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
    for name in run_files:
        (copy / name).unlink(missing_ok=True)
    for folder in (*(copy / name for name in FRAME_FOLDERS), copy):
        if _is_real_folder(folder) and not any(folder.iterdir()):
            folder.rmdir()
    return removed
