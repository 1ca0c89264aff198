"""The flags of `select`; nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from endoforge.backends.flags import (
    AdapterFlag,
    BackendFlag,
    CheckpointFlag,
    DeviceFlag,
    check_compute,
)
from endoforge.core import checks
from endoforge.core.errors import UserError

SELECTION_SUFFIXES = (".json", ".csv")


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """Choose the frames of capture runs that are most worth labelling next.

    Those that the detector is unsure of, where its tracks begin, end or break off, and a share
    drawn by chance; few that look alike, and none that is labelled already. The runs stay as they
    are.
    """

    paths: Positional[Annotated[tuple[str, ...], arg(metavar="RUNS...")]] = ()
    """Capture runs, with labels or without, and folders of them; what is labelled counts as
    known."""

    frames: int = 100
    """How many frames to choose, the most worth it first: 50 are the first half of 100."""

    checkpoint: CheckpointFlag = None

    seed: int = 42
    """Decides which frames are drawn by chance."""

    output: Annotated[str, arg(metavar="FILE")] = "selected.json"
    """File for the frames that were chosen, and why: JSON, or a table if it ends in .csv."""

    copy_to: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Copy the chosen images to this folder, new or empty, for another labelling tool."""

    backend: BackendFlag = "torch"
    device: DeviceFlag = "auto"
    adapter: AdapterFlag = None

    def __post_init__(self) -> None:
        if not self.paths:
            raise UserError("RUNS: name a capture run, or a folder of them")
        checks.check_at_least("--frames", self.frames, 1, example="100")
        checks.check_seed("--seed", self.seed)
        if Path(self.output).suffix.lower() not in SELECTION_SUFFIXES:
            raise UserError(f"--output {self.output}: must end in .json or .csv; try selected.json")
        if self.copy_to is not None and not self.copy_to.strip():
            raise UserError("--copy-to: expected the name of a folder, got nothing")
        check_compute(self.backend, self.device, self.adapter)
