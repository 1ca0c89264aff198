"""Makes an ONNX graph of a detector: network and decoding as PyTorch exports them, then NMS."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from endoforge.detect.boxes import make_cells
from endoforge.detect.decode import MAX_DETECTIONS, MIN_SCORE, NMS_IOU, candidates
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.tinydet import TinyDet
from endoforge.export.vote_nodes import BEFORE_VOTE, VoteNodes

OPSET = 18
CANDIDATES = ("boxes", "scores", "classes")
"""Outputs of the graph before NMS, each of a picture's best K cells: (B, K, 4), (B, K), (B, K)."""
RAW = "raw"
"""The name of the network's own output, which the graph computes but doesn't give."""
PER_CELL = "cell_"
"""What the candidates' names begin with where NMS follows, whose outputs take their names."""


def build_graph(detector: NeuralDetector, *, nms_inside: bool) -> onnx.ModelProto:
    """Make an ONNX model of the detector; its metadata say how it is fed and what it gives."""
    exported = _traced(detector.model)
    _drop_output(exported, RAW)
    if nms_inside:
        append_nms(exported, len(detector.classes))
    _describe(exported, detector, nms_inside)
    onnx.checker.check_model(exported, full_check=True)
    return exported


class _Decoded(nn.Module):
    """The network and its decoding in one module, for the exporter to trace.

    (B, 3, H, W) float32 in 0..1 to raw output, and CANDIDATES with boxes in pixels.
    """

    def __init__(self, model: TinyDet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        raw = self.model(images)
        image_hw = (images.shape[2], images.shape[3])
        cells = make_cells(image_hw, self.model.config.strides, images.device)
        return raw, *candidates(raw, cells)


def _traced(model: TinyDet) -> onnx.ModelProto:
    """Export by PyTorch, for any number of pictures of any size that the network takes."""
    step = model.required_divisor
    batch = torch.export.Dim("batch", min=1)
    rows, columns = (torch.export.Dim(name, min=1) for name in ("rows", "columns"))
    # The exporter takes a batch of 1 for a constant, and equal sides for one and the same size.
    example = torch.zeros(2, 3, 8 * step, 12 * step)
    with quiet("torch.onnx", "onnxscript", "onnx_ir"):
        program = torch.onnx.export(
            _Decoded(model).eval(),
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=[RAW, *CANDIDATES],
            dynamic_shapes=({0: batch, 2: step * rows, 3: step * columns},),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    exported: onnx.ModelProto = program.model_proto
    return exported


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keep back what libraries say of their own inside by these loggers, and by warnings."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _drop_output(model: onnx.ModelProto, name: str) -> None:
    [output] = [output for output in model.graph.output if output.name == name]
    model.graph.output.remove(output)
    model.graph.value_info.append(output)


def append_nms(model: onnx.ModelProto, num_classes: int) -> None:
    """Append NMS by class, which leaves at most MAX_DETECTIONS of each class of a picture, and the
    vote on boxes; give what is left of all pictures in one list.

    From the lowest score that is ever reported: whoever wants fewer drops the lower scores, which
    decide nothing about the higher ones.
    """
    graph = model.graph
    _rename(model, {name: PER_CELL + name for name in CANDIDATES})
    boxes, scores, classes = (PER_CELL + name for name in CANDIDATES)
    constants: dict[str, NDArray[Any]] = {
        "nms_max_kept": np.array([MAX_DETECTIONS], np.int64),
        "nms_iou": np.array([NMS_IOU], np.float32),
        "nms_score": np.array([MIN_SCORE], np.float32),
        "nms_classes": np.arange(num_classes).reshape(1, -1, 1),
        "nms_class_axis": np.array([1], np.int64),
        "nms_never": np.array(-1, np.float32),
        "nms_picture_and_cell": np.array([0, 2], np.int64),
        "nms_picture": np.array(0, np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    node = helper.make_node
    graph.node.extend(
        [
            # (B, K) of a class each to (B, C, K), where the other classes' scores are never enough.
            node("Unsqueeze", [scores, "nms_class_axis"], ["nms_scores"]),
            node("Unsqueeze", [classes, "nms_class_axis"], ["nms_said"]),
            node("Equal", ["nms_said", "nms_classes"], ["nms_own"]),
            node("Where", ["nms_own", "nms_scores", "nms_never"], ["nms_by_class"]),
            node(
                "NonMaxSuppression",
                [boxes, "nms_by_class", "nms_max_kept", "nms_iou", "nms_score"],
                ["nms_kept"],  # (M, 3): picture, class, cell
            ),
            node("Gather", ["nms_kept", "nms_picture_and_cell"], ["nms_cells"], axis=1),
            node("GatherND", [boxes, "nms_cells"], [BEFORE_VOTE]),
            node("GatherND", [scores, "nms_cells"], ["scores"]),
            node("GatherND", [classes, "nms_cells"], ["classes"]),
            node("Gather", ["nms_kept", "nms_picture"], ["pictures"], axis=1),
        ]
    )
    VoteNodes(graph, (boxes, scores, classes)).append()
    graph.value_info.extend(graph.output)
    kept = helper.make_tensor_value_info(BEFORE_VOTE, TensorProto.FLOAT, ["found", 4])
    graph.value_info.append(kept)
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["found", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["found"]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, ["found"]),
            helper.make_tensor_value_info("pictures", TensorProto.INT64, ["found"]),
        ]
    )


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Give values other names, wherever they are made, used or given."""
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
    for info in (*model.graph.output, *model.graph.value_info):
        info.name = names.get(info.name, info.name)


def _describe(model: onnx.ModelProto, detector: NeuralDetector, nms_inside: bool) -> None:
    """Write into the model how it is fed and what it gives."""
    metadata = detector.metadata
    width, height = metadata.input_size
    step = detector.model.required_divisor
    facts: dict[str, Any] = {
        "names": json.dumps(detector.classes),
        "input": f"images: float32 (B, 3, H, W), RGB in 0..1; H and W multiples of {step}",
        "input_size": f"{width}x{height}",
        "resize_mode": metadata.resize_mode,
        "boxes": "xyxy in pixels of the input",
        "nms": "inside" if nms_inside else "outside",
        "precision": "float32",
        "model": metadata.model.name,
        "version": metadata.version,
    }
    helper.set_model_props(model, facts)
    model.producer_name = "endoforge"
    model.producer_version = metadata.version
    model.doc_string = f"{facts['input']}. Boxes: {facts['boxes']}."
