"""Batch norm over several processes against PyTorch's over the batch of all of them.

`tests/train/test_processes.py` does the same with real processes.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn

from endoforge.backends.group import Group
from endoforge.backends.sync_norm import synchronise_norms


class Threads(Group):
    """A group of threads, which add up through a shared list."""

    def __init__(self, rank, shared):
        super().__init__(rank, len(shared.slots))
        self._shared = shared

    def add_up(self, tensor):
        self._shared.slots[self.rank] = tensor.clone()
        self._shared.barrier.wait(timeout=600)
        tensor.copy_(sum(self._shared.slots))
        self._shared.barrier.wait(timeout=600)
        return tensor


class Shared:
    def __init__(self, size):
        self.slots = [None] * size
        self.barrier = Barrier(size)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.03), nn.SiLU())
    return nn.Sequential(layers, nn.BatchNorm2d(4))


def learn(model, images, weights):
    """The gradients of a loss that treats every value differently."""
    (model(images) * weights).sum().backward()
    return [parameter.grad for parameter in model.parameters()]


def test_one_process_keeps_its_norms():
    model = net()
    assert synchronise_norms(model, Group(), torch.device("cpu")) is model
    assert type(model[1]) is nn.BatchNorm2d


@pytest.mark.parametrize("sizes", [(3, 3), (1, 4, 2), (5, 0)])
def test_parts_of_a_batch_are_normalised_as_the_whole(sizes):
    images, weights = torch.randn(sum(sizes), 3, 8, 9) * 2 + 1, torch.randn(sum(sizes), 4, 6, 7)
    whole = net()
    expected = learn(whole, images, weights)
    shared = Shared(len(sizes))
    models = [
        synchronise_norms(copy.deepcopy(net()), Threads(rank, shared), torch.device("cpu"))
        for rank in range(len(sizes))
    ]
    with ThreadPoolExecutor(len(sizes)) as pool:
        parts = zip(models, images.split(sizes), weights.split(sizes), strict=True)
        gradients = [job.result() for job in [pool.submit(learn, *part) for part in parts]]
    for number, slope in enumerate(expected):
        total = sum(own[number] for own in gradients)
        assert torch.allclose(total, slope, rtol=1e-3, atol=1e-3)
    for model in models:
        for name, buffer in whole.named_buffers():
            assert torch.allclose(model.get_buffer(name), buffer, atol=1e-5), name
    for model in models:
        model.eval()
        assert torch.allclose(model(images), whole.eval()(images), atol=1e-5)
        whole.train()


def test_the_names_of_the_state_stay():
    model = net()
    names = list(model.state_dict())
    other = synchronise_norms(net(), Threads(0, Shared(2)), torch.device("cpu"))
    assert list(other.state_dict()) == names
