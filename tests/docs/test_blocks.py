"""No command and no example in a page is stale: all are read, and what can be run here is run.

Lines that `endoforge` gets go through its parser. Those of `NOT_RUN` end there, for the reason that
stands beside them; pages of `IN_ORDER` tell a story, which a test of their own types from the first
line to the last; each other line is typed by itself, with less to do, into a folder where lies what
the pages speak of (`world.py`).
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from endoforge import UserError, cli

from .pages import ROOT, blocks, commands, small
from .world import make_world

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *(ROOT / name / "README.md" for name in ("benchmarks", "deploy", "notebooks")),
]
LINES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]
IN_ORDER = {
    "README.md": "test_readme.py",
    "docs/datasets.md": "test_readme.py",
    "docs/your-footage.md": "test_your_footage.py",
    "docs/api.md": "test_api.py",
    "docs/inference.md": "test_inference.py",
}
"""Of these the first three have commands, and all but two Python."""
TYPED_IN_ORDER = [*IN_ORDER][:3]
NOT_RUN = {
    r"make |source |pip install|\.venv/bin/pytest": "sets up, or tests, what runs here",
    r"(\S+/)?torchrun": "several GPUs or hosts; tests/train starts processes like it",
    r"(\S+/)?python (-m )?benchmarks": "takes minutes to hours, or real footage",
    r"endoforge sim-view": "serves until it is ended; tests/view starts it in a browser",
    r"endoforge train --simulate": "starts processes that render; tests/train/test_simulated.py",
    r"endoforge train .*--backend webgpu": "needs an adapter; tests/backends/webgpu has one",
    r"endoforge .*--ray|ray start": "needs a cluster; tests/datagen starts one",
    r"endoforge .*s3://": "needs a server; tests/roots has one",
    r"ssh ": "needs another host",
    r"[A-Z_]+=\S+ .*sbatch|sbatch": "needs Slurm; tests/deploy runs the scripts with stand-ins",
    r"endoforge export": "takes a minute of PyTorch; test_inference.py exports",
    r"endoforge (push|pull) .*hf://|hf auth": "needs the Hub; tests/hub has a stand-in",
    r"endoforge (detect|train) .*(polyps.safetensors|shards-here)": "needs what pull brings",
    r"endoforge train --(wandb|mlflow http)": "needs a service; tests/train has its stand-in",
    r"docker|kubectl": "needs a cluster; tests/deploy checks the files",
    r"endoforge import .*--images to-label": "needs a person's labels of what select chose",
}
"""By how a line begins, why it isn't run."""
SMALLEST = {
    **{"--runs": "1", "--max-frames": "2", "--resolution": "96x64", "--frames": "4"},
    **{"--epochs": "1", "--steps": "2", "--batch-size": "2", "--target-size": "96x64"},
}
BEFORE = {
    "--images to-review": "convert --format cvat --predicted assets/datasets/mine to-review",
    "--input-root shards": "convert --format webdataset captures shards",
    "--report m.jsonl": (
        "eval --checkpoint checkpoints/tinydet_best.safetensors --metrics-out m.jsonl"
    ),
    "tables/": "convert --format parquet captures tables",
}
"""What a page has typed before, and a line or an example needs."""
NOT_THERE = ("no such video, folder or device", "no such device")
"""How the parser itself speaks of a `sim-view --source` that isn't here."""


def reason(line: str) -> str | None:
    """Why a line isn't run, if so."""
    return next((why for start, why in NOT_RUN.items() if re.match(start, line)), None)


def arguments(line: str) -> list[str]:
    """What `endoforge` gets of a line, also by torchrun; nothing if it isn't called."""
    words = shlex.split(line.partition(" > ")[0])
    return words[words.index("endoforge") + 1 :] if "endoforge" in words else []


def complaint(args: list[str]) -> str:
    """What the parser says of a command's arguments, less the name of the thing."""
    try:
        cli.parse(args[0], args[1:])
    except UserError as error:
        return str(error).partition(": ")[2]
    return ""


def globbed(word: str) -> list[str]:
    """A word as a shell gives it on."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


def type_before(text: str) -> None:
    """Do what a page has typed before it comes to such a line or example."""
    for named, typed in BEFORE.items():
        if named in text:
            assert cli.run(shlex.split(typed)) == 0, typed


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pages speak of."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_world()
    return folder


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    monkeypatch.undo()  # the package's own weights are there, as for users
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("page", sorted({page for page, line in LINES if arguments(line)}))
def test_every_command_is_one_that_the_parser_takes(page: str) -> None:
    for _, line in filter(lambda one: one[0] == page, LINES):
        if args := arguments(line):
            said = complaint(args)
            assert not said or said.startswith(NOT_THERE), f"{line}: {said}"


@pytest.mark.parametrize(("page", "line"), LINES)
def test_what_a_line_names_is_there(page: str, line: str) -> None:
    """Files of the repository, targets of the Makefile, and flags of benchmarks."""
    for path in re.findall(r"\b(?:benchmarks|deploy|tests)/[\w./-]+", line):
        assert (ROOT / path).exists(), f"{page}: {path}"
        if path.startswith("benchmarks/"):
            text = (ROOT / path).read_text(encoding="utf-8")
            for flag in re.findall(r"--([a-z][a-z-]+)", line.partition(path)[2]):
                assert re.search(rf"--{flag}\b|\b{flag.replace('-', '_')}\b", text), f"--{flag}"
    if line.startswith("make "):
        assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_reason_still_has_its_line() -> None:
    for start in NOT_RUN:
        assert any(re.match(start, line) for _, line in LINES), f"no line begins with {start}"
    for page, test in IN_ORDER.items():
        assert page.rpartition("/")[2] in Path(__file__).with_name(test).read_text(), page


def test_every_other_line_can_be_run() -> None:
    assert [line for _, line in LINES if not (reason(line) or line.startswith("endoforge "))] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "line"),
    [(page, line) for page, line in LINES if not (reason(line) or page in TYPED_IN_ORDER)],
)
@pytest.mark.usefixtures("here")
def test_a_line_does_what_the_page_says(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for written in re.findall(r"--(?:output-root|as-runs) (\S+)", line):
        shutil.rmtree(written, ignore_errors=True)
    for table in blocks(ROOT / page, "toml"):
        Path("ranges.toml").write_text(table, encoding="utf-8")
    type_before(line)
    words = [there for word in arguments(small(line, SMALLEST)) for there in globbed(word)]
    assert cli.run(words) == 0, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "code"),
    [
        (page.relative_to(ROOT).as_posix(), code)
        for page in PAGES
        for code in blocks(page, "python")
        if page.relative_to(ROOT).as_posix() not in IN_ORDER or page.name == "datasets.md"
    ],
)
@pytest.mark.usefixtures("here")
def test_an_example_in_python_runs_as_printed(page: str, code: str) -> None:
    type_before(code)
    code = code.replace("epochs=20, batch_size=64", 'epochs=1, val_ratio=0.5, target_size="96x64"')
    exec(compile(code, page, "exec"), {"__name__": "example"})
