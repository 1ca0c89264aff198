"""Norms over groups of rows, and steps of several processes whose parts are whole groups.

`tests/train/test_processes.py` does the latter with real processes.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from torch import nn

from endoforge.backends.ghost_norm import (
    GhostBatchNorm,
    SeenStatistics,
    group_sizes,
    parts_to_pass,
    with_ghost_norms,
)
from endoforge.backends.group import Group
from endoforge.backends.torch_backend import TorchBackend
from endoforge.data.loader import Batch, Shard
from endoforge.detect.tinydet import TinyDet, TinyDetConfig, doubled

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("num_rows", "sizes"),
    [(0, []), (1, [1]), (31, [31]), (32, [16, 16]), (53, [16, 16, 21]), (64, [16] * 4)],
)
def test_rows_are_cut_into_groups_of_which_the_last_takes_the_rest(num_rows, sizes):
    assert group_sizes(num_rows) == sizes
    assert [part.stop - part.start for part in parts_to_pass(num_rows, at_once=False)] == sizes


@pytest.mark.parametrize(
    ("num_rows", "sizes"), [(0, []), (21, [21]), (64, [64]), (53, [32, 21]), (512, [512])]
)
def test_a_gpu_takes_groups_of_one_size_at_once(num_rows, sizes):
    parts = list(parts_to_pass(num_rows, at_once=True))
    assert [part.stop - part.start for part in parts] == sizes
    assert [part.start for part in parts] == [0, *np.cumsum(sizes)[:-1]][: len(parts)]


@pytest.mark.parametrize(
    ("count", "num_rows", "shares"),
    [
        (2, 64, [32, 32]),
        (3, 64, [16, 16, 32]),
        (4, 70, [16, 16, 16, 22]),
        (2, 31, [0, 31]),
        (2, 1, [0, 1]),
        (8, 512, [64] * 8),
    ],
)
def test_processes_share_whole_groups(count, num_rows, shares):
    parts = [Group(rank, count).shard.of(num_rows) for rank in range(count)]
    assert [part.stop - part.start for part in parts] == shares
    assert [part.start for part in parts] == [0, *np.cumsum(shares)[:-1]]
    sizes = [size for part in parts for size in group_sizes(part.stop - part.start)]
    assert sizes == group_sizes(num_rows)


def test_parts_of_no_groups_are_as_equal_as_can_be():
    assert [Shard(number, 3).of(10) for number in range(3)] == [
        slice(0, 3), slice(3, 6), slice(6, 10),
    ]  # fmt: skip


def norm_of(weights: bool = True) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(5, momentum=0.03)
    if weights:
        with torch.no_grad():
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    return norm


def slope_of(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


@pytest.mark.parametrize("num_rows", [3, 21, 32, 48])
def test_each_group_is_normalised_as_by_a_batch_norm_of_its_own(num_rows):
    torch.manual_seed(0)
    norm = norm_of()
    x = (torch.randn(num_rows, 5, 7, 3) * 2 + 1).requires_grad_()
    slopes = torch.randn(num_rows, 5, 7, 3)
    ghost = GhostBatchNorm(norm)
    (ghost(x) * slopes).sum().backward()
    ours = [slope_of(one) for one in (x, ghost.weight, ghost.bias)]
    x.grad = None
    sizes = group_sizes(num_rows)
    alone = [copy.deepcopy(norm) for _ in sizes]
    parts = torch.cat([one(part) for one, part in zip(alone, x.split(sizes), strict=True)])
    assert torch.allclose(ghost(x), parts, atol=1e-5)
    (parts * slopes).sum().backward()
    theirs = [
        x.grad,
        *(sum(getattr(one, name).grad for one in alone) for name in ("weight", "bias")),
    ]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_rows", [21, 48])
def test_running_statistics_follow_the_mean_of_the_groups(num_rows):
    torch.manual_seed(0)
    norm = norm_of()
    x = torch.randn(num_rows, 5, 7, 3) * 2 + 1
    model = with_ghost_norms(nn.Sequential(copy.deepcopy(norm)))
    seen = SeenStatistics(model, CPU)
    for _ in range(2):
        seen.forget()
        model(x)
    seen.follow(torch.tensor(float(num_rows)))
    means = [part.mean((0, 2, 3)) for part in x.split(group_sizes(num_rows))]
    variances = [part.transpose(0, 1).flatten(1).var(1) for part in x.split(group_sizes(num_rows))]
    for name, of_groups, before in (("running_mean", means, 0.0), ("running_var", variances, 1.0)):
        expected = 0.97 * before + 0.03 * torch.stack(of_groups).mean(0)
        assert torch.allclose(model.get_submodule("0").get_buffer(name), expected, atol=1e-5), name
    assert int(model.get_submodule("0").get_buffer("num_batches_tracked")) == 1


def test_no_convolution_has_its_images_turned(monkeypatch):
    """Channels first or last, both ways: each that isn't as the next one wants it is a copy."""
    monkeypatch.setattr(nn.functional, "interpolate", lambda x, **_: doubled(x))
    plain = TinyDet(TinyDetConfig(widths=(8, 8, 8, 8), head_width=8, merges=1))
    plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = with_ghost_norms(plain)
    given, got_back = {}, {}

    def watch(name, convolution):
        convolution.register_forward_hook(lambda _, images, __: given.update({name: images[0]}))
        convolution.register_full_backward_hook(
            lambda _, __, slopes: got_back.update({name: slopes[0]})
        )

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            watch(name, module)
    images = torch.rand(48, 3, 64, 96, requires_grad=True).to(memory_format=torch.channels_last)
    model(images).square().sum().backward()
    assert len(given) == len(got_back) == 19
    for output in ("head8.1", "head16.1"):  # parts of one row of cells
        del got_back[output]
    for one in (*given.values(), *got_back.values()):
        assert one.is_contiguous(memory_format=torch.channels_last)


def test_in_evaluation_it_is_a_batch_norm():
    torch.manual_seed(0)
    norm = norm_of().eval()
    x = torch.randn(48, 5, 4, 4)
    ghost = GhostBatchNorm(norm).eval()
    assert torch.equal(ghost(x), norm(x))
    assert not ghost.seen.any()
    assert list(ghost.state_dict()) == list(norm.state_dict())


class Threads(Group):
    """A group of threads, which add up through a shared list."""

    def __init__(self, rank, slots, barrier):
        super().__init__(rank, len(slots))
        self._slots, self._barrier = slots, barrier

    def add_up(self, tensor):
        self._slots[self.rank] = tensor.clone()
        self._barrier.wait(timeout=600)
        tensor.copy_(sum(self._slots))
        self._barrier.wait(timeout=600)
        return tensor


def batch_of(num_rows: int, rows: slice) -> Batch:
    """Part of a batch of noise, in whose every third picture there is a box."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (num_rows, 32, 48, 3), np.uint8)
    boxes = np.tile(np.array([[[0.2, 0.2, 0.8, 0.7]]], np.float32), (num_rows, 1, 1))
    places = np.arange(num_rows)
    return Batch(
        images=torch.from_numpy(images[rows]),
        boxes=torch.from_numpy(boxes[rows]),
        classes=torch.zeros(num_rows, 1, dtype=torch.int64)[rows],
        num_boxes=torch.from_numpy((places % 3 == 0).astype(np.int64)[rows]),
        indices=places[rows],
        rows=rows,
        num_all=num_rows,
    )


def learned(backend: TorchBackend, num_rows: int, shard: Shard) -> list[float]:
    batch = batch_of(num_rows, shard.of(num_rows))
    results = [backend.step(batch, lr=1e-3, epoch=0, step=step) for step in range(2)]
    return [float(number) for one in results for number in (one.loss, one.mean_iou)]


@pytest.mark.parametrize(("num_rows", "count"), [(4, 2), (37, 2), (37, 3), (53, 2)])
def test_parts_of_a_batch_are_learned_from_as_the_whole(monkeypatch, num_rows, count):
    """Of (4, 2) and (37, 3) a process has nothing: there are fewer groups than processes."""
    monkeypatch.setattr("endoforge.backends.torch_backend.has_bfloat16", lambda _device: False)

    def made(group: Group) -> TorchBackend:
        return TorchBackend(TinyDetConfig(), seed=0, device=CPU, batch_size=num_rows, group=group)

    whole = made(Group())
    expected = learned(whole, num_rows, Shard())
    slots, barrier = [None] * count, Barrier(count)
    groups = [Threads(rank, slots, barrier) for rank in range(count)]
    backends = [made(group) for group in groups]
    with ThreadPoolExecutor(count) as pool:
        jobs = [
            pool.submit(learned, backend, num_rows, group.shard)
            for backend, group in zip(backends, groups, strict=True)
        ]
        told = [job.result() for job in jobs]
    assert told == [pytest.approx(expected, rel=1e-4)] * count
    for backend in backends:
        for name, array in whole.state_dict()["model"].items():
            ours = backend.state_dict()["model"][name]
            assert np.allclose(ours, array, rtol=1e-3, atol=1e-4), name
