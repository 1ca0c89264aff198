"""One small net and one size of batch for all tests, for each new one is compiled for long."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from endoforge.backends import torch_backend
from endoforge.backends.group import Group
from endoforge.backends.torch_backend import TorchBackend
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import TinyDetConfig

CONFIG = TinyDetConfig(widths=(4, 8, 8, 8))
WIDTH, HEIGHT = 64, 32


@pytest.fixture(autouse=True)
def _torch_in_float32(monkeypatch):
    """As WebGPU computes; a CPU with AMX would take bfloat16."""
    monkeypatch.setattr(torch_backend, "has_bfloat16", lambda _device: False)


@pytest.fixture
def batch() -> Batch:
    """Two noisy pictures: the first shows a large and a tiny red box, the second nothing."""
    rng = np.random.default_rng(0)
    images = rng.integers(60, 120, (2, HEIGHT, WIDTH, 3), np.uint8)
    images[0, 8:24, 12:36] = (220, 60, 60)
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0, 0] = [12 / WIDTH, 8 / HEIGHT, 36 / WIDTH, 24 / HEIGHT]
    boxes[0, 1] = [0.71, 0.4, 0.76, 0.5]
    return Batch(
        images=torch.from_numpy(images),
        boxes=torch.from_numpy(boxes),
        classes=torch.tensor([[0, 0, 0], [0, 0, 0]]),
        num_boxes=torch.tensor([2, 0]),
        indices=np.array([0, 1]),
        rows=slice(0, 2),
        num_all=2,
    )


@pytest.fixture(scope="session")
def compiled():
    """Backends that other tests have done with, by configuration."""
    return defaultdict(list)


@pytest.fixture
def make(webgpu, compiled, make_torch):
    """A backend on the adapter, of `config` and a seed; `anew`, one that has compiled nothing yet.

    Others are taken from former tests if need be, and brought to the state that new ones begin
    with, for compiling a step takes seconds.
    """
    taken = []

    def make_one(config=CONFIG, seed=0, *, anew=False):
        if compiled[config] and not anew:
            backend = compiled[config].pop()
            backend.load_state_dict(make_torch(config, seed).state_dict())
            backend._chance.seed = seed
        else:
            backend = webgpu.backend(config, seed=seed, batch_size=2, group=Group())
        taken.append((config, backend))
        return backend

    yield make_one
    for config, backend in taken:
        compiled[config].append(backend)


@pytest.fixture
def make_torch():
    """The same on torch's CPU."""

    def make_one(config=CONFIG, seed=0):
        return TorchBackend(config, seed=seed, device=torch.device("cpu"), batch_size=2)

    return make_one


def train(backend, batch, steps, lr=1e-3):
    """The losses of these steps."""
    return [float(backend.step(batch, lr=lr, epoch=0, step=step).loss) for step in steps]
