"""Capture runs that a command reads are never written to by it."""

from pathlib import Path

from endoforge.core.errors import UserError


def refuse_in_runs(flag: str, output: str | Path, root_flag: str, root: str | Path) -> None:
    """Raises UserError if `output` is the folder `root` of runs, or a run of it, or lies in one.

    Beside the runs, in the same folder, it may lie.
    """
    place, top = Path(output).resolve(), Path(root).resolve()
    if place == top:
        raise UserError(f"{flag} {output}: is the folder of {root_flag} itself; name another")
    for folder in (place, *place.parents):
        in_root = folder.parent == top and folder.name.startswith("run_")
        if in_root or (folder == top and (top / "labels").is_dir()):
            raise UserError(
                f"{flag} {output}: lies in a capture run of {root_flag} ({folder}), which is only "
                "read; name a place outside it"
            )
