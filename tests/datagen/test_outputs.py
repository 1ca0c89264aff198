"""Where `datagen` is told to write is tried before anything is rendered."""

from pathlib import Path
from typing import NoReturn

import pytest

from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate


@pytest.fixture(autouse=True)
def _nothing_renders(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: str) -> NoReturn:
        raise AssertionError("a renderer was started")

    monkeypatch.setattr("endoforge.datagen.generate.start_engine", start)


@pytest.mark.parametrize(
    ("root", "copies", "message"),
    [
        ("file", None, "--output-root file: is there, but is no folder"),
        ("file/below", None, "--output-root file/below: .*file is no folder"),
        ("raw", "file", "--prune-output-root file: is there, but is no folder"),
        ("raw", "raw", "--prune-output-root raw: lies in --output-root raw"),
        ("raw", "raw/copies", "--prune-output-root raw/copies: lies in --output-root raw"),
        ("raw", "link/copies", "--prune-output-root link/copies: lies in --output-root raw"),
        ("taken", None, "--prune-output-root taken_filtered: is there, but is no folder"),
    ],
)
def test_a_folder_that_cannot_be_written_is_found_first(
    root: str,
    copies: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("no folder")
    Path("taken_filtered").write_text("no folder")
    Path("raw").mkdir()
    Path("link").symlink_to("raw")
    config = DatagenConfig(
        seed=1, output_root=root, prune_empty=copies is not None or root == "taken",
        prune_output_root=copies,
    )  # fmt: skip
    with pytest.raises(UserError, match=message):
        generate(config)
    assert not list(Path("raw").iterdir())


def test_copies_may_lie_around_what_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = DatagenConfig(seed=1, output_root="all/raw", prune_empty=True, prune_output_root="all")
    with pytest.raises(AssertionError, match="a renderer was started"):
        generate(config)
