"""The detector as users hold it: endoforge.load_detector."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import endoforge
from endoforge.core.errors import UserError
from endoforge.data.letterbox import resize_picture
from endoforge.detect.detections import Detections
from endoforge.detect.fold import fold_norms
from endoforge.detect.predict import predict


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def same(one, other):
    assert one.boxes == pytest.approx(other.boxes, abs=1e-4)
    assert one.scores == pytest.approx(other.scores, abs=1e-5)
    assert one.classes.tolist() == other.classes.tolist()


def test_folded_norms_change_the_outputs_by_rounding_alone(lively_model):
    folded = copy.deepcopy(lively_model)
    fold_norms(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in lively_model.modules())
    images = torch.rand((2, 3, 40, 72), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, given = lively_model(images), folded(images)
    assert expected.std() > 0.1
    assert torch.allclose(given, expected, atol=1e-5, rtol=1e-5)


def test_it_finds_what_eval_finds_in_coordinates_of_the_frame(lively, lively_model):
    detector = endoforge.load_detector(lively)
    frame = noise(120, 200)
    picture, place = resize_picture(frame, (96, 64), "letterbox")
    [expected] = predict(lively_model, torch.from_numpy(picture[None]), score_threshold=0.3)
    assert len(expected) > 3
    found = detector.detect(frame)
    boxes = place.to_picture(expected.boxes)
    same(found, Detections(boxes, expected.scores, expected.classes))
    assert set(found.classes) == {0, 1}
    assert detector.classes == ("flat", "stalked")


def test_a_batch_may_mix_sizes_and_finds_what_single_frames_give(lively):
    detector = endoforge.load_detector(str(lively))
    frames = [noise(120, 200), noise(64, 96, 1), noise(300, 80, 2)]
    together = detector.detect_batch(frames)
    assert [len(one) > 0 for one in together] == [True] * 3
    for one, frame in zip(together, frames, strict=True):
        same(one, detector.detect(frame))
    assert detector.detect_batch([]) == []
    stacked = np.stack(frames[:1])
    same(detector.detect_batch(stacked)[0], together[0])  # type: ignore[arg-type]


def test_views_that_run_backwards_are_frames_too(lively):
    detector = endoforge.load_detector(lively)
    for frame in (noise(120, 200)[:, :, ::-1], noise(64, 96)[:, ::-1], noise(64, 96)[::2, ::2]):
        same(detector.detect(frame), detector.detect(np.ascontiguousarray(frame)))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), r"\(4, 4, 3\) float32"),
        (np.zeros((4, 4), np.uint8), r"\(4, 4\) uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\) uint8"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"\(2, 4, 4, 3\) uint8"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\) uint8"),
        ([[0, 1, 2]], "list"),
    ],
)
def test_what_is_no_frame_is_named(lively, frame, words):
    detector = endoforge.load_detector(lively)
    with pytest.raises(ValueError, match=words):
        detector.detect(frame)
    with pytest.raises(ValueError, match=words):
        detector.detect_batch([noise(8, 8), frame])


def test_files_and_devices_that_cannot_be_used_are_named(lively, tmp_path):
    with pytest.raises(UserError, match=r"none\.safetensors"):
        endoforge.load_detector(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="abacus"):
        endoforge.load_detector(lively, device="abacus")  # type: ignore[arg-type]


def test_importing_endoforge_imports_nothing_heavy():
    code = (
        "import sys, endoforge\n"
        "sys.exit(' '.join({'torch', 'numpy', 'cv2', 'pydantic'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
