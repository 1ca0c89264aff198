"""Makes a graph's convolutions compute in 8 bits, and compares what it then finds.

Static quantisation (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference") by ONNX Runtime: each channel of weights has a scale of its own,
each activation one range, chosen by what it is on frames.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from endoforge.core.errors import UserError
from endoforge.core.folders import scratch_folder
from endoforge.detect.decode import MAX_DETECTIONS, MIN_SCORE, NMS_IOU, detections_of
from endoforge.detect.detections import Detections
from endoforge.detect.neural import OBJECTNESS
from endoforge.detect.predict import to_input
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure
from endoforge.export.graph import CANDIDATES, quiet

PERCENTILE = 99.99
"""The share of an activation's values that its range holds: of the ranges tried, the least loss of
AP (docs/log.md). The rest is cut, so that a few large ones don't make all steps coarse."""
IN_FLOATS = ("head8.1.weight", "head16.1.weight")
"""The layers that say scores and edges, of whose values each counts; 3 in 100 of the operations."""
LEAST_AP50 = 0.8
"""Of the 8-bit detections, with the original's as the truth: below it something went wrong."""


@dataclass(frozen=True)
class QuantisedAgreement:
    """How well a quantised file finds what the original finds: AP with the latter as the truth."""

    pictures: int
    detections: int
    """Detections of the original in all of them, from the score OBJECTNESS on."""
    ap50: float
    ap: float

    def lines(self) -> list[str]:
        """The comparison for people, a line each."""
        return [
            f"in 8 bits, of the {self.detections} detections from a score of {OBJECTNESS:g} on in "
            f"{self.pictures} pictures: AP50 {self.ap50:.3f}, AP {self.ap:.3f}"
        ]


def quantise(exported: onnx.ModelProto, pictures: NDArray[np.uint8]) -> onnx.ModelProto:
    """Give `exported` with 8-bit convolutions, calibrated on (N, H, W, 3) uint8 pictures."""
    layers = [node for node in exported.graph.node if node.op_type == "Conv"]
    kept = [one.name for one in layers if one.input[1].endswith(IN_FLOATS)]
    with scratch_folder() as folder, quiet("root"), redirect_stdout(io.StringIO()):
        # As a file: of a model in memory, the quantiser moves the weights into the current folder.
        whole, quantised = str(folder / "whole.onnx"), str(folder / "quantised.onnx")
        onnx.save(exported, whole)
        quantize_static(
            whole,
            quantised,
            _Pictures(pictures),
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=kept,
            per_channel=True,
            # Without VNNI, sums of two products have 16 bits: weights of 7 never overflow them.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE},
        )
        made = onnx.load(quantised)
    facts = {one.key: one.value for one in exported.metadata_props}
    onnx.helper.set_model_props(made, {**facts, "precision": "int8"})
    made.producer_name = exported.producer_name
    return made


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Hands out pictures one by one, as the graph's input."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._left = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._left, None)
        return None if picture is None else {"images": _input(picture)}


def compare_quantised(
    quantised: onnx.ModelProto,
    exported: onnx.ModelProto,
    pictures: NDArray[np.uint8],
    classes: Sequence[str],
) -> QuantisedAgreement:
    """Run both, detectors of these classes, on (N, H, W, 3) uint8 pictures of the input's size.

    Raises UserError where they find other things, or `exported` finds nothing to compare.
    """
    truths, found = [], []
    sessions = [_session(model) for model in (exported, quantised)]
    for picture in pictures:
        original, own = (_found(session, picture) for session in sessions)
        sure = original.above(OBJECTNESS)
        truths.append(Truth(sure.boxes, sure.classes))
        found.append(own)
    metrics = measure(found, truths, class_names=classes, obj_thresh=OBJECTNESS, iou_threshs=[0.5])
    if metrics.ap50 is None or metrics.ap is None:
        raise UserError(
            f"--precision int8: the detector finds nothing from a score of {OBJECTNESS:g} on in "
            "the frames it is checked on; name an --input-root with polyps"
        )
    if metrics.ap50 < LEAST_AP50:
        raise UserError(
            f"in 8 bits the detector finds other things: AP50 {metrics.ap50:.2f} of the original's "
            f"detections, less than {LEAST_AP50:g}; name a --calibration-root of frames like those "
            "it is for; no file was written"
        )
    count = sum(map(len, truths))
    return QuantisedAgreement(len(pictures), count, metrics.ap50, metrics.ap)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _found(session: onnxruntime.InferenceSession, picture: NDArray[np.uint8]) -> Detections:
    """What a file finds in a picture, best first, from MIN_SCORE on, in 0..1 of the picture."""
    outputs: list[NDArray[Any]] = session.run([*CANDIDATES], {"images": _input(picture)})
    boxes, scores, classes = outputs[0].reshape(-1, 4), outputs[1].ravel(), outputs[2].ravel()
    order = np.argsort(-scores, kind="stable")
    size = np.array([picture.shape[1], picture.shape[0]] * 2, np.float32)
    boxes = (boxes / size).astype(np.float32)
    candidates = Detections(boxes[order], scores[order], classes[order])
    # Those of a file with NMS inside are through it already, which changes nothing more.
    return detections_of(candidates, MIN_SCORE, NMS_IOU, MAX_DETECTIONS)


def _input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return to_input(torch.from_numpy(picture[None])).contiguous().numpy()
