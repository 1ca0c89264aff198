"""What `demo` takes."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from endoforge.core.checks import check_seed
from endoforge.core.errors import UserError

RANGES = "plain"
"""The rich world takes longer to learn than a demo may."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The whole journey on this machine: simulate, prune, train, evaluate, report.

    Simulates colons, trains a detector on some of them from nothing, and the packaged one further,
    and measures both on others that they never saw, all of the plain world. Takes a few minutes on
    two CPU cores; ends with an HTML report that shows how they learned.
    """

    output_root: Annotated[str, arg(metavar="FOLDER")] = "demo"
    """Folder for everything that the demo makes. An earlier demo there is replaced."""

    seed: int = 7
    """Decides every colon, flight and weight: the same seed gives the same report on a machine."""

    def __post_init__(self) -> None:
        check_seed("--seed", self.seed)
        if not self.output_root:
            raise UserError("--output-root: must name a folder")
