"""The flags of `bench`; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import get_args

from endoforge.core import checks
from endoforge.core.choices import DeviceName


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Measure rendering, recording, training and detecting on this machine, in about a minute.

    Training and detecting are set beside their limit: as many operations as the network needs, as
    products of matrices, timed in turn with them. What is rendered is the plain world
    (--randomization plain). Times depend on what else the machine does: compare figures taken side
    by side.
    """

    device: DeviceName = "auto"
    """Where to train and detect; cpu renders on the CPU too, anything else on a GPU if there is
    one."""

    json: bool = False
    """Print one JSON object instead of the table."""

    def __post_init__(self) -> None:
        checks.check_choice("--device", self.device, get_args(DeviceName))
