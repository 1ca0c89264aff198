"""A message is one line, whatever is in it."""

import logging
from collections.abc import Iterator

import pytest

from endoforge.core.logs import start_logging

log = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def test_names_of_files_forge_no_lines_and_reach_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_logging("info")
    log.info("reading %s", "a\nendoforge: all is well\x1b]0;owned\x07")
    log.warning("%s is damaged", "b\r\udcff\u202e")
    assert capsys.readouterr().err == (
        "reading a\\nendoforge: all is well\\x1b]0;owned\\x07\n"
        "warning: b\\r\\xff\\u202e is damaged\n"
    )


def test_a_traceback_keeps_its_lines_and_escapes_what_is_in_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_logging("info")
    try:
        raise ValueError("red \x1b[31m")
    except ValueError:
        log.exception("a bug")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["error: a bug", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: red \\x1b[31m"


def test_a_message_of_megabytes_is_cut_in_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info")
    log.info("begin %s end", "x" * 10**6)
    said = capsys.readouterr().err
    assert len(said) < 5000
    assert said.startswith("begin xx")
    assert said.endswith("xx end\n")
