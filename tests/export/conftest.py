"""What the tests of files and of the page share: the lively detector, traced."""

import onnx
import pytest

from endoforge.detect.neural import NeuralDetector
from endoforge.export import graph as graph_module
from endoforge.export.graph import build_graph


@pytest.fixture(scope="session")
def graphs(lively):
    """With NMS inside and outside, of one tracing, which takes ten times as long as the rest."""
    detector = NeuralDetector(lively)
    traced = graph_module._traced(detector.model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_module, "_traced", lambda _: copy_of(traced))
        return {inside: build_graph(detector, nms_inside=inside) for inside in (True, False)}


def copy_of(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
