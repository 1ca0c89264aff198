"""What every command promises of files that somebody else made, checked of one call."""

import contextlib
import faulthandler
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, settings

from endoforge import cli

MOST_SECONDS = 60
MORE = os.environ.get("FUZZ_EXAMPLES")

fuzzed = settings(
    max_examples=int(MORE or 40),
    derandomize=MORE is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""A little in CI, the same each time; with FUZZ_EXAMPLES set that many a test, others each time."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own for one example."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def call(argv: list[str], folder: Path, out: str = "out") -> tuple[int, str]:
    """Run a command on what lies in `folder`; its exit code and all that it said.

    It ends in time with 0 or 2, in the latter case with one line of error; it says nothing that
    isn't a line of printable text; below `folder`, nothing changes but `out`.
    """
    before = _state(folder, out)
    said, complained = io.StringIO(), io.StringIO()
    assert sys.__stderr__ is not None
    faulthandler.dump_traceback_later(MOST_SECONDS, exit=True, file=sys.__stderr__)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = cli.run(argv)
    finally:
        faulthandler.cancel_dump_traceback_later()
    errors = complained.getvalue()
    assert code in (0, 2), errors
    assert "Traceback" not in errors
    assert sum(line.startswith("endoforge: error:") for line in errors.split("\n")) == (code == 2)
    for text in (said.getvalue(), errors):
        assert all(line.isprintable() for line in text.split("\n")), text
    assert _state(folder, out) == before
    return code, said.getvalue() + errors


def _state(folder: Path, out: str) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] != out:
            status = os.lstat(path)
            size = 0 if path.is_dir() else status.st_size
            found[str(name)] = (status.st_mode, size, 0 if path.is_dir() else status.st_mtime_ns)
    return found
