"""The flags of `export`; nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from endoforge.backends.flags import CheckpointFlag
from endoforge.core import checks
from endoforge.detect.packaged import PACKAGED, chosen_weights, packaged_weights
from endoforge.roots.places import OptionalRootFlag, refuse_cloud

Nms = Literal["inside", "outside"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a checkpoint as an ONNX file, once it has given the same as the original.

    Needs three more packages: pip install "endoforge[export]".
    """

    checkpoint: CheckpointFlag = None

    output: Annotated[str | None, arg(metavar="FILE")] = None
    """The file to write. Default: that of the weights with the ending .onnx; packaged.onnx here for
    those that come with EndoForge."""

    nms: Nms = "inside"
    """Where overlapping boxes are suppressed: inside gives final detections; outside gives the best
    400 cells of each picture with their boxes, for code of your own to choose from."""

    input_root: OptionalRootFlag = None
    """Folder of capture runs with frames to check the file on. Default:
    assets/datasets/captures_filtered if it is there, else frames simulated on the spot."""

    def __post_init__(self) -> None:
        if self.output is None and self.checkpoint is not None:
            refuse_cloud("--checkpoint", self.checkpoint, "give --output too, the file to write")
        checks.check_choice("--nms", self.nms, get_args(Nms))

    @property
    def output_path(self) -> Path:
        """The file to write, of --output or beside the weights."""
        weights = chosen_weights(self.checkpoint)
        own = Path(PACKAGED) if weights == packaged_weights() else weights
        return Path(self.output or own.with_suffix(".onnx"))
