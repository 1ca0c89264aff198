from typing import get_args

import numpy as np
import pytest
import torch

from endoforge.detect.boxes import NUM_EDGE_CHANNELS, boxes_from_raw, make_cells
from endoforge.detect.tinydet import (
    MODELS,
    PatchConv,
    TinyDet,
    TinyDetConfig,
    build_tinydet,
    doubled,
    two_by_two,
)
from endoforge.train.config import ModelName


def num_parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_it_is_tiny():
    assert num_parameters(TinyDet()) <= 500_000


@pytest.mark.parametrize(("height", "width"), [(192, 320), (8, 8), (40, 104), (256, 256)])
def test_any_multiple_of_the_divisor_is_an_input(height, width):
    model = TinyDet().eval()
    assert height % model.required_divisor == width % model.required_divisor == 0
    with torch.inference_mode():
        raw = model(torch.zeros(2, 3, height, width))
    cells = make_cells((height, width), model.config.strides, raw.device)
    assert raw.shape == (2, len(cells.strides), 1 + NUM_EDGE_CHANNELS)


def test_one_output_sees_enough_of_the_input_for_a_big_polyp():
    model = build_tinydet(TinyDetConfig(), seed=0).eval()
    # The residual branches start at zero: open them, as training does.
    for name, parameter in model.named_parameters():
        if name.endswith("second.1.weight"):
            torch.nn.init.ones_(parameter)
    image = torch.rand(1, 3, 512, 512, requires_grad=True)
    model(image)[0, 32 * 64 + 32, 0].backward()
    assert image.grad is not None
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = (np.flatnonzero(seen.any(dim=axis).numpy()) for axis in (1, 0))
    assert min(np.ptp(rows), np.ptp(columns)) + 1 >= 300


def test_untrained_it_says_almost_everywhere_that_there_is_nothing():
    model = build_tinydet(TinyDetConfig(), seed=3).eval()
    with torch.inference_mode():
        raw = model(torch.rand(1, 3, 64, 64))
    assert raw[..., 0].sigmoid().numpy() == pytest.approx(0.01, abs=0.005)
    cells = make_cells((64, 64), model.config.strides, raw.device)
    boxes = boxes_from_raw(raw, cells)
    # All bins alike: two strides to every edge.
    sides = (boxes[..., 2:] - boxes[..., :2]) / cells.strides[:, None]
    assert sides.numpy() == pytest.approx(4, rel=0.3)


def test_the_seed_decides_the_weights_and_nothing_else():
    torch.manual_seed(1)
    first = build_tinydet(TinyDetConfig(), seed=5).state_dict()
    drawn_after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn_after)
    again = build_tinydet(TinyDetConfig(), seed=5).state_dict()
    other = build_tinydet(TinyDetConfig(), seed=6).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_the_configuration_survives_json():
    config = TinyDetConfig(name="other", widths=(8, 16, 24, 32))
    assert TinyDetConfig.from_json(config.to_json()) == config


def test_each_class_has_an_output_and_one_class_the_net_of_before():
    raw = TinyDet(TinyDetConfig(classes=("a", "b", "c")))(torch.zeros(1, 3, 64, 64))
    assert raw.shape == (1, 64 + 16, 3 + NUM_EDGE_CHANNELS)
    assert raw[..., :3].sigmoid().max() < 0.05  # quiet before training, in every class
    # The last convolution comes in eights: classes take of its spare channels first.
    four = num_parameters(TinyDet(TinyDetConfig(classes=tuple("abcd"))))
    five = num_parameters(TinyDet(TinyDetConfig(classes=tuple("abcde"))))
    assert four == num_parameters(TinyDet())
    assert five == four + 2 * 8 * (TinyDetConfig().head_width + 1)


@pytest.mark.parametrize("classes", [(), ("a", "b", "a")])
def test_classes_are_names_each_once(classes):
    with pytest.raises(ValueError, match="classes must be names, each once"):
        TinyDetConfig(classes=classes)


NEW = [(0, 0), (0, 1), (1, 0), (1, 1)]
"""The convolution and the norm of each of two blocks."""


def test_a_coarser_stride_is_added_then_convolved_if_asked_for():
    """As often as `merges` says; the tensors of that come on top of the others."""
    plain, merging = (TinyDet(TinyDetConfig(merges=merges)) for merges in (0, 2))
    names = {name.rpartition(".")[0] for name in merging.state_dict().keys() - plain.state_dict()}
    assert names == {f"merge{at}.{block}.{part}" for at in (8, 16) for block, part in NEW}
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        before = merging.eval()(images)
        merging.get_parameter("merge16.1.0.weight").mul_(2)
        after = merging(images)
        merging.get_parameter("merge8.1.0.weight").mul_(2)
        at_last = merging(images)
    at8 = 8 * 12
    assert not torch.allclose(before[:, :at8], after[:, :at8])
    assert not torch.allclose(before[:, at8:], after[:, at8:])
    assert not torch.allclose(after[:, :at8], at_last[:, :at8])
    assert torch.equal(after[:, at8:], at_last[:, at8:])


@pytest.mark.parametrize("merges", [-1, 17, 1.0, True, "1"])
def test_merges_are_a_number(merges):
    with pytest.raises(ValueError, match="merges must be a number from 0 to 16"):
        TinyDetConfig(merges=merges)


def test_two_by_two_pixels_become_channels_and_no_pictures_stay_none():
    images = torch.rand(2, 3, 8, 12)
    pixels = two_by_two(images)
    assert torch.equal(pixels[:, :12], torch.nn.functional.pixel_unshuffle(images, 2))
    assert pixels.shape == (2, 16, 4, 6)
    assert not pixels[:, 12:].any()
    assert TinyDet()(torch.zeros(0, 3, 64, 96)).shape == (0, 96 + 24, 1 + NUM_EDGE_CHANNELS)


def test_a_gpu_doubles_pixels_as_all_else_does_and_keeps_channels_last():
    coarse = torch.rand(2, 3, 5, 4).to(memory_format=torch.channels_last)
    assert torch.equal(doubled(coarse), torch.nn.functional.interpolate(coarse, scale_factor=2.0))
    assert doubled(coarse).is_contiguous(memory_format=torch.channels_last)


def test_models_by_name_keep_to_their_sizes():
    assert tuple(MODELS) == get_args(ModelName)
    assert all(config.name == name for name, config in MODELS.items())
    assert num_parameters(TinyDet(MODELS["tinydet"])) <= 500_000
    half_of_yolo11n = 2_590_035 // 2
    assert 1_200_000 < num_parameters(TinyDet(MODELS["middet"])) <= half_of_yolo11n
    assert 3_500_000 < num_parameters(TinyDet(MODELS["bigdet"])) <= 4_000_000
    assert TinyDet(MODELS["bigdet"])(torch.zeros(1, 3, 64, 96)).shape == (
        1,
        96 + 24,
        1 + NUM_EDGE_CHANNELS,
    )


def test_the_first_convolution_is_the_same_of_two_by_two_pixels():
    """As a GPU computes it, and as every other device does."""
    convolution = PatchConv(3, 5, 6, 4, 2, bias=False).double()
    images = torch.rand(2, 3, 24, 32, dtype=torch.float64)
    pixels, kernel = two_by_two(images), two_by_two(convolution.weight)
    by_four = torch.nn.functional.conv2d(pixels, kernel, stride=2, padding=1)
    assert torch.allclose(by_four, convolution(images), atol=1e-12)
