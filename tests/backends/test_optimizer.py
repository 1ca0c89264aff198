"""Muon and AdamW on a TinyDet, against what they are said to do, in NumPy and float64."""

import numpy as np
import pytest
import torch

from endoforge.backends.optimizer import (
    Muon,
    Optimizer,
    few_kernels,
    few_operations,
    orthogonal,
)
from endoforge.backends.recipe import WEIGHT_DECAY, muon_scale
from endoforge.detect.tinydet import MODELS, TinyDet, TinyDetConfig, hidden_kernels

CPU = torch.device("cpu")
SMALL = TinyDetConfig(widths=(4, 8, 8, 12), head_width=8)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def near_orthogonal(matrix):
    """One matrix by Newton and Schulz's iteration, through its singular values alone."""
    left, values, right = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values @ right


@pytest.mark.parametrize(("iterate", "off"), [(few_kernels, 1e-4), (few_operations, 1e-3)])
@pytest.mark.parametrize("weakest", [1.0, 1e-2, 1e-4])
def test_both_ways_to_iterate_agree_however_weak_a_direction_is(iterate, off, weakest):
    left, _, right = torch.linalg.svd(random(3, 8, 72), full_matrices=False)
    values = torch.logspace(0, np.log10(weakest), 8)
    start = left * (values / values.norm()) @ right
    for one, matrix in zip(iterate(start), start, strict=True):
        assert np.allclose(one, near_orthogonal(matrix.double().numpy()), atol=off)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (16, 16), (1, 9)])
def test_directions_stay_and_singular_values_come_near_1(shape):
    matrices = random(3, *shape)
    found = orthogonal(matrices)
    assert found.shape == matrices.shape
    for one, matrix in zip(found, matrices, strict=True):
        assert np.allclose(one, near_orthogonal(matrix.double().numpy()), atol=1e-4)
    if shape == (6, 40):  # no direction of which is all but lost
        values = torch.linalg.svdvals(found)
        assert 0.6 < values.min() < values.max() < 1.3


def test_what_is_nothing_stays_nothing():
    """As the gradient of a block that begins as its shortcut, and as rows of padding."""
    assert not orthogonal(torch.zeros(2, 4, 9)).any()


def test_muon_steps_along_orthogonal_momentum():
    kernels = [
        torch.nn.Parameter(random(*shape, seed=n))
        for n, shape in enumerate([(8, 3, 3, 3), (12, 4, 1, 1), (8, 3, 3, 3)])
    ]
    kernels[2].data = kernels[2].data.to(memory_format=torch.channels_last)
    before = [kernel.detach().double().numpy().copy() for kernel in kernels]
    momenta = [np.zeros_like(one) for one in before]
    muon = Muon(kernels)
    for step in range(3):
        for number, kernel in enumerate(kernels):
            kernel.grad = random(*kernel.shape, seed=10 * step + number)
        muon.step(0.1)
        for number, kernel in enumerate(kernels):
            gradient = random(*kernel.shape, seed=10 * step + number).double().numpy()
            momenta[number] = 0.95 * momenta[number] + gradient
            ahead = (gradient + 0.95 * momenta[number]).reshape(len(gradient), -1)
            moved = near_orthogonal(ahead) * muon_scale(*ahead.shape)
            kept = (1 - 0.1 * WEIGHT_DECAY) * before[number]
            before[number] = kept - 0.1 * moved.reshape(kept.shape)
    for kernel, momentum, expected, own in zip(kernels, muon.momenta, before, momenta, strict=True):
        assert np.allclose(kernel.detach(), expected, atol=1e-4)
        assert np.allclose(momentum, own, atol=1e-5)


def test_a_step_is_as_long_as_muon_scale_says():
    """An orthogonal matrix's entries have a mean square of 1 over its longer side."""
    matrix = torch.linalg.qr(random(40, 6))[0].T
    assert (matrix * muon_scale(6, 40)).square().mean().sqrt() == pytest.approx(0.4, rel=1e-5)


def test_ends_of_the_net_biases_and_norms_are_adams():
    model = TinyDet(SMALL)
    optimizer = Optimizer(model, CPU)
    hidden = {name for name, moments in optimizer.state.items() if "momentum" in moments}
    assert hidden == set(hidden_kernels(model))
    left = {name for name, one in model.named_parameters() if one.ndim > 1} - hidden
    assert left == {"stem.0.weight", "head8.1.weight", "head16.1.weight"}
    assert all(
        moments.keys() == ({"momentum"} if name in hidden else {"step", "exp_avg", "exp_avg_sq"})
        for name, moments in optimizer.state.items()
    )
    assert list(optimizer.state) == [name for name, _ in model.named_parameters()]


def test_kernels_decay_but_norms_and_biases_do_not():
    model = TinyDet(SMALL)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    optimizer = Optimizer(model, CPU)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.set_lr(0.5)
    optimizer.step()
    for name, parameter in model.named_parameters():
        kept = 1 - 0.5 * WEIGHT_DECAY if parameter.ndim > 1 else 1.0
        assert torch.allclose(parameter, kept * before[name], atol=1e-7), name


def test_parameters_without_gradients_stay():
    model = TinyDet(SMALL)
    before = [one.detach().clone() for one in model.parameters()]
    optimizer = Optimizer(model, CPU)
    optimizer.set_lr(0.5)
    optimizer.step()
    assert all(map(torch.equal, before, model.parameters()))


def test_a_state_is_taken_over_in_place():
    one, other = (Optimizer(TinyDet(SMALL), CPU) for _ in range(2))
    places = {name: dict(moments) for name, moments in other.state.items()}
    for moments in one.state.values():
        for tensor in moments.values():
            tensor.fill_(3)
    other.load_state(one.state)
    for name, moments in places.items():
        for moment, tensor in moments.items():
            assert other.state[name][moment] is tensor
            assert (tensor == 3).all()


@pytest.mark.parametrize("name", MODELS)
def test_hidden_kernels_are_most_of_every_net(name):
    model = TinyDet(MODELS[name])
    sizes = {name: one.numel() for name, one in model.named_parameters()}
    assert sum(sizes[name] for name in hidden_kernels(model)) > 0.95 * sum(sizes.values())
