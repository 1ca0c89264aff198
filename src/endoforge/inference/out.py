"""Tries the folder of `detect`'s results before work begins, and holds it for one process."""

from pathlib import Path

from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.errors import UserError
from endoforge.core.folders import FolderLock, make_folder
from endoforge.core.outputs import (
    check_output_file,
    check_output_folder,
    refuse_same,
    refuse_within,
)
from endoforge.inference.config import DetectConfig
from endoforge.inference.drawings import (
    DRAWN,
    IMAGES,
    LINES,
    REPORT,
    RESULTS,
    TRACKS,
    drawings_around,
)
from endoforge.inference.growing import cant_write


def check_out(config: DetectConfig) -> None:
    """Check that results can go to `config.output` and overlap nothing that is read; UserError."""
    out, flag = Path(config.output), f"--output {config.output}"
    check_output_folder("--output", out)
    for name in (LINES, RESULTS, IMAGES, TRACKS, REPORT):
        check_output_file("--output", out / name)
        refuse_same({"--annotations": config.annotations, "--output": out / name})
    for path in map(Path, config.paths):
        if path.is_dir() and path.resolve() == out.resolve():
            raise UserError(f"{flag}: is searched for pictures; name another, such as {out}/found")
        if path.resolve().is_relative_to(out.resolve() / DRAWN):
            raise UserError(
                f"{flag}: {path} is among its drawings, which detect replaces; name another"
            )
    for folder in (out.resolve(), *out.resolve().parents):
        if (folder / MANIFEST_NAME).is_file():
            refuse_within("--output", out, "the capture run", folder)
    if (drawings := drawings_around(out)) is not None:
        refuse_within("--output", out, "drawn pictures", drawings)


def lock_out(out: Path) -> FolderLock:
    """Make the folder and hold it; raises UserError if that fails, or if another process does."""
    try:
        make_folder(out)
        return FolderLock(out)
    except BlockingIOError as error:
        raise UserError(
            f"--output {out}: another process is writing there; let it end, or name another folder"
        ) from error
    except OSError as error:
        raise cant_write(out, error) from error
