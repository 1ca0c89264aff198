"""What the commands on capture runs can be told; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from endoforge.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """Copy the frames that show at least one polyp to another folder.

    The input is never changed. Run it again after recording more: frames that are already there
    are left alone, and frames that the input no longer has are removed from the copy.
    """

    input: str = "assets/datasets/captures"
    """Folder that holds the capture runs (run_* folders), or one run."""

    output: str = "assets/datasets/captures_filtered"
    """Folder for the copies; made if need be, must lie outside the input."""

    def __post_init__(self) -> None:
        _need_name("--input", self.input)
        _need_name("--output", self.output)


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """Draw the boxes of a run's labels on its frames, to look at them."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """The run's folder, such as assets/datasets/captures/run_1764161446512."""

    out: Positional[Annotated[str | None, arg(metavar="[OUT]")]] = None
    """Folder for the pictures; RUN/overlays if not given."""

    def __post_init__(self) -> None:
        _need_name("RUN", self.run)


def _need_name(flag: str, folder: str) -> None:
    if not folder.strip():
        raise UserError(f"{flag}: expected the name of a folder, got nothing")
