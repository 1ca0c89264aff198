"""The vote on detections' boxes, `decode.vote`, as nodes of an ONNX graph."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from endoforge.detect.decode import LEAST_VOTE, OWN_VOTE, VOTE_SPREAD

BEFORE_VOTE = "kept_boxes"
"""The boxes of the cells that NMS keeps, (M, 4), before others have their say."""


class VoteNodes:
    """Appends to a graph the vote of K candidates a picture on M detections' boxes.

    `candidates` are the names of their boxes, scores and classes. Values and constants get names
    that begin with "vote_".
    """

    def __init__(self, graph: onnx.GraphProto, candidates: tuple[str, str, str]) -> None:
        self._graph = graph
        self._candidates = candidates
        self._count = 0
        constants: dict[str, NDArray[Any]] = {
            "vote_middle": np.array([1], np.int64),
            "vote_last": np.array([-1], np.int64),
            "vote_one": np.array(1, np.float32),
            "vote_none": np.array(0, np.float32),
            "vote_least": np.array(LEAST_VOTE, np.float32),
            "vote_fall": np.array(-1 / VOTE_SPREAD, np.float32),
            "vote_own": np.array(OWN_VOTE, np.float32),
            "vote_tiny": np.array(np.finfo(np.float32).tiny, np.float32),
        }
        graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())

    def append(self) -> None:
        """Append all of it: from BEFORE_VOTE, scores, classes and pictures to boxes."""
        add = self._add
        # (M, K, ...) of all candidates of a detection's picture, (M, 1, ...) of the detection.
        boxes, scores, classes = (add("Gather", name, "pictures") for name in self._candidates)
        own_boxes, own_scores, own_classes = (
            add("Unsqueeze", name, "vote_middle") for name in (BEFORE_VOTE, "scores", "classes")
        )
        overlaps = self._overlaps(boxes, own_boxes)
        lacking = add("Sub", "vote_one", overlaps)
        nearness = add("Exp", add("Mul", add("Mul", lacking, lacking), "vote_fall"))
        near = add("Greater", overlaps, "vote_least")
        alike = add("Equal", classes, own_classes)
        sure = add("GreaterOrEqual", scores, add("Mul", own_scores, "vote_least"))
        may = add("And", add("And", near, alike), sure)
        votes = add("Where", may, add("Mul", nearness, scores), "vote_none")
        said = add("MatMul", add("Unsqueeze", votes, "vote_middle"), boxes)
        own = add("Mul", BEFORE_VOTE, "vote_own")
        said = add("Add", add("Squeeze", said, "vote_middle"), own)
        in_all = add("Add", add("ReduceSum", votes, "vote_middle"), "vote_own")
        add("Div", said, in_all, to="boxes")

    def _overlaps(self, boxes: str, others: str) -> str:
        """Add the IoU of (M, K, 4) and (M, 1, 4) boxes, (M, K)."""
        (low, high), (other_low, other_high) = self._corners(boxes), self._corners(others)
        common = self._area(self._add("Max", low, other_low), self._add("Min", high, other_high))
        both = self._add("Add", self._area(low, high), self._area(other_low, other_high))
        union = self._add("Max", self._add("Sub", both, common), "vote_tiny")
        return self._add("Div", common, union)

    def _corners(self, boxes: str) -> tuple[str, str]:
        low, high = self._name(), self._name()
        node = helper.make_node("Split", [boxes], [low, high], axis=-1, num_outputs=2)
        self._graph.node.append(node)
        return low, high

    def _area(self, low: str, high: str) -> str:
        sides = self._add("Relu", self._add("Sub", high, low))
        return self._add("ReduceProd", sides, "vote_last", keepdims=0)

    def _add(self, kind: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Append a node, and name what it gives."""
        name = to or self._name()
        self._graph.node.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"vote_{self._count}"
