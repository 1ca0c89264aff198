"""Copies chosen images for another labelling tool, under names that no two share."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from endoforge.captures.pictures import read_bytes
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import new_folder
from endoforge.core.progress import progress
from endoforge.select.pool import PoolFrame


def copy_frames(frames: Sequence[PoolFrame], folder: Path) -> None:
    """Copy the images of `frames` to `folder`, byte for byte; it is there with all, or not at all.

    They are called `run_1764161446512_frame_00012.png`, so that labels of them can be imported by
    these names. Raises UserError if the folder isn't empty, another process is making it, two
    frames would share a name, or an image can't be read any more.
    """
    names = [f"{frame.run.name}_{Path(frame.image).name}" for frame in frames]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(
            f"--copy-to {folder}: two runs have one name, so two images would be {name}; "
            "select from them one after the other"
        )
    try:
        with (
            new_folder(folder) as partial,
            progress("copying", len(frames), "images") as advance,
        ):
            for name, frame in zip(names, frames, strict=True):
                write_atomic(partial / name, read_bytes(frame.path))
                advance()
    except BlockingIOError as error:
        raise UserError(f"--copy-to {folder}: another process is making it; let it end") from error
    except Unusable as unusable:
        why = f"{unusable.reason} ({unusable.detail})"
        raise UserError(f"--copy-to {folder}: {why}; run the command again") from unusable
