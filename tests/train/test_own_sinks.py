"""Sinks that are handed to `train` hear what its own ones hear, after them, and may end it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from endoforge.train.reports import EpochReport, Outcome, Plan, StepReport

Config = Callable[..., TrainConfig]


class Own:
    """Remembers what it hears, and raises `error` at what `fails_at` names."""

    def __init__(self, fails_at: str = "", error: Exception | None = None) -> None:
        self.heard: list[str] = []
        self.fails_at, self.error = fails_at, error
        self.looks: Callable[[], object] = lambda: None
        self.seen: list[object] = []

    def start(self, plan: Plan) -> None:
        self.hear(f"start {plan.epochs}x{plan.steps_per_epoch} from {plan.steps_done}")

    def step(self, report: StepReport) -> None:
        assert float(report.result.loss) > 0
        self.hear(f"step {report.epoch}.{report.step}")

    def epoch(self, report: EpochReport) -> None:
        assert report.validation.metrics.images > 0
        self.seen.append(self.looks())
        self.hear(f"epoch {report.epoch}")

    def finish(self, status: Outcome, error: str | None) -> None:
        self.hear(f"finish {status} {error}")

    def hear(self, what: str) -> None:
        self.heard.append(what)
        if self.error is not None and what.startswith(self.fails_at):
            raise self.error


EPOCHS = [f"step 1.{n}" for n in range(1, 6)], [f"step 2.{n}" for n in range(1, 6)]
WHOLE = ["start 2x5 from 0", *EPOCHS[0], "epoch 1", *EPOCHS[1], "epoch 2", "finish done None"]


def test_it_hears_every_step_and_epoch_after_the_sinks_of_the_configuration(
    small_config: Config, tmp_path: Path
) -> None:
    metrics = tmp_path / "metrics.jsonl"
    own, other = Own(), Own()
    own.looks = lambda: len(metrics.read_text().splitlines())
    train(small_config(metrics_out=str(metrics)), sinks=[own, other])
    assert own.heard == other.heard == WHOLE
    assert own.seen == [1, 2], "the line of an epoch is written before"


def test_without_and_with_it_the_weights_are_the_same(small_config: Config, tmp_path: Path) -> None:
    plain = train(small_config(ckpt_dir=str(tmp_path / "plain")))
    heard = train(small_config(ckpt_dir=str(tmp_path / "heard")), sinks=[Own()])
    assert plain.checkpoint.read_bytes() == heard.checkpoint.read_bytes()


@pytest.mark.parametrize("fails_at", ["start", "step 2.3", "epoch 2"])
def test_one_that_raises_ends_the_training_which_goes_on_from_its_last_save(
    small_config: Config, tmp_path: Path, fails_at: str
) -> None:
    status = tmp_path / "status.json"
    whole = train(small_config(ckpt_dir=str(tmp_path / "whole")))
    config = small_config(ckpt_dir=str(tmp_path / "ended"), status_file=str(status))
    error = RuntimeError("my disk is full")
    own, last = Own(fails_at, error), Own()
    with pytest.raises(RuntimeError, match="my disk is full") as caught:
        train(config, sinks=[own, last])
    assert caught.value is error
    told = "RuntimeError: my disk is full"
    assert (told, "failed") == tuple(json.loads(status.read_text())[k] for k in ("error", "status"))
    assert own.heard[-1] == last.heard[-1] == f"finish failed {told}"
    again = Own()
    ended = train(config, sinks=[again])
    assert again.heard[0] == f"start 2x5 from {0 if fails_at == 'start' else 5}"
    assert ended.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_one_that_cannot_hear_the_end_keeps_no_other_from_it(
    small_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, last = Own("finish", ValueError("closed")), Own()
    with pytest.raises(ValueError, match="closed"):
        train(small_config(epochs=1), sinks=[bad, last])
    assert last.heard[-1] == "finish done None"
    missing = small_config(input_root=str(tmp_path / "nowhere"), ckpt_dir=str(tmp_path / "other"))
    with pytest.raises(Exception, match="no folder"):
        train(missing, sinks=[bad, last])
    assert "Own can't write how it ended: closed" in caplog.text
    assert last.heard[-1].startswith("finish failed UserError: no folder")
