"""Ctrl-C stops after the step, and again at once; in another thread signals stay as they are."""

import signal
import threading

import pytest

from endoforge.backends.group import Group
from endoforge.train import stop as module
from endoforge.train.loop import train
from endoforge.train.stop import StopRequested, stop_on_signal


def test_once_it_waits_for_the_step_and_again_it_does_not(monkeypatch, caplog):
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal(Group()) as stop:
        stop.check()
        signal.raise_signal(signal.SIGINT)
        assert "stopping after this step; again to stop at once, without saving" in caplog.text
        signal.raise_signal(signal.SIGINT)  # of a terminal and torchrun both: one request
        with pytest.raises(StopRequested):
            stop.check()
        monkeypatch.setattr(module, "SAME_REQUEST_S", 0.0)
        with pytest.raises(KeyboardInterrupt) as again:
            signal.raise_signal(signal.SIGINT)
        assert not isinstance(again.value, StopRequested)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_training_in_a_thread_leaves_signals_alone(small_config):
    before = signal.getsignal(signal.SIGINT)
    results, handlers = [], []

    def run():
        with stop_on_signal(Group()):
            handlers.append(signal.getsignal(signal.SIGINT))
        results.append(train(small_config(epochs=1)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [before]
    assert results[0].epochs == 1
