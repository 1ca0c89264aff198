"""The same training by --backend webgpu, and with each of the backends in turn."""

import signal
from dataclasses import replace

import pytest

from endoforge.core.errors import Resumable
from endoforge.detect.tinydet import MODELS
from endoforge.detect.weights import load_weights
from endoforge.evaluate.config import EvalConfig
from endoforge.report.eval_command import run_eval
from endoforge.train.loop import train
from tests.backends.webgpu.conftest import CONFIG


@pytest.fixture(autouse=True)
def _small_model(monkeypatch):
    monkeypatch.setitem(MODELS, "tinydet", CONFIG)


@pytest.fixture
def learned(small_config):
    """The configuration of a training on torch that has learned the blobs."""
    config = small_config(epochs=25, batch_size=2, lr_start=1e-2, lr_end=1e-3, log_every=0)
    train(config)
    return config


def evaluated(config, backend):
    return run_eval(
        EvalConfig(
            checkpoint=f"{config.ckpt_dir}/tinydet.safetensors",
            input_root=config.input_root,
            backend=backend,
        )
    )


@pytest.mark.slow
@pytest.mark.usefixtures("webgpu")
def test_backends_take_turns_and_agree_on_ap(learned, recorder):
    on_torch, on_webgpu = evaluated(learned, "torch"), evaluated(learned, "webgpu")
    assert on_torch.metrics.ap50 > 0.2, "there is something to compare"
    assert on_webgpu.metrics.ap == pytest.approx(on_torch.metrics.ap, abs=0.002)
    assert on_webgpu.metrics.ap50 == pytest.approx(on_torch.metrics.ap50, abs=0.002)
    assert on_webgpu.metrics.mean_iou == pytest.approx(on_torch.metrics.mean_iou, abs=0.002)
    assert on_webgpu.subject.device.startswith("webgpu, ")

    train(replace(learned, epochs=26, backend="webgpu", device="auto"))
    assert recorder.plan.epochs_done == 25
    assert recorder.plan.device.startswith("webgpu, ")
    train(replace(learned, epochs=27))
    assert recorder.plan.epochs_done == 26
    assert recorder.plan.device.startswith("cpu, ")
    by_webgpu, by_torch = recorder.epochs
    assert by_webgpu.loss == pytest.approx(by_torch.loss, rel=0.3), "neither began anew"
    assert evaluated(learned, "webgpu").metrics.ap50 > 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("webgpu")
def test_stopped_on_webgpu_it_ends_as_if_it_had_not_been(small_config, tmp_path, recorder):
    whole = small_config(ckpt_dir=str(tmp_path / "whole"), backend="webgpu", device="auto")
    cut = replace(whole, ckpt_dir=str(tmp_path / "cut"))
    expected = train(whole)

    def stop(report):
        if report.step == 3:
            signal.raise_signal(signal.SIGINT)

    recorder.after_step = stop
    with pytest.raises(Resumable):
        train(cut)
    recorder.after_step = lambda _report: None
    ended = train(cut)
    one, other = (load_weights(result.checkpoint)[0].state_dict() for result in (expected, ended))
    assert all(one[name].equal(other[name]) for name in one)
