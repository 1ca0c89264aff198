"""The flags of `export`; nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from endoforge.backends.flags import CheckpointFlag
from endoforge.core import checks
from endoforge.core.errors import UserError
from endoforge.detect.packaged import PACKAGED, chosen_weights, packaged_weights
from endoforge.roots.places import OptionalRootFlag, refuse_cloud

Nms = Literal["inside", "outside"]
ExportFormat = Literal["onnx", "web"]
Precision = Literal["float32", "int8"]
SUFFIXES = {"onnx": ".onnx", "web": ".html"}
"""How the file of each format ends, unless --output names it."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a checkpoint as an ONNX file, or a page that detects in the browser, once it has given
    the same as the original.

    Needs three more packages: pip install "endoforge[export]".
    """

    checkpoint: CheckpointFlag = None

    format: ExportFormat = "onnx"
    """onnx for programs; web is a page for people: one HTML file that finds polyps in pictures and
    clips, opened from disk or any web server, and sends nothing."""

    output: Annotated[str | None, arg(metavar="FILE")] = None
    """The file to write. Default: that of the weights with the ending .onnx, or .html of a page;
    packaged.onnx or packaged.html here for those that come with EndoForge."""

    nms: Nms = "inside"
    """Where overlapping boxes are suppressed: inside gives final detections; outside gives the best
    400 cells of each picture with their boxes, for code of your own to choose from."""

    input_root: OptionalRootFlag = None
    """Folder of capture runs with frames to check the file on. Default:
    assets/datasets/captures_filtered if it is there, else frames simulated on the spot."""

    precision: Precision = "float32"
    """What convolutions compute in. int8 makes the file a third as large and CPUs faster; it
    finds slightly other things, and is compared with float32 by what it finds."""

    calibration_root: OptionalRootFlag = None
    """Folder of capture runs with frames that set the ranges of int8: like those that the file is
    for, but not those that it is measured on. Default: frames simulated on the spot."""

    def __post_init__(self) -> None:
        if self.output is None and self.checkpoint is not None:
            refuse_cloud("--checkpoint", self.checkpoint, "give --output too, the file to write")
        checks.check_choice("--format", self.format, get_args(ExportFormat))
        checks.check_choice("--nms", self.nms, get_args(Nms))
        checks.check_choice("--precision", self.precision, get_args(Precision))
        if self.format == "web" and self.precision == "int8":
            raise UserError("--precision int8 is for --format onnx: a page computes in float32")
        if self.calibration_root is not None and self.precision != "int8":
            raise UserError("--calibration-root is for --precision int8: float32 has no ranges")
        if self.format == "web" and self.nms == "outside":
            raise UserError("--nms outside is for --format onnx: a page suppresses by itself")

    @property
    def output_path(self) -> Path:
        """The file to write, of --output or beside the weights."""
        weights = chosen_weights(self.checkpoint)
        own = Path(PACKAGED) if weights == packaged_weights() else weights
        return Path(self.output or own.with_suffix(SUFFIXES[self.format]))
