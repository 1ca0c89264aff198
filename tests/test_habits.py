"""Command lines as people type them who come from the tool before this one."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from endoforge import cli
from endoforge.core.errors import UserError
from endoforge.habits import command_named, unread_log_level, without_separator

FLAGS = {"--batch-size", "--format", "--help"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("prune_empty", "prune-empty"),
        ("sim_view", "sim-view"),
        ("overlay_labels", "overlay-labels"),
        ("train_hp", "train-hp"),
        ("train-hp", "train-hp"),
        ("train", "train"),
    ],
)
def test_underscores_stand_for_hyphens_in_commands(typed: str, meant: str) -> None:
    assert command_named(typed, cli.COMMANDS) == meant


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("trian", "train"),
        ("prune", "prune-empty"),
        ("Prune_Empt", "prune-empty"),
        ("evaluate", "eval"),
        ("view", "sim-view"),
        ("overlay", "overlay-labels"),
        ("data_gen", "datagen"),
    ],
)
def test_another_command_is_answered_with_the_nearest_and_all(typed: str, nearest: str) -> None:
    message = f"no command '{typed}'; perhaps you meant {nearest}; choose from demo, sim-view, "
    with pytest.raises(UserError) as raised:
        command_named(typed, cli.COMMANDS)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (["--", "--batch-size", "4"], ["--batch-size", "4"]),
        (["--", "--batch_size=4"], ["--batch_size=4"]),
        (["--", "--help"], ["--help"]),
        (["--"], []),
        (["RUNS", "--", "OUT", "--format", "coco"], ["RUNS", "OUT", "--format", "coco"]),
        (["--", "-odd.png"], ["--", "-odd.png"]),
        (["--format", "coco", "--", "--odd"], ["--format", "coco", "--", "--odd"]),
        (["--", "--batch-size", "4", "--", "x"], ["--batch-size", "4", "--", "x"]),
        ([], []),
    ],
)
def test_a_separator_before_flags_is_taken_for_cargos(args: list[str], left: list[str]) -> None:
    assert without_separator(args, FLAGS) == left


@pytest.mark.parametrize(
    ("name", "args", "field", "value"),
    [
        ("train", ["--", "--batch-size", "4"], "batch_size", 4),
        ("train", ["--batch_size", "4"], "batch_size", 4),
        ("train", ["--batch_size=4", "--val_ratio=0.3"], "val_ratio", 0.3),
        ("datagen", ["--", "--max_frames", "7"], "max_frames", 7),
        ("overlay-labels", ["--", "RUN"], "paths", ("RUN",)),
        ("detect", ["--", "a.png", "-b.png"], "paths", ("a.png", "-b.png")),
        ("convert", ["--", "--format", "coco", "RUNS", "OUT"], "paths", ("RUNS", "OUT")),
        ("convert", ["--format", "coco", "--", "RUNS", "-out"], "paths", ("RUNS", "-out")),
    ],
)
def test_command_lines_by_habit(name: str, args: list[str], field: str, value: object) -> None:
    config, _ = cli.parse(name, args)
    assert getattr(config, field) == value


def test_a_separator_may_come_before_the_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--", "--version"]) == 0
    assert capsys.readouterr().out.startswith("endoforge ")


@pytest.mark.parametrize(
    ("args", "environment", "told"),
    [
        ([], {"RUST_LOG": "info"}, True),
        ([], {"RUST_LOG": ""}, False),
        ([], {}, False),
        ([], {"RUST_LOG": "info", "ENDOFORGE_LOG": "debug"}, False),
        (["--log-level", "debug"], {"RUST_LOG": "info"}, False),
        (["--log_level=debug"], {"RUST_LOG": "info"}, False),
    ],
)
def test_rust_log_names_what_is_read(
    args: list[str], environment: dict[str, str], told: bool
) -> None:
    line = unread_log_level(args, environment)
    assert (line is not None) is told
    if line is not None:
        assert "--log-level" in line
        assert "ENDOFORGE_LOG" in line


def test_what_the_environment_says_in_vain_is_told_and_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.chdir(tmp_path)
    for name, value in {"RUST_LOG": "info", "WGPU_BACKEND": "vulkan", "WGPU_X": ""}.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["train"]) == 2
    rust, wgpu, error = capsys.readouterr().err.splitlines()
    assert rust.startswith("warning: RUST_LOG isn't read here")
    assert wgpu.startswith("warning: WGPU_BACKEND: read with --backend webgpu only")
    assert error.startswith("endoforge: error: no folder")
    assert cli.run(["prune-empty"]) == 2
    assert "WGPU" not in capsys.readouterr().err


def test_a_commands_own_name_is_used_in_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["prune_empty", "--input", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, "-m", "endoforge", "train_hp", "--epoch", "x"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 2
    assert "endoforge train-hp --help" in done.stderr
