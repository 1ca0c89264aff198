"""Progress as a log shows it, and where a bar stands for it."""

import io
import logging
import sys
import time

import pytest

from endoforge.core import progress as module
from endoforge.core.bar import NarrowBar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees; set its one item."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_ten_seconds(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with module.progress("rendering", 100, "frames") as advance:
        for second, done in ((0, 10), (4, 8), (10, 12), (12, 5), (20, 15)):
            clock[0] = 100.0 + second
            advance(done)
    assert [record.getMessage() for record in caplog.records] == [
        "rendering: 30/100, 2.0 frames/s, 35 s left",
        "rendering: 50/100, 2.0 frames/s, 25 s left",
    ]


def test_a_total_that_is_known_later_counts_from_then_on(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with module.progress("rendering", 100, "frames") as advance:
        advance(0, total=50)
        advance(10)
        clock[0] = 110.0
        advance(20)
    [record] = caplog.records
    assert record.getMessage() == "rendering: 30/50, 2.0 frames/s, 10 s left"


def test_what_is_prepared_before_the_first_units_is_no_part_of_the_rate(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """16 s of compiling, then 32 units at once, then 32 a 4 s: 8 units a second."""
    caplog.set_level(logging.INFO)
    with module.progress("simulating", 960, "frames") as advance:
        clock[0] = 111.0
        advance(0, total=960)
        for second in (16.0, 20.0, 24.0, 28.0):
            clock[0] = 100.0 + second
            advance(32)
    assert [record.getMessage() for record in caplog.records] == [
        "simulating: 32/960",
        "simulating: 128/960, 8.0 frames/s, 104 s left",
    ]


def test_the_bar_shows_no_rate_before_it_is_known(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units that come in bursts have no rate within the first one."""
    shown: list[tuple[int, str, float | None]] = []

    def note(
        _: NarrowBar, done: int, text: str, left_s: float | None, *, total: int | None = None
    ) -> None:
        assert total == 96
        shown.append((done, text, left_s))

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(NarrowBar, "show", note)
    with module.progress("simulating", 96, "frames", "compiling") as advance:
        advance(0)
        for second, count in ((16.0, 31), (16.1, 1), (20.1, 32)):
            clock[0] = 100.0 + second
            advance(count)
    assert shown[:3] == [(0, "compiling", None), (31, "", None), (32, "", None)]
    assert shown[3][:2] == (64, "8.0 frames/s")
    assert shown[3][2] == pytest.approx(32 / (33 / 4.1))


@pytest.mark.parametrize(("term", "bar"), [("xterm", True), ("dumb", False), ("unknown", False)])
def test_a_dumb_terminal_gets_lines(term: str, bar: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    assert not module.on_terminal()
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert module.on_terminal() is bar
