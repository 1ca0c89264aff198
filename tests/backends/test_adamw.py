"""AdamW against the class of PyTorch that it stands in for."""

from typing import Any

import torch

from endoforge.backends.adamw import AdamW
from endoforge.backends.recipe import ADAM_BETAS, ADAM_EPSILON, WEIGHT_DECAY


def test_it_moves_weights_and_moments_to_the_same_bits():
    generator = torch.Generator().manual_seed(0)
    row = torch.randn(50, generator=generator)
    theirs = [torch.nn.Parameter(part.clone()) for part in row.split([30, 20])]
    optimizer = AdamW(row, 30)
    groups: list[dict[str, Any]] = [
        {"params": theirs[:1], "weight_decay": WEIGHT_DECAY},
        {"params": theirs[1:]},
    ]
    expected = torch.optim.AdamW(
        groups,
        betas=ADAM_BETAS,
        eps=ADAM_EPSILON,
        weight_decay=0.0,
        fused=True,
    )
    for step in range(4):
        gradients = torch.randn(50, generator=generator)
        for one, slope in zip(theirs, gradients.split([30, 20]), strict=True):
            one.grad = slope.clone()
        lr = 1e-3 * (step + 1)
        optimizer.set_lr(lr)
        for group in expected.param_groups:
            group["lr"] = lr
        optimizer.step(gradients)
        expected.step()
    assert torch.equal(row, torch.cat([one.detach() for one in theirs]))
    for name, moments in optimizer.moments.items():
        assert torch.equal(moments, torch.cat([expected.state[one][name] for one in theirs]))
    assert [float(steps) for steps in optimizer.num_steps] == [4, 4]
