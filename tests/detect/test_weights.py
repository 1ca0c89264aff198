import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from endoforge.core.errors import UserError
from endoforge.detect.boxes import NUM_EDGE_CHANNELS
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, load_weights, save_weights

METADATA = WeightsMetadata(
    model=TinyDetConfig(classes=("Ip", "Is")),
    input_size=(64, 48),
    resize_mode="letterbox",
    label_field="paris",
    version="9.9",
)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, build_tinydet(METADATA.model, seed=1).state_dict(), METADATA)
    return path


def test_weights_come_back_as_they_were(saved):
    model, metadata = load_weights(saved)
    assert metadata == METADATA
    assert not model.training
    for name, tensor in build_tinydet(METADATA.model, seed=1).state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.safetensors: no such checkpoint; .*packaged"):
        load_weights(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_file_is_refused_by_name(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"weights\.safetensors: not a whole safetensors file"):
        load_weights(saved)


def test_foreign_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"layer": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"foreign\.safetensors: not weights of"):
        load_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(value, saved):
    tensors = build_tinydet(METADATA.model, seed=1).state_dict()
    tensors["stem.0.weight"].view(-1)[3] = value
    save_weights(saved, tensors, METADATA)
    message = r"weights\.safetensors: weights that are no numbers \(in stem\.0\.weight\)"
    with pytest.raises(UserError, match=message):
        load_weights(saved)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_record_of_another_tool_is_told_what_is_read(is_there, tmp_path):
    path = tmp_path / "tinydet.bin"
    if is_there:
        path.write_bytes(b"burn")
    with pytest.raises(UserError, match=r"tinydet\.bin: .*only \.safetensors .*or packaged for"):
        load_weights(path)


def test_the_detector_answers_in_coordinates_of_the_frame(saved, monkeypatch):
    detector = NeuralDetector(saved)
    # A frame twice as wide as high in an input of 64 by 48: 8 black rows above and below.
    raw = torch.full((1, 6 * 8 + 3 * 4, 1 + NUM_EDGE_CHANNELS), -20.0)
    shown, in_the_bar = raw[0, 2 * 8 + 3], raw[0, 0]  # centres (28, 20) and (4, 4)
    shown[0], in_the_bar[0] = 3.0, 2.0
    shown[1:].unflatten(0, (4, -1))[:, 6] = 20.0  # 8 pixels each way: (20, 12, 36, 28)
    in_the_bar[1:].unflatten(0, (4, -1))[:, 2] = 20.0  # 2 pixels
    monkeypatch.setattr(detector.model, "forward", lambda _: raw)
    found = detector.detect(np.zeros((100, 200, 3), np.uint8))
    expected = [[20 / 64, 4 / 32, 36 / 64, 20 / 32]]
    assert found.boxes == pytest.approx(np.array(expected), abs=1e-6)
    detector.set_thresholds(objectness=0.99, iou=0.5)
    assert len(detector.detect(np.zeros((100, 200, 3), np.uint8))) == 0
