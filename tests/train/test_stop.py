"""Ctrl-C stops after the step, and again at once; in another thread signals stay as they are."""

import signal
import threading

import pytest

from endoforge.backends.group import Group
from endoforge.core.errors import Resumable, UserError
from endoforge.data.loader import Loader
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


@pytest.mark.parametrize(
    ("told_to_stop", "end", "steps"), [(True, Resumable, 4 + 1), (False, UserError, 4 + 5)]
)
def test_what_ends_with_all_processes_of_a_command_is_a_stop(
    small_config, recorder, monkeypatch, told_to_stop, end, steps
):
    """As of --simulate, whose processes that make scenes hear SIGTERM too, at once."""
    whole = Loader.batches

    def batches(loader, epoch, start=0, stride=1):
        for number, batch in enumerate(whole(loader, epoch, start, stride), start):
            if loader.seed is not None and number == 4:
                if told_to_stop:
                    signal.raise_signal(signal.SIGTERM)
                raise UserError("a process that makes scenes was ended from outside")
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(Loader, "batches", batches)
        with pytest.raises(end):
            train(small_config(epochs=1))
    train(small_config(epochs=1))
    assert len(recorder.steps) == steps
