"""Signals where the code of others would swallow them."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest

from endoforge.core.signals import INTERRUPTS, end_on_interrupts, held_interrupts


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def swallow(number: int) -> None:
    """A signal that comes where every exception is caught."""
    with contextlib.suppress(BaseException):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", INTERRUPTS)
def test_each_interrupts(number: int) -> None:
    end_on_interrupts()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_what_is_ignored_from_the_start_stays_ignored() -> None:
    """As SIGHUP is under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_on_interrupts()
    signal.raise_signal(signal.SIGHUP)
    with held_interrupts():
        signal.raise_signal(signal.SIGHUP)


@pytest.mark.parametrize("number", INTERRUPTS)
def test_one_that_would_be_swallowed_comes_at_the_end(number: int) -> None:
    end_on_interrupts()
    reached = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with held_interrupts():
            swallow(number)
            reached.append("the end")
        reached.append("beyond")
    assert reached == ["the end"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_it_comes_to_whom_it_would_have_come() -> None:
    noted = []
    signal.signal(signal.SIGTERM, lambda number, _: noted.append(number))
    with held_interrupts(), held_interrupts():
        swallow(signal.SIGTERM)
        assert noted == []
    assert noted == [signal.SIGTERM]


def test_a_second_one_acts_at_once() -> None:
    end_on_interrupts()
    reached = []
    with pytest.raises(KeyboardInterrupt), held_interrupts():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        reached.append("the first")
        signal.raise_signal(signal.SIGTERM)
        reached.append("the second")
    assert reached == ["the first"]


def test_it_outdoes_an_error_of_what_is_inside() -> None:
    end_on_interrupts()
    with pytest.raises(KeyboardInterrupt), held_interrupts():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        raise ImportError("half imported")


def test_another_thread_may_use_it() -> None:
    ended = []

    def work() -> None:
        with held_interrupts():
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
