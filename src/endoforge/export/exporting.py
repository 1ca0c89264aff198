"""The `export` command: writes a detector as ONNX, or as a page that runs it, once it agrees with
the original.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import make_folder_of
from endoforge.core.outputs import check_output_file, refuse_same
from endoforge.core.packages import check_packages
from endoforge.core.text import counted
from endoforge.data.letterbox import resize_picture
from endoforge.detect.neural import NeuralDetector
from endoforge.evaluate.config import DEFAULT_INPUT_ROOT
from endoforge.export.config import ExportConfig
from endoforge.roots.fetching import UNUSED_IN_TRAINING, fetch

log = logging.getLogger(__name__)

NEEDED = ("onnx", "onnxscript", "onnxruntime")
MOST_FRAMES = 16
"""How many recorded frames a file is checked on, spread over all that there are."""
SIMULATED_SEED, SIMULATED_FRAMES, SIMULATED_SIZE = 0, 8, (640, 360)


@dataclass(frozen=True)
class ExportResult:
    """The file that was written, and how it was checked."""

    path: Path
    num_bytes: int
    what: str
    """What kind of file it is, in words."""
    checked_on: str
    agreement: list[str]

    def lines(self) -> list[str]:
        """The result for people, a line each."""
        return [
            f"checked on {self.checked_on}",
            *self.agreement,
            f"wrote {self.path} ({self.num_bytes / 1e6:.1f} MB, {self.what})",
        ]


def run_export(config: ExportConfig) -> ExportResult:
    """Write `config.checkpoint` as `config.format` says, if it agrees with the original on frames.

    Raises UserError, with no file written, where it doesn't, and for a checkpoint, frames or a file
    that can't be used.
    """
    check_packages("export", "export", NEEDED)
    original = NeuralDetector(config.checkpoint, exact=True)
    check_output_file("--output", config.output_path)
    refuse_same({"--checkpoint": original.path, "--output": config.output_path})
    from endoforge.export.check import compare
    from endoforge.export.graph import build_graph
    from endoforge.export.web_page import build_page

    detector = NeuralDetector(original.path)
    frames, checked_on = _frames(config)
    inside = config.nms == "inside"
    log.info("exporting %s", original.path)
    exported = build_graph(detector, nms_inside=inside)
    size, mode = detector.metadata.input_size, detector.metadata.resize_mode
    pictures = np.stack([resize_picture(frame, size, mode)[0] for frame in frames])
    agreement = compare(exported, original.model, pictures, nms_inside=inside)
    data, what = exported.SerializeToString(), f"NMS {config.nms}"
    if config.format == "web":
        data, what = build_page(data, detector), "a page to open in a browser"
    _write(config.output_path, data)
    lines = agreement.lines()
    return ExportResult(config.output_path, len(data), what, checked_on, lines)


def _write(path: Path, data: bytes) -> None:
    try:
        make_folder_of(path)
        write_atomic(path, data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"--output {path}: can't be written ({reason}); make room, or name another"
        ) from error


def _frames(config: ExportConfig) -> tuple[list[NDArray[np.uint8]], str]:
    """Get frames to check on, (H, W, 3) uint8 RGB each, and say where they are from."""
    if config.input_root is not None:
        return _recorded(fetch(config.input_root, "--input-root", without=UNUSED_IN_TRAINING))
    if Path(DEFAULT_INPUT_ROOT).is_dir():
        return _recorded(Path(DEFAULT_INPUT_ROOT))
    return _simulated()


def _recorded(root: Path) -> tuple[list[NDArray[np.uint8]], str]:
    records = index_root(root).frames
    if not records:
        raise UserError(f"{root}: no usable frame to check on; name another --input-root")
    places = np.linspace(0, len(records) - 1, min(MOST_FRAMES, len(records))).round().astype(int)
    frames = [_read(records[place].image_path) for place in places]
    return frames, f"{len(frames)} of the {counted(len(records), 'frame')} in {root}"


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path)
    except Unusable as error:
        raise UserError(f"{path}: {error.reason} ({error.detail}); remove it") from error


def _simulated() -> tuple[list[NDArray[np.uint8]], str]:
    from endoforge.sim.simulator import Simulator

    simulator = Simulator(SIMULATED_SEED, size=SIMULATED_SIZE, max_frames=SIMULATED_FRAMES)
    frames = [frame for batch in simulator for frame in batch.rgb.cpu().numpy().copy()]
    return (
        frames,
        f"{counted(len(frames), 'frame')} simulated on the spot (--input-root names others)",
    )
