"""The command line as users meet it: every command end to end, every mistake in one line."""

import io
import json
import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from endoforge import __version__, cli
from endoforge.core.errors import UserError
from endoforge.core.logs import start_logging

NEEDED = {
    "card": ["packaged"],
    "overlay-labels": ["RUN"],
    "import": ["--format", "yolo", "--images", "images"],
    "convert": ["--format", "coco", "RUNS", "OUT"],
    "detect": ["PICTURE"],
    "select": ["RUNS"],
    "push": ["WEIGHTS", "hf://me/polyps"],
    "pull": ["hf://me/polyps"],
}
"""What a command can't do without."""
POSITIONAL = {
    "overlay-labels": "RUN... [OUT]",
    "convert": "RUNS|ADDRESS... OUT|ADDRESS",
    "detect": "IMAGES|VIDEO|FOLDER...",
    "select": "RUNS...",
    "push": "WEIGHTS|SHARDS hf://USER/NAME",
    "pull": "hf://USER/NAME",
}
SMALL = ["--resolution", "160x96", "--renderer", "cpu"]
SIMULATE = ["--simulate", "--steps", "40", "--epochs", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def run(*argv: str | Path) -> int:
    return cli.run([str(word) for word in argv])


def test_the_journey_command_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """datagen, prune-empty, overlay-labels, train, train again, train-hp, eval: by their defaults'
    folders, on tiny runs."""
    monkeypatch.chdir(tmp_path)
    datagen = ["datagen", "--seed", "3", "--runs", "3", "--max-frames", "10", *SMALL]
    assert run(*datagen) == 0
    assert "3 runs, 30 frames" in capsys.readouterr().out

    assert run("prune-empty") == 0
    assert "frames kept" in capsys.readouterr().out
    runs = sorted(Path("assets/datasets/captures_filtered").glob("run_*"))
    assert runs

    assert run("overlay-labels", str(runs[0])) == 0
    assert len(list((runs[0] / "overlays").glob("*.png"))) > 0

    small = ["--target-size", "96x64", "--device", "cpu"]
    assert run("train", "--val-ratio", "0.4", "--metrics-out", "m.jsonl", *small) == 0
    assert json.loads(Path("m.jsonl").read_text())["epoch"] == 1
    assert Path("checkpoints/tinydet.safetensors").exists()
    assert Path("checkpoints/tinydet_best.safetensors").exists()
    assert run("train", "--val-ratio", "0.4", *small) == 0

    hp = ["train-hp", "--epochs", "1", "--val-ratio", "0.4", "--ckpt-dir", "hp", *small]
    assert run(*hp) == 0
    assert json.loads(Path("logs/train_hp_status.json").read_text())["status"] == "done"

    assert run("eval", "--metrics-out", "eval.jsonl") == 0
    out = capsys.readouterr().out
    assert "AP50" in out
    record = json.loads(Path("eval.jsonl").read_text())
    assert [entry["iou"] for entry in record["val_metrics"]] == [0.5, 0.75]
    assert len(record["pr_curve"]) == 19


def test_the_randomization_that_is_printed_can_be_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("datagen", "--print-randomization", "--polyps", "3-5") == 0
    printed = capsys.readouterr().out
    (tmp_path / "ranges.toml").write_text(printed)
    assert tomllib.loads(printed)["polyps"]["count"] == [3, 5]
    assert run("datagen", "--print-randomization", "--randomization", tmp_path / "ranges.toml") == 0
    assert capsys.readouterr().out == printed
    assert [path.name for path in tmp_path.iterdir()] == ["ranges.toml"]


def test_ranges_that_come_with_the_package_are_printed_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same ranges but for what differs: numbers, not what is said."""
    printed = []
    for words in ([], ["--randomization", "plain"], ["--randomization", "real"]):
        assert run("datagen", "--print-randomization", *words) == 0
        printed.append(tomllib.loads(capsys.readouterr().out))
    valves = [ranges["lookalikes"]["valve"]["probability"] for ranges in printed]
    assert valves == [0.5, 0.0, 0.7]


def test_out_to_another_format_and_back_and_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("datagen", "--seed", "3", "--max-frames", "6", *SMALL) == 0
    captures = "assets/datasets/captures"
    assert run("convert", "--format", "coco", captures, "out") == 0
    pictures = ["--images", "out/images", "--annotations", "out/annotations.json"]
    assert run("import", "--format", "coco", *pictures) == 0
    assert "1 run, 6 frames came in" in capsys.readouterr().out
    assert len(list(Path("assets/datasets/real_val").glob("run_*/labels/*.json"))) == 6

    found = ["detect", "--detector", "heuristic", "assets/datasets/real_val", "out/images"]
    assert run(*found, "--annotations", "out/annotations.json", "--draw", "found") == 0
    assert "12 pictures" in capsys.readouterr().out
    assert len(Path("detections/detections.jsonl").read_text().splitlines()) == 12


def test_devices_marks_one_pick_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("devices") == 0
    out = capsys.readouterr().out
    rendering, torch, webgpu = (
        [line.startswith("*") for line in part.splitlines()] for part in out.split("\n\n")
    )
    assert (sum(rendering), sum(torch)) == (1, 1)
    assert sum(webgpu) == ("not here" not in out.split("\n\n")[2])
    assert "cpu" in out


def test_help_names_every_command_and_every_command_has_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--help") == 0
    overview = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f"  {name} " in overview
        with pytest.raises(SystemExit) as stop:
            run(name, "--help")
        assert stop.value.code == 0
        text = capsys.readouterr().out
        assert f"endoforge {name}" in text
        assert "--log-level" in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from endoforge import cli\n"
        "cli.run(['--help'])\n"
        "heavy = {'torch', 'quadrants', 'numpy', 'cv2', 'pydantic', 'tyro', 'matplotlib', 'rich'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_line_is_parsed_without_torch_or_quadrants() -> None:
    """Of every command; the first that imports one of them is named."""
    lines = [(name, NEEDED.get(name, [])) for name in cli.COMMANDS]
    code = (
        "import sys\n"
        "from endoforge import cli\n"
        f"for name, words in {lines}:\n"
        "    cli.parse(name, words)\n"
        "    heavy = {'torch', 'quadrants', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        "    if heavy:\n"
        "        sys.exit(f'{name}: {heavy}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


OTHERWISE = {"from_s": "from", "to_s": "to"}
"""Fields whose flags have another name: `from` is a word of Python's."""


def test_every_flag_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        config, general = cli.parse(name, NEEDED.get(name, []))
        with pytest.raises(SystemExit):
            run(name, "--help")
        text = capsys.readouterr().out
        for field in (*fields(config), *fields(general)):
            flag = "--" + OTHERWISE.get(field.name, field.name).replace("_", "-")
            if field.name in ("paths", "what", "to", "repository"):
                flag = POSITIONAL[name]
            assert flag in text or field.name.upper() in text, (name, flag)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fly"], ["no command 'fly'", "datagen"]),
        (["train", "--val-ratio", "1.5"], ["--val-ratio 1.5", "between 0 and 1"]),
        (["train", "--scheduler", "foo"], ["--scheduler", "linear", "cosine"]),
        (["train", "--bach-size", "3"], ["--bach-size", "perhaps you meant --batch-size"]),
        (["train", "--epochs", "many"], ["--epochs", "many"]),
        (["train", "--input-root", "nowhere"], ["nowhere", "datagen"]),
        (["train", "--input-root", "empty"], ["empty"]),
        (["prune-empty", "--input", "nowhere"], ["nowhere"]),
        (["eval", "--checkpoint", "none.safetensors"], ["none.safetensors", "endoforge train"]),
        (["export", "--checkpoint", "none.safetensors"], ["none.safetensors", "endoforge train"]),
        (["export", "--nms", "beside"], ["--nms", "inside", "outside"]),
        (["eval", "--val-iou-sweep", "0.5,x"], ["--val-iou-sweep"]),
        (["overlay-labels"], ["RUN"]),
        (["datagen", "--resolution", "big"], ["--resolution", "640x360"]),
        (["datagen", "--renderer", "metal"], ["--renderer metal", "cpu"]),
        (["datagen", "--seed", "-3"], ["--seed -3"]),
        (["datagen", "--run-range", "0:2"], ["--run-range", "--seed"]),
        (["datagen", "--polyps", "9"], ["--polyps 9", "12-20"]),
        (["datagen", "--randomization", "no.toml"], ["no.toml"]),
        (["datagen", "--randomization", "rael"], ["rael", "plain, real"]),
        (["sim-view", "--randomization", "rael"], ["rael", "plain, real"]),
        (["train", *SIMULATE, "--randomization", "rael"], ["rael", "plain, real"]),
        (["datagen", "--from-manifest", "no.json"], ["no.json"]),
        (["datagen", "--resume"], ["--resume", "--seed"]),
        (["sim-view", "--port", "99999"], ["--port 99999", "8765"]),
        (["sim-view", "--mode", "fly"], ["--mode", "sim", "datagen"]),
        (["demo", "--output-root", "taken"], ["taken", "another folder"]),
        (["import", "--images", "empty"], ["--format", "coco", "voc"]),
        (["import", "--format", "coco", "--images", "empty"], ["--annotations", "JSON"]),
        (["import", "--format", "yolo", "--images", "empty"], ["empty", ".png"]),
        (["import", "--video", "none.mp4"], ["none.mp4"]),
        (["convert", "--format", "coco", "nowhere", "out"], ["nowhere", "datagen"]),
        (["convert", "--format", "coco", "nowhere"], ["RUNS", "OUT"]),
        (["convert", "--format", "coco", "nowhere", "taken"], ["taken", "new folder"]),
        (["detect", "nowhere"], ["nowhere", "no such picture"]),
        (["detect", "empty", "--detector", "heuristic"], ["empty", "no picture"]),
        (["select", "nowhere"], ["nowhere", "no folder"]),
        (["select", "empty"], ["no capture runs in", "empty"]),
        (["select", "empty", "--copy-to", "taken"], ["empty"]),
        (["train", "--log-level", "loud"], ["--log-level", "debug, info, warning, error"]),
        (["convert", "--format", "tiff"], ["one of c3vd, coco, cvat, label-studio,"]),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(
    argv: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("taken").mkdir()
    Path("taken/thesis.txt").write_text("years of work")
    assert run(*argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith("endoforge: error: ")
    for word in words:
        assert word in line
    assert Path("taken/thesis.txt").read_text() == "years of work"


def test_a_bug_is_called_one_and_debug_shows_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(_: object) -> None:
        raise RuntimeError("the roof fell in")

    command = cli.Command("", "endoforge.devices_command:DevicesConfig", break_down)
    monkeypatch.setitem(cli.COMMANDS, "devices", command)
    assert run("devices") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "bug: RuntimeError: the roof fell in" in line
    assert run("devices", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (UserError("no"), 2), (OSError(28, "full"), 2)]
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise error

    command = cli.Command("", "endoforge.devices_command:DevicesConfig", fail)
    monkeypatch.setitem(cli.COMMANDS, "devices", command)
    assert run("devices") == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["train", "--help"], ["datagen", "--print-randomization"]],
)
def test_a_stdout_that_cannot_be_written_is_an_error(argv: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "endoforge", *argv],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "endoforge: error: standard output: no space left; free some, then run the same command "
        "again\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_error_that_cannot_be_written_keeps_its_code() -> None:
    with Path("/dev/full").open("w") as full:
        argv = [sys.executable, "-m", "endoforge", "fly"]
        assert subprocess.run(argv, stderr=full, check=False).returncode == 2


def test_a_pipe_that_nobody_reads_is_no_error() -> None:
    argv = [sys.executable, "-m", "endoforge", "--help"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_log_lines_go_to_what_stderr_is_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a bar is shown, stderr puts them above it."""
    start_logging("info")
    above = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", above)
        logging.getLogger("endoforge").warning("odd")
    assert above.getvalue() == "warning: odd\n"
    assert capsys.readouterr().err == ""


def test_the_seed_comes_from_the_flag_then_the_environment_then_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[int | None] = []

    def note(config: object) -> object:
        seeds.append(config.seed)  # type: ignore[attr-defined]
        raise UserError("enough")

    monkeypatch.setattr("endoforge.datagen.generate.generate", note)
    monkeypatch.setenv("POLYP_SEED", "77")
    run("datagen", "--seed", "5")
    run("datagen")
    monkeypatch.delenv("POLYP_SEED")
    run("datagen")
    assert seeds[:2] == [5, 77]
    assert seeds[2] is not None
    assert seeds[2] > 1_700_000_000_000


def test_a_bad_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POLYP_SEED", "lots")
    assert run("datagen") == 2
    assert "POLYP_SEED=lots" in capsys.readouterr().err
    monkeypatch.setenv("ENDOFORGE_LOG", "loud")
    assert run("devices") == 2
    assert "ENDOFORGE_LOG=loud" in capsys.readouterr().err


def test_version_and_changelog_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"endoforge {__version__}\n"
    changelog = Path(__file__).parent.parent / "CHANGELOG.md"
    versions = [line for line in changelog.read_text().splitlines() if line.startswith("## ")]
    assert versions[0].split()[1] == __version__
