"""The flags of `export`; nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from endoforge.core import checks

Nms = Literal["inside", "outside"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a checkpoint as an ONNX file, once it has given the same as the original.

    Needs three more packages: pip install "endoforge[export]".
    """

    checkpoint: Annotated[str, arg(metavar="FILE")] = "checkpoints/tinydet_best.safetensors"
    """Weights to export, as `train` writes them; packaged: those that come with EndoForge."""

    output: Annotated[str | None, arg(metavar="FILE")] = None
    """The file to write. Default: --checkpoint with the ending .onnx."""

    nms: Nms = "inside"
    """Where overlapping boxes are suppressed: inside gives final detections; outside gives the best
    400 cells of each picture with their boxes, for code of your own to choose from."""

    input_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Folder of capture runs with frames to check the file on. Default:
    assets/datasets/captures_filtered if it is there, else frames simulated on the spot."""

    def __post_init__(self) -> None:
        checks.check_choice("--nms", self.nms, get_args(Nms))

    @property
    def output_path(self) -> Path:
        """The file to write, of --output or beside the weights."""
        return Path(self.output or Path(self.checkpoint).with_suffix(".onnx"))
