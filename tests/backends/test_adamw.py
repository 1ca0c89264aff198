"""AdamW against the class of PyTorch that it stands in for."""

from typing import Any

import pytest
import torch

from endoforge.backends.adamw import AdamW
from endoforge.backends.recipe import ADAM_BETAS, ADAM_EPSILON, WEIGHT_DECAY
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet

CPU = torch.device("cpu")


@pytest.fixture
def nets():
    """Two nets with the same weights."""
    return [build_tinydet(TinyDetConfig(widths=(4, 8, 8, 8)), seed=0) for _ in range(2)]


def give_gradients(nets, step):
    """The same to both; the first parameter has none, as one that a loss doesn't reach."""
    for net in nets:
        generator = torch.Generator().manual_seed(step)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        next(iter(net.parameters())).grad = None


def test_it_moves_weights_and_moments_to_the_same_bits(nets):
    ours, theirs = nets
    optimizer = AdamW(list(ours.parameters()), CPU)
    kernels = [one for one in theirs.parameters() if one.ndim > 1]
    others = [one for one in theirs.parameters() if one.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": WEIGHT_DECAY},
        {"params": others},
    ]
    expected = torch.optim.AdamW(
        groups,
        betas=ADAM_BETAS,
        eps=ADAM_EPSILON,
        weight_decay=0.0,
        fused=True,
    )
    for step in range(4):
        give_gradients(nets, step)
        lr = 1e-3 * (step + 1)
        optimizer.set_lr(lr)
        for group in expected.param_groups:
            group["lr"] = lr
        optimizer.step()
        expected.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
        for name, moment in expected.state[other].items():
            assert torch.equal(optimizer.state[one][name], moment)


def test_what_has_no_gradient_stays_as_it_is(nets):
    net = nets[0]
    optimizer = AdamW(list(net.parameters()), CPU)
    optimizer.set_lr(1e-2)
    give_gradients([net], 0)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer.step()
    moved = [not torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True)]
    assert moved == [False] + [True] * (len(moved) - 1)
    assert optimizer.state[next(iter(net.parameters()))]["step"] == 0
