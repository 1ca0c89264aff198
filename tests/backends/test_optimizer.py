"""Muon and AdamW on a TinyDet, against what they are said to do, in NumPy and float64."""

import numpy as np
import pytest
import torch

from endoforge.backends.muon import ByShape, Muon, Padded, orthogonal
from endoforge.backends.optimizer import Optimizer
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


@pytest.mark.parametrize("weakest", [1.0, 1e-2, 1e-4])
def test_the_iteration_holds_however_weak_a_direction_is(weakest):
    left, _, right = torch.linalg.svd(random(3, 8, 72), full_matrices=False)
    values = torch.logspace(0, np.log10(weakest), 8)
    start = left * (values / values.norm()) @ right
    for one, matrix in zip(orthogonal(start), start, strict=True):
        assert np.allclose(one, near_orthogonal(matrix.double().numpy()), atol=1e-3)


def test_matrices_padded_to_one_shape_are_stepped_as_those_of_one_shape_are():
    shapes = [(4, 9), (4, 9), (6, 40), (16, 16), (40, 6)]
    row = random(sum(rows * columns for rows, columns in shapes))
    expected = [
        near_orthogonal(part.view(shape).double().numpy()) * muon_scale(*shape)
        for part, shape in zip(row.split([r * c for r, c in shapes]), shapes, strict=True)
    ]
    for matrices in (ByShape(shapes), Padded(shapes, CPU)):
        steps = matrices.steps(row).split([one.size for one in expected])
        for one, wanted in zip(steps, expected, strict=True):
            assert np.allclose(one.view(wanted.shape), wanted, atol=1e-3)


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
    shapes = [(8, 27), (8, 27), (12, 4)]
    sizes = [rows * columns for rows, columns in shapes]
    row = random(sum(sizes))
    expected, momentum = row.double().numpy(), np.zeros(len(row))
    muon = Muon(row, shapes)
    for step in range(3):
        gradients = random(len(row), seed=1 + step)
        muon.step(gradients, 0.1)
        momentum = 0.95 * momentum + gradients.double().numpy()
        ahead = gradients.double().numpy() + 0.95 * momentum
        parts = np.split(ahead, np.cumsum(sizes)[:-1])
        moved = [
            near_orthogonal(part.reshape(shape)).ravel() * muon_scale(*shape)
            for part, shape in zip(parts, shapes, strict=True)
        ]
        expected = (1 - 0.1 * WEIGHT_DECAY) * expected - 0.1 * np.concatenate(moved)
    assert np.allclose(row, expected, atol=1e-4)
    assert np.allclose(muon.momentum, momentum, atol=1e-5)


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
    optimizer.gather()
    optimizer.step()
    for name, parameter in model.named_parameters():
        kept = 1 - 0.5 * WEIGHT_DECAY if parameter.ndim > 1 else 1.0
        assert torch.allclose(parameter, kept * before[name], atol=1e-7), name


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_each_parameter_goes_against_its_own_gradient(memory_format):
    """However it lies in memory, and wherever in the row."""
    model = TinyDet(SMALL).to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = Optimizer(model, CPU)
    named = dict(model.named_parameters())
    before = {name: one.detach().clone() for name, one in named.items()}
    for number, parameter in enumerate(named.values()):
        parameter.grad = random(*parameter.shape, seed=number)
    optimizer.set_lr(1e-3)
    optimizer.gather()
    optimizer.step()
    for name, parameter in named.items():
        slope = parameter.grad
        moved = parameter.detach() - before[name]
        if name in hidden_kernels(model):
            ahead = (1.95 * slope).permute(0, 2, 3, 1).flatten(1).double().numpy()
            wanted = near_orthogonal(ahead) * muon_scale(*ahead.shape)
            moved_rows = moved.permute(0, 2, 3, 1).flatten(1).double().numpy()
            kept = 1e-3 * WEIGHT_DECAY * before[name].permute(0, 2, 3, 1).flatten(1).numpy()
            assert np.allclose(moved_rows + kept, -1e-3 * wanted, atol=1e-5), name
        else:  # AdamW's first step has the sign of the slope alone
            assert torch.allclose(moved, -1e-3 * slope.sign(), atol=2e-4), name


def test_without_gradients_there_is_nothing_to_go_by():
    model = TinyDet(SMALL)
    optimizer = Optimizer(model, CPU)
    optimizer.gradients.fill_(1)
    optimizer.gather()
    assert not optimizer.gradients.any()
    next(iter(model.parameters())).grad = torch.zeros_like(next(iter(model.parameters())))
    with pytest.raises(AssertionError, match="some parameters have a gradient, others don't"):
        optimizer.gather()


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
