import io
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from endoforge.backends import ghost_norm, muon, torch_backend
from endoforge.backends.arrays import to_arrays, to_tensors
from endoforge.backends.torch_backend import TorchBackend
from endoforge.data import augment
from endoforge.data.loader import Batch
from endoforge.detect import loss, tinydet
from endoforge.detect.tinydet import PatchConv, TinyDetConfig, doubled, two_by_two

CPU = torch.device("cpu")


def backend(seed=0, painted=0.0):
    return TorchBackend(TinyDetConfig(), seed=seed, device=CPU, batch_size=2, painted=painted)


@pytest.fixture
def batch():
    """Two grey pictures, of which the first shows a red square."""
    images = np.full((2, 32, 48, 3), 90, np.uint8)
    images[0, 8:24, 12:36] = (220, 60, 60)
    boxes = np.zeros((2, 2, 4), np.float32)
    boxes[0, 0] = [0.25, 0.25, 0.75, 0.75]
    return Batch(
        images=torch.from_numpy(images),
        boxes=torch.from_numpy(boxes),
        classes=torch.zeros(2, 2, dtype=torch.int64),
        num_boxes=torch.tensor([1, 0]),
        indices=np.array([0, 1]),
        rows=slice(0, 2),
        num_all=2,
    )


def train(model, batch, steps):
    return [float(model.step(batch, lr=1e-3, epoch=0, step=step).loss) for step in steps]


def same(one, other):
    """Bit for bit, through nested dictionaries."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


def test_the_same_seed_and_batches_give_the_same_bytes(batch):
    one, other, third = backend(), backend(), backend(seed=1)
    for model in (one, other, third):
        train(model, batch, range(3))
    assert same(one.state_dict(), other.state_dict())
    assert not same(one.state_dict(), third.state_dict())


def test_a_batch_without_pictures_spoils_no_statistics(batch):
    nothing = {
        name: getattr(batch, name)[:0] for name in ("images", "boxes", "classes", "num_boxes")
    }
    empty = replace(batch, **nothing, indices=np.arange(0), rows=slice(0, 0), num_all=0)
    model = backend()
    before = model.state_dict()
    with pytest.raises(AssertionError, match="a batch without pictures"):
        train(model, empty, range(1))
    assert same(before, model.state_dict())


def test_what_is_compiled_is_kept_for_the_next_start(batch, monkeypatch):
    """PyTorch keeps no graph in which the precision of what follows is changed."""
    monkeypatch.setattr("endoforge.detect.loss._chosen", lambda _positive: None)
    monkeypatch.setattr("endoforge.backends.torch_backend.has_bfloat16", lambda _device: True)
    graphs = []

    def note(graph, _inputs):
        graphs.append(graph.graph)
        return graph.forward

    model = backend()
    compiled = torch.compile(model._forward, backend=note, dynamic=False)
    model._learn_by(compiled, model._chance.inputs(batch, 0, 0))
    torch.compiler.reset()
    [graph] = graphs
    called = {node.target for node in graph.nodes if node.op == "call_function"}
    assert torch.conv2d in called
    assert torch.amp.autocast_mode._enter_autocast not in called


class OnDevice(TorchDispatchMode):
    """Refuses what a CUDA graph can't hold: tensors of Python's values, and looks at values."""

    REFUSED = ("aten::lift_fresh", "aten::_local_scalar_dense", "aten::nonzero", "aten::item")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.name() not in self.REFUSED, func.name()
        return func(*args, **kwargs or {})


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """What a GPU does in other ways than a CPU, all but the compiling and recording."""

    def added(fine, coarse):
        return fine + doubled(coarse)[..., : fine.shape[-2], : fine.shape[-1]]

    def convolved(self, images):
        stride, padding = self.stride[0] // 2, self.padding[0] // 2
        pixels, kernel = two_by_two(images), two_by_two(self.weight)
        return functional.conv2d(pixels, kernel, self.bias, stride, padding)

    monkeypatch.setattr(loss, "_chosen", lambda _positive: None)
    monkeypatch.setattr(muon, "ByShape", lambda shapes: muon.Padded(shapes, CPU))
    monkeypatch.setattr(augment, "blur_", augment.blurred)
    monkeypatch.setattr(tinydet, "_add_upsampled", added)
    monkeypatch.setattr(
        torch_backend,
        "parts_to_pass",
        lambda num_rows, **_: ghost_norm.parts_to_pass(num_rows, at_once=True),
    )
    monkeypatch.setattr(PatchConv, "forward", convolved)


@pytest.fixture
def many(batch):
    """Two groups of norms, and a bit."""
    repeated = {
        name: getattr(batch, name).repeat_interleave(20, dim=0)
        for name in ("images", "boxes", "classes", "num_boxes")
    }
    return replace(batch, **repeated, indices=np.arange(40), rows=slice(0, 40), num_all=40)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("painted", [0.0, 0.7])
def test_a_step_as_a_gpu_records_it_stays_on_the_device(many, monkeypatch, painted):
    monkeypatch.setattr(torch_backend, "has_bfloat16", lambda _device: False)
    model = backend(painted=painted)
    inputs = model._chance.inputs(many, 0, 0)
    model._learn(*inputs)  # makes what is made once
    with OnDevice():
        total, _ = model._learn(*inputs)
    assert torch.isfinite(total)


def test_a_step_as_a_gpu_takes_it_is_that_of_a_cpu(many, monkeypatch, request):
    monkeypatch.setattr(torch_backend, "has_bfloat16", lambda _device: False)
    as_ever = train(backend(), many, range(3))
    request.getfixturevalue("as_on_a_gpu")
    assert train(backend(), many, range(3)) == pytest.approx(as_ever, rel=1e-5)


def test_the_position_decides_the_augmentation(batch):
    first, again, later = backend(), backend(), backend()
    losses = [
        float(model.step(batch, lr=1e-3, epoch=epoch, step=step).loss)
        for model, epoch, step in [(first, 0, 0), (again, 0, 0), (later, 1, 0)]
    ]
    assert losses[0] == losses[1] != losses[2]


def test_a_state_saved_and_loaded_goes_on_bit_for_bit(batch):
    whole = backend()
    train(whole, batch, range(4))

    half = backend()
    train(half, batch, range(2))
    buffer = io.BytesIO()
    torch.save(to_tensors(half.state_dict()), buffer)
    buffer.seek(0)
    resumed = backend(seed=9)
    resumed._chance.seed = 0
    resumed.load_state_dict(to_arrays(torch.load(buffer, weights_only=True)))
    train(resumed, batch, range(2, 4))
    assert same(resumed.state_dict(), whole.state_dict())


def test_painted_pictures_are_seen_with_the_same_boxes(batch):
    plain, painted = (backend(painted=share).view(batch, epoch=0, step=0) for share in (0.0, 1.0))
    assert np.abs(plain.images - painted.images).max() > 0.05
    assert np.array_equal(plain.boxes, painted.boxes)
    assert np.array_equal(plain.num_boxes, painted.num_boxes)


def test_a_state_is_a_copy(batch):
    model = backend()
    train(model, batch, range(1))
    state = model.state_dict()
    kept = state["optimizer"]["head8.1.weight"]["exp_avg"].copy()
    train(model, batch, range(1, 3))
    assert np.array_equal(state["optimizer"]["head8.1.weight"]["exp_avg"], kept)


def test_the_weights_to_use_follow_the_trained_ones(batch):
    model = backend()
    start = model.weights()["head8.1.weight"]
    train(model, batch, range(1))
    # One step done: (1 + 1) / (10 + 1) of the average is kept.
    trained = model.state_dict()["model"]["head8.1.weight"]
    expected = start * (2 / 11) + trained * (9 / 11)
    assert np.allclose(model.weights()["head8.1.weight"], expected, atol=1e-7)


def test_a_cpu_learns_without_pytorchs_compiler(batch, monkeypatch):
    """Importing that takes seconds, of each process that trains."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    train(backend(), batch, range(2))


def test_it_learns_one_picture(batch):
    losses = train(backend(), batch, range(60))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_predictions_are_of_each_picture_alone(batch):
    model = backend()
    together = model.predict(batch.images)
    alone = [model.predict(batch.images[i : i + 1])[0] for i in range(2)]
    for one, other in zip(together, alone, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_seeds_differ_in_first_weights_and_in_augmentation(batch):
    one, other = backend(seed=0), backend(seed=1)
    assert not same(one.weights(), other.weights())
    views = [model.view(batch, epoch=0, step=0).images for model in (one, other, backend(seed=0))]
    assert not np.array_equal(views[0], views[1])
    assert np.array_equal(views[0], views[2])


def test_a_view_is_what_a_step_learns_from_and_changes_nothing(batch):
    looked, plain = backend(), backend()
    view = looked.view(batch, epoch=0, step=0)
    assert same(looked.state_dict(), plain.state_dict())
    assert view.images.shape == (2, 32, 48, 3)
    assert (view.images.min() >= 0, view.images.max() <= 1) == (True, True)
    assert view.positive.shape == (2, 4 * 6 + 2 * 3)
    assert view.centres[[0, 24]].tolist() == [[4, 4], [8, 8]]
    assert view.strides[[0, 24]].tolist() == [8, 16]
    assert view.positive[0].any()
    assert not view.positive[1].any()
    assert view.num_boxes.tolist() == [1, 0]
    assert len(view.detections) == 2
    # The true box holds the red square: redder inside than outside.
    x0, y0, x1, y1 = np.rint(view.boxes[0, 0] * [48, 32, 48, 32]).astype(int)
    redness = view.images[0, ..., 0] - view.images[0, ..., 2]
    inside = redness[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].mean()
    assert inside > 2 * redness.mean() > 0


def test_a_part_of_a_batch_gets_the_views_of_the_whole(batch):
    whole = backend().view(batch, epoch=3, step=7)
    part = replace(
        batch,
        images=batch.images[1:],
        boxes=batch.boxes[1:],
        classes=batch.classes[1:],
        num_boxes=batch.num_boxes[1:],
        indices=batch.indices[1:],
        rows=slice(1, 2),
    )
    assert np.allclose(backend().view(part, epoch=3, step=7).images[0], whole.images[1], atol=1e-6)


def test_weights_can_be_started_from(batch):
    trained, fresh = backend(), backend(seed=5)
    train(trained, batch, range(2))
    fresh.load_weights(trained.weights())
    assert same(fresh.weights(), trained.weights())
    assert same(fresh.state_dict()["model"], trained.weights())
    assert fresh.state_dict()["num_steps"] == 0
