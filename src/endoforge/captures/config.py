"""What the commands on capture runs can be told; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from endoforge.core.errors import UserError
from endoforge.roots.places import RootFlag, refuse_cloud


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """Copy the frames that show at least one polyp to another folder.

    The input is never changed. Run it again after recording more: frames that are already there
    are left alone, and frames and runs that the input no longer has are removed from the copy. Only
    what this command has copied is ever removed or written over; files of it that were changed
    since are kept in the run's folder kept-1.
    """

    input: RootFlag = "assets/datasets/captures"
    """Folder that holds the capture runs (run_* folders), or one run; or an address of either."""

    output: str = "assets/datasets/captures_filtered"
    """Folder for the copies; made if need be, must lie outside the input."""

    def __post_init__(self) -> None:
        _need_name("--input", self.input)
        _need_name("--output", self.output)
        why = "is kept like the input, so it must be a folder of this machine; name one"
        refuse_cloud("--output", self.output, why)


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """Draw the boxes of runs' labels on their frames, to look at them."""

    paths: Positional[Annotated[tuple[str, ...], arg(metavar="RUN... [OUT]")]] = ()
    """Runs, such as assets/datasets/captures/run_1764161446512, or a folder of them; last, if it
    holds no run, the folder for the pictures: RUN/overlays if not given. Of several runs each gets
    a folder in it."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise UserError("RUN: name the folder of a run")
        for path in self.paths:
            _need_name("RUN", path)


def _need_name(flag: str, folder: str) -> None:
    if not folder.strip():
        raise UserError(f"{flag}: expected the name of a folder, got nothing")
