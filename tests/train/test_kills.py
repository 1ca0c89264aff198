"""Trainings that are really stopped and really killed."""

import shlex
import signal
from dataclasses import replace

import pytest

from endoforge.cli import run
from endoforge.train.loop import train
from tests.train.processes import epochs_in, finished, flags, start, wait_for

EPOCHS = 14
FILES = ["tinydet.safetensors", "tinydet_best.safetensors"]


@pytest.mark.slow
def test_killed_and_stopped_again_and_again_it_ends_as_if_never_stopped(
    small_config, tmp_path, capsys
):
    """Begun with --fresh, which the command to go on leaves out, for it would start over."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(small_config(epochs=EPOCHS, ckpt_dir=str(whole)))
    metrics = tmp_path / "metrics.jsonl"
    config = small_config(
        epochs=EPOCHS, ckpt_dir=str(killed), ckpt_every_steps=7, metrics_out=str(metrics)
    )
    sessions = (
        (2, signal.SIGTERM, replace(config, fresh=True)),
        (5, signal.SIGKILL, config),
        (8, signal.SIGINT, config),
    )
    for epoch, number, session in sessions:
        process = start(session)

        def is_reached(epoch: int = epoch) -> bool:
            return len(epochs_in(metrics)) >= epoch

        wait_for(is_reached, process)
        process.send_signal(number)
        code, _, errors = finished(process)
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 130
            go_on = "endoforge: interrupted; go on with: endoforge "
            assert errors.splitlines()[-1] == go_on + shlex.join(flags(config))
    capsys.readouterr()
    assert run(flags(config)) == 0
    assert "last validation: AP50" in capsys.readouterr().out
    for name in FILES:
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert epochs_in(metrics) == list(range(1, EPOCHS + 1))
