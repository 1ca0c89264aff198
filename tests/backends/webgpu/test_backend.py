"""What the WebGPU backend promises beside its arithmetic."""

import io

import numpy as np
import pytest
import torch

from endoforge.backends.arrays import to_arrays, to_tensors
from endoforge.backends.compute import pick_compute
from endoforge.backends.group import Group
from endoforge.core.errors import UserError
from tests.backends.test_torch_backend import same

from .conftest import CONFIG, train


def test_the_same_seed_and_batches_give_the_same_bytes(make, batch):
    one, other = make(anew=True), make()
    for backend in (one, other):
        train(backend, batch, range(3))
    assert same(one.state_dict(), other.state_dict())
    assert not same(make().weights(), make(seed=1).weights())


def test_it_begins_with_torchs_weights(make, make_torch):
    assert same(make(seed=4, anew=True).state_dict(), make_torch(seed=4).state_dict())


def through_a_file(state):
    """As a checkpoint holds it."""
    buffer = io.BytesIO()
    torch.save(to_tensors(state), buffer)
    buffer.seek(0)
    return to_arrays(torch.load(buffer, weights_only=True))


def test_a_state_saved_and_loaded_goes_on_bit_for_bit(make, batch):
    whole, half, resumed = make(), make(), make(seed=9, anew=True)
    train(whole, batch, range(5))
    train(half, batch, range(2))
    resumed._chance.seed = 0
    resumed.load_state_dict(through_a_file(half.state_dict()))
    assert same(resumed.state_dict(), half.state_dict())
    train(resumed, batch, range(2, 5))
    assert same(resumed.state_dict(), whole.state_dict())


@pytest.mark.parametrize("first", ["torch", "webgpu"])
def test_one_backend_goes_on_where_the_other_stopped(make, make_torch, batch, first):
    makers = {"torch": make_torch, "webgpu": make}
    begins, goes_on = makers.pop(first), *makers.values()
    whole, half, resumed = begins(), begins(), goes_on()
    expected = train(whole, batch, range(6))[3:]
    train(half, batch, range(3))
    resumed.load_state_dict(through_a_file(half.state_dict()))
    assert same(resumed.state_dict(), half.state_dict()), "nothing is lost on the way"
    assert train(resumed, batch, range(3, 6)) == pytest.approx(expected, rel=1e-4)
    for name, array in whole.weights().items():
        assert np.allclose(resumed.weights()[name], array, atol=5e-5), name


def test_a_state_is_a_copy(make, batch):
    backend = make()
    train(backend, batch, range(1))
    state = backend.state_dict()
    kept = through_a_file(state)
    train(backend, batch, range(1, 3))
    assert same(state, kept)


def test_a_view_is_torchs_and_changes_nothing(make, make_torch, batch):
    backend = make()
    view, expected = (one.view(batch, epoch=1, step=2) for one in (backend, make_torch()))
    assert same(backend.state_dict(), make_torch().state_dict())
    assert np.array_equal(view.images, expected.images)
    assert np.array_equal(view.boxes, expected.boxes)
    assert np.array_equal(view.positive, expected.positive)
    assert np.allclose(view.raw, expected.raw, atol=1e-4)
    assert view.loss == pytest.approx(expected.loss, rel=1e-4)


def test_results_can_be_read_late(make, batch):
    """As the loop does, which adds the losses of an epoch up at its end."""
    at_once, late = make(), make()
    expected = train(at_once, batch, range(4))
    results = [late.step(batch, lr=1e-3, epoch=0, step=step) for step in range(4)]
    assert [float(result.loss) for result in results] == expected


def test_it_predicts_as_torch_does_also_in_odd_batches(make, make_torch, batch):
    backend, torchs = make(), make_torch()
    images = torch.cat([batch.images, batch.images.flip(2)])[:3]
    found, expected = backend.predict(images), torchs.predict(images)
    assert [len(one) for one in found] == [len(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


def test_predictions_follow_the_training(make, batch):
    backend = make()
    before = backend._net(torch.zeros(2, 3, 32, 64))
    train(backend, batch, range(4), lr=1e-2)
    assert not torch.equal(backend._net(torch.zeros(2, 3, 32, 64)), before)


def test_nothing_is_compiled_after_the_second_step(make, batch, monkeypatch):
    from tinygrad.engine import jit, realize

    from endoforge.backends.webgpu import runtime

    backend = make(anew=True)
    train(backend, batch, range(2))
    work = []
    for module, name in ((realize, "lower_and_compile"), (jit, "jit_lower")):
        monkeypatch.setattr(module, name, lambda *_, name=name, **__: work.append(name))
    monkeypatch.setattr(runtime.Kernel, "__init__", lambda *_: work.append("kernel"))
    monkeypatch.setattr(runtime.Kernel, "bind", lambda *_: work.append("bind"))
    launched = []
    submit = runtime.submit

    def spy(dev, launches):
        launched.append(launches)
        submit(dev, launches)

    monkeypatch.setattr(runtime, "submit", spy)
    assert len(set(train(backend, batch, range(2, 5)))) == 3
    assert work == []
    counts = [len(launches) for launches in launched]
    assert sum(counts) / 3 > 100
    assert len(counts) / 3 < 10, "kernels are submitted in lists, not one by one"


def test_no_other_device_is_opened(make, batch, monkeypatch):
    from tinygrad.device import Device

    # Another file's tests may have opened others in this process.
    monkeypatch.setattr(Device, "_opened_devices", set())
    train(make(), batch, range(1))
    assert set(Device._opened_devices) <= {"WEBGPU"}


def test_an_array_of_another_shape_is_refused(make):
    weights = make().weights()
    weights["up8.bias"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"up8\.bias is \(3,\), must be \(8,\)"):
        make().load_weights(weights)


@pytest.mark.usefixtures("webgpu")
def test_a_batch_that_is_too_large_for_the_adapter_is_named(monkeypatch):
    from tinygrad import Tensor
    from tinygrad.device import Device

    monkeypatch.setattr(Device["WEBGPU"], "largest_buffer", 1000)
    with pytest.raises(UserError, match="lower --batch-size"):
        Tensor.zeros(1001, device="WEBGPU").contiguous().realize()


def test_it_trains_in_one_process(webgpu):
    with pytest.raises(UserError, match="one process"):
        webgpu.backend(CONFIG, seed=0, batch_size=2, group=Group(0, 2))


@pytest.mark.usefixtures("webgpu")
def test_a_process_keeps_its_adapter(monkeypatch):
    from endoforge.backends.webgpu import adapters

    other = adapters.Adapter("other", "nobody", "vulkan", "discrete GPU", None)
    monkeypatch.setattr(adapters, "list_adapters", lambda: [other])
    with pytest.raises(UserError, match=r"computes on .* already"):
        pick_compute("webgpu", "auto", None)
