"""The flags that several commands share: what detects, and what computes.

Their texts and their checks are here alone. Nothing heavy is imported.
"""

from typing import Annotated, get_args

from tyro.conf import arg

from endoforge.backends.wish import AdapterWish
from endoforge.core.checks import check_choice
from endoforge.core.choices import BackendName, DetectorKind, DeviceName
from endoforge.core.errors import UserError
from endoforge.detect.packaged import DEFAULT_CHECKPOINT
from endoforge.roots.places import FILE

DetectorFlag = Annotated[
    DetectorKind,
    arg(
        help="What detects: neural, the weights of --checkpoint; or heuristic, the classical "
        "detector, which has none."
    ),
]

CheckpointFlag = Annotated[
    str | None,
    arg(
        metavar=FILE,
        help=f"Weights, as `train` writes them. If not given, {DEFAULT_CHECKPOINT}, where `train` "
        "writes its latest, and while that isn't there, those that come with EndoForge (packaged: "
        "those in any case).",
    ),
]

BackendFlag = Annotated[
    BackendName,
    arg(
        help="What computes: torch, or webgpu (experimental) for a GPU that torch can't use "
        "(`endoforge[webgpu]`)."
    ),
]

DeviceFlag = Annotated[
    DeviceName,
    arg(
        help="Where torch computes; auto picks the fastest there is (`endoforge devices` lists "
        "them)."
    ),
]

AdapterFlag = Annotated[
    str | None,
    arg(
        metavar="WORDS",
        help="With --backend webgpu, which GPU: vulkan, dx12, metal or gl; high-performance or "
        "low-power; part of a name; several split by commas.",
    ),
]


def check_compute(backend: str, device: str, adapter: str | None) -> None:
    """Raise UserError unless the three flags are choices, and go together."""
    check_choice("--backend", backend, get_args(BackendName))
    check_choice("--device", device, get_args(DeviceName))
    AdapterWish.parse(adapter)
    if backend == "webgpu" and device != "auto":
        raise UserError(f"--device {device} is torch's: with --backend webgpu, --adapter chooses")
    if backend == "torch" and adapter is not None:
        raise UserError(f"--adapter {adapter} needs --backend webgpu: give that too")


def check_detector(detector: str, checkpoint: str | None, backend: str, device: str) -> None:
    """Raise UserError unless `--detector` is a choice, and the heuristic one stands alone."""
    check_choice("--detector", detector, get_args(DetectorKind))
    if detector != "heuristic":
        return
    if checkpoint is not None:
        raise UserError(
            f"--checkpoint {checkpoint}: --detector heuristic has no weights; "
            "leave one of the two out"
        )
    for flag, value, usual in (
        ("--backend", backend, ("torch",)),
        ("--device", device, ("auto", "cpu")),
    ):
        if value not in usual:
            raise UserError(
                f"{flag} {value}: --detector heuristic computes on the CPU; leave it out"
            )
