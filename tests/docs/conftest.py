"""Types what pages print into an empty folder."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from endoforge import cli
from tests.chromium import browser

__all__ = ["browser"]
"""A fixture, for the tests of this folder."""


@pytest.fixture
def type_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    """Types a line in an empty folder, and gives the exit code and what stood on stderr.

    What a shell does more to a line than split it at spaces, it does here; else this process is
    the command's, which saves it seconds to start.
    """
    monkeypatch.undo()  # the package's own weights are there, as for users
    monkeypatch.chdir(tmp_path)

    def typed(line: str) -> tuple[int, str]:
        command, *words = shlex.split(line)
        if command == "endoforge" and line == " ".join([command, *words]) and "> " not in line:
            capsys.readouterr()
            return cli.run(words), capsys.readouterr().err
        shell = f'endoforge() {{ "{sys.executable}" -m endoforge "$@"; }}; {line}'
        done = subprocess.run(
            ["bash", "-c", shell], capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        return done.returncode, done.stderr

    return typed
