"""The same as torch on the CPU, but for rounding: outputs, loss, gradients, trained weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from endoforge.backends.arrays import to_arrays
from endoforge.backends.ghost_norm import GhostBatchNorm, parts_to_pass
from endoforge.backends.optimizer import Optimizer
from endoforge.backends.views import Chance, cells_of, make_views
from endoforge.detect.loss import detection_loss
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.tinydet import build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights
from tests.conftest import enlivened

from .conftest import CONFIG, HEIGHT, WIDTH, train

TWO_CLASSES = replace(CONFIG, classes=("flat", "stalked"), merges=1)


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (40, 24)], ids=["even", "odd"])
def test_raw_outputs_are_torchs(webgpu, size):
    """The second size isn't whole at strides 16 and 32, so upsampled maps are cut."""
    model = enlivened(build_tinydet(TWO_CLASSES, seed=3))
    images = torch.rand(2, 3, size[1], size[0], generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model(images)
    assert expected.std() > 0.1
    raw = webgpu.net(model)(images)
    assert raw.shape == expected.shape
    assert torch.allclose(raw, expected, atol=1e-4, rtol=0)


@pytest.mark.usefixtures("webgpu")
def test_an_iou_that_a_gpu_rounds_above_1_gives_no_nan():
    """As NVIDIA's Vulkan driver does with a box and itself; the epsilon is as small as that."""
    from tinygrad import Tensor

    from endoforge.backends.webgpu.tinygrad_loss import aspect_weight

    iou = np.nextafter(np.array([1, 1, 0.5], np.float32), np.float32(2))
    aspect = np.array([0, 0.01, 0.25], np.float32)
    weight = aspect_weight(
        Tensor(iou, device="WEBGPU").realize(), Tensor(aspect, device="WEBGPU").realize()
    )
    assert weight.numpy() == pytest.approx([0, 1, 1 / 3], abs=1e-4)


@pytest.mark.parametrize("config", [CONFIG, TWO_CLASSES], ids=["one class", "two classes"])
def test_loss_gradients_and_statistics_are_torchs(make, batch, config):
    classes = torch.tensor([[0, len(config.classes) - 1, 0], [0, 0, 0]])
    batch = replace(batch, classes=classes)
    backend = make(config)
    model = build_tinydet(config, seed=0).train()
    images, boxes, kinds, counts = make_views(*Chance(0, torch.device("cpu")).inputs(batch, 0, 0))
    assert counts.tolist() == [2, 0], "both boxes are in view"
    loss = detection_loss(model(images), boxes, kinds, counts, cells_of(images, config))
    loss.total.backward()

    result = backend.step(batch, lr=1e-3, epoch=0, step=0)
    assert float(result.loss) == pytest.approx(loss.total.item(), rel=1e-5)
    assert float(result.mean_iou) == pytest.approx(loss.mean_iou.item(), rel=1e-5)
    gradients = backend._learner.gradients.read()
    assert gradients.keys() == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        expected = parameter.grad.numpy()
        apart = np.linalg.norm(gradients[name] - expected)
        # Norms make what comes before them indifferent to a bias: such gradients are but rounding.
        assert apart <= 1e-3 * np.linalg.norm(expected) + 1e-7, name
    seen = backend._learner.statistics.read()
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            assert np.allclose(seen[name], buffer.numpy(), atol=1e-6), name


def test_ten_steps_stay_together(make, make_torch, batch):
    ours, torchs = make(), make_torch()
    assert train(ours, batch, range(10)) == pytest.approx(train(torchs, batch, range(10)), rel=1e-4)
    one, other = ours.state_dict(), torchs.state_dict()
    start = make_torch().weights()
    for part in ("model", "averaged"):
        assert list(one[part]) == list(other[part])
        for name, expected in other[part].items():
            assert one[part][name].dtype == expected.dtype
            assert np.allclose(one[part][name], expected, atol=5e-5), (part, name)
    moved = max(np.abs(other["model"][name] - start[name]).max() for name in start)
    assert moved > 100 * 5e-5, "the steps went somewhere"
    for name, moments in other["optimizer"].items():
        assert one["optimizer"][name].keys() == moments.keys()
        if "step" in moments:
            assert one["optimizer"][name]["step"] == moments["step"] == 10
        for key in moments.keys() - {"step"}:
            near = 1e-2 * np.abs(moments[key]).max() + 1e-9
            assert np.abs(one["optimizer"][name][key] - moments[key]).max() <= near, name


@pytest.mark.usefixtures("webgpu")
def test_without_muon_steps_are_torchs_adamw():
    """The optimizer alone, on gradients that are given."""
    from endoforge.backends.webgpu.runtime import settings
    from endoforge.backends.webgpu.step import Learner

    model = build_tinydet(CONFIG, seed=0)
    learner = Learner(model, muon=False)
    learner.parameters.write(to_arrays(dict(model.named_parameters())))
    optimizer = Optimizer(model, torch.device("cpu"), muon=False)
    optimizer.set_lr(1e-2)
    for number in (1, 2):
        generator = torch.Generator().manual_seed(number)
        for parameter in model.parameters():
            parameter.grad = 0.01 * torch.randn(parameter.shape, generator=generator)
        gradients = {name: one.grad for name, one in model.named_parameters()}
        learner.gradients.write(to_arrays(gradients))
        corrections = [1 - 0.9**number, 1 - 0.999**number]
        learner._numbers.write(np.array([1e-2, 0, *corrections], np.float32))
        with settings():
            learner._apply_gradients()
        optimizer.gather()
        optimizer.step()
    moved = learner.parameters.read()
    for name, parameter in model.named_parameters():
        assert np.allclose(moved[name], parameter.detach(), atol=1e-6), name


def test_large_gradients_are_cut_as_torch_cuts_them(make, make_torch, batch):
    ours, torchs = make(), make_torch()
    weights = torchs.weights()
    weights["head8.1.weight"] = weights["head8.1.weight"] * 3000
    for backend in (ours, torchs):
        backend.load_weights(weights)
    train(ours, batch, range(1))
    norm = np.sqrt(sum(np.square(one).sum() for one in ours._learner.gradients.read().values()))
    assert norm > 20
    train(torchs, batch, range(1))
    # After one step a momentum is the slope that Muon was given, and exp_avg a tenth of AdamW's.
    given = ours.state_dict()["optimizer"], torchs.state_dict()["optimizer"]
    slopes = [
        [one["momentum"] if "momentum" in one else 10 * one["exp_avg"] for one in state.values()]
        for state in given
    ]
    norms = [np.sqrt(sum(np.square(slope).sum() for slope in own)) for own in slopes]
    assert norms == pytest.approx([10, 10], rel=1e-3)


def test_a_detector_finds_what_it_finds_on_torch(webgpu, tmp_path):
    model = enlivened(build_tinydet(TWO_CLASSES, seed=3))
    path = tmp_path / "tinydet.safetensors"
    metadata = WeightsMetadata(
        model=model.config, input_size=(WIDTH, HEIGHT), resize_mode="letterbox"
    )
    save_weights(path, model.state_dict(), metadata)
    frames = [
        np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8) for seed in range(2)
    ]
    on_torch, on_webgpu = NeuralDetector(path), NeuralDetector(path, place=webgpu.net)
    for expected, found in zip(
        on_torch.detect_batch(frames), on_webgpu.detect_batch(frames), strict=True
    ):
        assert len(expected) > 0
        assert np.array_equal(found.classes, expected.classes)
        assert np.allclose(found.scores, expected.scores, atol=1e-4)
        assert np.allclose(found.boxes, expected.boxes, atol=1e-4)


@pytest.mark.usefixtures("webgpu")
@pytest.mark.parametrize("num_rows", [3, 32, 37])
def test_norms_look_at_groups_as_torchs_do(num_rows):
    from tinygrad import Tensor

    from endoforge.backends.webgpu.net import Pass, _batch_norm

    torch.manual_seed(0)
    norm = GhostBatchNorm(torch.nn.BatchNorm2d(5, momentum=0.03))
    x = torch.randn(num_rows, 5, 3, 4) * 2 + 1
    expected = torch.cat([norm(x[rows]) for rows in parts_to_pass(num_rows, at_once=False)])
    run = Pass({f"n.{name}": Tensor(one.detach().numpy()) for name, one in norm.named_parameters()})
    normalised = _batch_norm(norm, "n", Tensor(x.numpy()), run)
    assert np.allclose(normalised.numpy(), expected.detach().numpy(), atol=1e-5)
    assert run.seen is not None
    seen = np.stack([one.numpy() for one in run.seen["n"]])
    assert np.allclose(seen, norm.seen.numpy() / num_rows, atol=1e-5)
