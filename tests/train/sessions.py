"""A training in several sessions, of which the first two end before they should."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from endoforge.train.config import TrainConfig
from endoforge.train.loop import train


def train_in_sessions(
    config: TrainConfig, recorder: Any, last: TrainConfig | None = None
) -> Iterator[str]:
    """Train until a crash, then for one step, until Ctrl-C, then to the end, by `last` if given.

    Of 5 steps an epoch, 8 are done when it crashes, of which 6 are saved if every third is. Yields
    how each session ended.
    """

    def crash(report: Any) -> None:
        if (report.epoch, report.step) == (2, 3):
            raise RuntimeError("the power went")

    recorder.after_step = crash
    with pytest.raises(RuntimeError):
        train(config)
    yield "crashed"
    recorder.after_step = lambda _: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    yield "stopped"
    recorder.after_step = lambda _: None
    train(last or config)
    yield "done"
