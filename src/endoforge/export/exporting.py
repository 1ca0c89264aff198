"""The `export` command: writes a detector as ONNX, or as a page that runs it, once it agrees with
the original.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    import onnx

log = logging.getLogger(__name__)

NEEDED = ("onnx", "onnxscript", "onnxruntime")
MOST_FRAMES = 16
"""How many recorded frames a file is checked on, spread over all that there are."""
CALIBRATION_SEEDS, CALIBRATION_FRAMES = (11, 12, 13), 12
"""Colons, and frames of each, that set the ranges of 8 bits; others than those of the check."""
MOST_CALIBRATION = 64
"""How many recorded frames set them, spread over all that there are."""
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
    calibrating = _calibrating(config, detector) if config.precision == "int8" else None
    pictures = _pictures(frames, detector)
    inside = config.nms == "inside"
    log.info("exporting %s", original.path)
    exported = build_graph(detector, nms_inside=inside)
    lines = compare(exported, original.model, pictures, nms_inside=inside).lines()
    if calibrating is not None:
        exported, compared = _quantised(exported, detector, pictures, *calibrating)
        lines += compared
    data, what = exported.SerializeToString(), f"NMS {config.nms}"
    if config.format == "web":
        data, what = build_page(data, detector), "a page to open in a browser"
    _write(config.output_path, data)
    return ExportResult(config.output_path, len(data), what, checked_on, lines)


def _calibrating(
    config: ExportConfig, detector: NeuralDetector
) -> tuple[list[NDArray[np.uint8]], str]:
    """Get frames, (H, W, 3) uint8 RGB each, to set the ranges of 8 bits on, and say whence."""
    if config.calibration_root is None:
        size = detector.metadata.input_size
        return _simulated(CALIBRATION_SEEDS, CALIBRATION_FRAMES, size)
    root = fetch(config.calibration_root, "--calibration-root", without=UNUSED_IN_TRAINING)
    return _recorded(root, MOST_CALIBRATION, "--calibration-root")


def _quantised(
    exported: onnx.ModelProto,
    detector: NeuralDetector,
    pictures: NDArray[np.uint8],
    frames: list[NDArray[np.uint8]],
    of: str,
) -> tuple[onnx.ModelProto, list[str]]:
    """Give `exported` in 8 bits by `frames`, and what it finds in `pictures` beside itself."""
    from endoforge.export.quantise import compare_quantised, quantise

    log.info("calibrating on %s", of)
    quantised = quantise(exported, _pictures(frames, detector))
    agreement = compare_quantised(quantised, exported, pictures, detector.classes)
    return quantised, [f"calibrated on {of}", *agreement.lines()]


def _pictures(frames: list[NDArray[np.uint8]], detector: NeuralDetector) -> NDArray[np.uint8]:
    """Bring frames to the detector's input: (N, H, W, 3)."""
    size, mode = detector.metadata.input_size, detector.metadata.resize_mode
    return np.stack([resize_picture(frame, size, mode)[0] for frame in frames])


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
        root = fetch(config.input_root, "--input-root", without=UNUSED_IN_TRAINING)
        return _recorded(root, MOST_FRAMES, "--input-root")
    if Path(DEFAULT_INPUT_ROOT).is_dir():
        return _recorded(Path(DEFAULT_INPUT_ROOT), MOST_FRAMES, "--input-root")
    frames, of = _simulated((SIMULATED_SEED,), SIMULATED_FRAMES, SIMULATED_SIZE)
    return frames, f"{of} (--input-root names others)"


def _recorded(root: Path, most: int, flag: str) -> tuple[list[NDArray[np.uint8]], str]:
    records = index_root(root).frames
    if not records:
        raise UserError(f"{root}: no usable frame; name another {flag}")
    places = np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(int)
    frames = [_read(records[place].image_path) for place in places]
    return frames, f"{len(frames)} of the {counted(len(records), 'frame')} in {root}"


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path)
    except Unusable as error:
        raise UserError(f"{path}: {error.reason} ({error.detail}); remove it") from error


def _simulated(
    seeds: tuple[int, ...], frames_each: int, size: tuple[int, int]
) -> tuple[list[NDArray[np.uint8]], str]:
    from endoforge.sim.simulator import Simulator

    frames = [
        frame
        for seed in seeds
        for batch in Simulator(seed, size=size, max_frames=frames_each)
        for frame in batch.rgb.cpu().numpy().copy()
    ]
    return frames, f"{counted(len(frames), 'frame')} simulated on the spot"
