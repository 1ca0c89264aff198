"""Trainings that are really stopped and really killed."""

import signal

import pytest

from endoforge.train.loop import train
from tests.train.processes import epochs_in, finished, start, wait_for

EPOCHS = 36
FILES = ["tinydet.safetensors", "tinydet_best.safetensors"]


@pytest.mark.slow
def test_killed_and_stopped_again_and_again_it_ends_as_if_never_stopped(small_config, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(small_config(epochs=EPOCHS, ckpt_dir=str(whole)))
    metrics = tmp_path / "metrics.jsonl"
    config = small_config(
        epochs=EPOCHS, ckpt_dir=str(killed), ckpt_every_steps=7, metrics_out=str(metrics)
    )
    for epoch, number in ((6, signal.SIGKILL), (14, signal.SIGTERM), (22, signal.SIGINT)):
        process = start(config)
        wait_for(lambda epoch=epoch: len(epochs_in(metrics)) >= epoch, process)
        process.send_signal(number)
        code, _, errors = finished(process)
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 130
            assert errors.splitlines()[-1].startswith(
                "endoforge: interrupted; go on with: endoforge train --input-root "
            )
    code, out, errors = finished(start(config))
    assert code == 0, errors
    assert "last validation: AP50" in out
    for name in FILES:
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert epochs_in(metrics) == list(range(1, EPOCHS + 1))


@pytest.mark.slow
def test_the_command_to_go_on_does_not_start_over(small_config, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    process = start(small_config(epochs=1000, fresh=True, metrics_out=str(metrics)))
    wait_for(lambda: len(epochs_in(metrics)) >= 2, process)
    process.terminate()
    code, _, errors = finished(process)
    assert code == 130
    assert "--epochs 1000" in errors.splitlines()[-1]
    assert "--fresh" not in errors.splitlines()[-1]
