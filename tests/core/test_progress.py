"""Progress as a log shows it."""

import logging
import time

import pytest

from endoforge.core import progress as module


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees; set its one item."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_ten_seconds(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with module.progress("rendering", 100, "frames") as advance:
        for second, done in ((4, 10), (10, 10), (12, 5), (20, 15)):
            clock[0] = 100.0 + second
            advance(done)
    assert [record.getMessage() for record in caplog.records] == [
        "rendering: 20/100, 2.0 frames/s, 40 s left",
        "rendering: 40/100, 2.0 frames/s, 30 s left",
    ]


def test_a_total_that_is_known_later_counts_from_then_on(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with module.progress("rendering", 100, "frames") as advance:
        advance(0, total=50)
        clock[0] = 110.0
        advance(20)
    [record] = caplog.records
    assert record.getMessage() == "rendering: 20/50, 2.0 frames/s, 15 s left"
