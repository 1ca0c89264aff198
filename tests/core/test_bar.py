"""The bar: whole on a wide terminal, without what matters least on a narrow one."""

import errno
import io

import pytest
from rich.console import Console

from endoforge.core.bar import NarrowBar, clock


def drawn(width: int) -> str:
    """What the bar writes in a window so wide, half way."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    bar = NarrowBar("simulating", 960)
    bar.show(480, "59.6 frames/s", 65.0)
    console.print(bar, end="")
    return file.getvalue()


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        (100, ["simulating", "━" * 20, "480/960", "59.6 frames/s", "0:01:05"], []),
        (60, ["simulating", "━" * 5, "480/960", "59.6 frames/s", "0:01:05"], ["━" * 11]),
        (48, ["simulating", "480/960", "59.6 frames/s", "0:01:05"], ["━"]),
        (38, ["simulating", "480/960", "0:01:05"], ["━", "frames/s"]),
        (20, ["480/960", "0:01:05"], ["simulating"]),
    ],
)
def test_a_narrow_window_keeps_the_count_and_the_time_left(
    width: int, there: list[str], gone: list[str]
) -> None:
    line = drawn(width)
    assert all(part in line for part in there), line
    assert not any(part in line for part in gone), line
    assert "…" not in line


@pytest.mark.parametrize("width", [1, 8, 20, 40, 60, 100])
def test_it_is_one_line_drawn_from_its_start_to_which_the_cursor_returns(width: int) -> None:
    """So that what a shrinking window made of the last line is erased with the next."""
    line = drawn(width)
    begin, end = "\x1b[J\x1b[?7l", "\x1b[?7h\r"
    assert line.startswith(begin)
    assert line.endswith(end)
    assert "\n" not in line
    assert len(line) <= len(begin) + width + len(end)


def test_the_time_left_in_hours_minutes_and_seconds() -> None:
    assert [clock(s) for s in (0.4, 59.6, 3599, 36_000)] == [
        "0:00:00", "0:01:00", "0:59:59", "10:00:00",
    ]  # fmt: skip


class Gone(io.StringIO):
    """A terminal whose window was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, _: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_terminal_that_is_gone_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is told so by SIGHUP is still to be saved."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Gone())
    with NarrowBar("validating", 2) as bar:
        bar.show(1, "", None)
