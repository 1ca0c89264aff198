"""Jobs that are killed, interrupted or run out of disk, and those that go on where they stopped."""

import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from endoforge import cli
from endoforge.captures.index import index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.core import folders
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.datagen.job import DataSet
from endoforge.datagen.resume import find_runs, seed_to_resume
from endoforge.sim.renderer import Renderer

from .conftest import contents, data_set, job, manifest

FLAGS: dict[str, Any] = {"seed": 4, "runs": 3, "max_frames": 6, "save": "instance,depth,pose"}


def run_with_index(root: Path, index: int) -> Path:
    [run_dir] = [
        path for path in root.iterdir() if manifest(path)["endoforge"]["run_index"] == index
    ]
    return run_dir


def break_off(run_dir: Path, frames: int, *, leftovers: bool) -> None:
    """Make a complete run look as if its job had been killed after so many frames."""
    path = run_dir / "run_manifest.json"
    values = json.loads(path.read_text())
    values["endoforge"] |= {"complete": False, "frames": 0}
    path.write_text(json.dumps(values, indent=2) + "\n")
    (run_dir / "poses.txt").unlink()
    for label in sorted((run_dir / "labels").iterdir())[frames:]:
        label.unlink()
        if not leftovers:
            for folder in ("images", "instance", "depth"):
                (run_dir / folder / f"{label.stem}.png").unlink()
    if leftovers:
        (run_dir / "images/.frame_00004.png.0123456789abcdef.tmp").write_bytes(b"\x89PNG half of")
        (run_dir / "labels/.frame_00004.json.0123456789abcdef.tmp").write_text("{")
        (run_dir / ".run_manifest.json.0123456789abcdef.tmp").write_text("{")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """The data set as an uninterrupted job writes it."""
    root = tmp_path_factory.mktemp("whole")
    job(root, **FLAGS)
    return data_set(root)


def test_what_is_missing_is_made_and_what_is_there_stays(
    tmp_path: Path, whole: dict[int, dict[str, Any]]
) -> None:
    """Run 0 is complete, run 1 lacks frames and is littered, run 2 isn't there."""
    job(tmp_path, **FLAGS | {"runs": 2})
    first, second = run_with_index(tmp_path, 0), run_with_index(tmp_path, 1)
    break_off(second, 2, leftovers=True)
    (second / "labels/frame_00000.json").write_text("")  # as a power cut may leave it
    (second / "depth/frame_00001.png").write_bytes(b"\x89PNG cut short")
    times = {path: path.stat().st_mtime_ns for path in first.rglob("*")}

    report = job(tmp_path, **FLAGS, resume=True)

    assert data_set(tmp_path) == whole
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == times
    assert (report.complete_before, report.resumed, report.frames) == (1, 1, 12)
    assert "resumed: 1 run complete already, 1 begun" in "\n".join(report.lines())


def test_frames_that_are_whole_are_not_made_again(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, **FLAGS | {"runs": 1}).run_dirs
    before = contents(run_dir)
    break_off(run_dir, 4, leftovers=False)
    kept = {path: path.stat().st_mtime_ns for path in (run_dir / "images").iterdir()}
    assert len(kept) == 4
    report = job(tmp_path, **FLAGS | {"runs": 1}, resume=True)
    assert (report.frames, report.run_dirs) == (2, [run_dir])
    assert contents(run_dir) == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_run_that_lacks_only_its_end_is_finished_without_a_frame(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, **FLAGS | {"runs": 1}).run_dirs
    before = contents(run_dir)
    break_off(run_dir, 6, leftovers=True)
    assert job(tmp_path, **FLAGS | {"runs": 1}, resume=True).frames == 0
    assert contents(run_dir) == before


def test_nothing_to_do_is_no_error(tmp_path: Path) -> None:
    job(tmp_path, **FLAGS | {"runs": 1})
    assert job(tmp_path, **FLAGS | {"runs": 1}, resume=True).frames == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_without_resume_a_fresh_set_is_made(tmp_path: Path) -> None:
    job(tmp_path, **FLAGS | {"runs": 1})
    job(tmp_path, **FLAGS | {"runs": 1})
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"max_frames": 7}, "--max-frames 6, now there is --max-frames 7;"),
        ({"resolution": "128x96"}, "--resolution 160x96, now there is --resolution 128x96;"),
        ({"save": "depth"}, "now there is --save depth;"),
        ({"polyps": "1-2"}, r" polyps.count = \[12, 20\], now there is polyps.count = \[1, 2\];"),
    ],
)
def test_other_settings_are_refused_and_named(
    other: dict[str, Any], words: str, tmp_path: Path
) -> None:
    [run_dir] = job(tmp_path, **FLAGS | {"runs": 1}).run_dirs
    before = contents(run_dir)
    with pytest.raises(UserError, match=words):
        job(tmp_path, **FLAGS | other, resume=True)
    assert contents(run_dir) == before
    assert list(tmp_path.iterdir()) == [run_dir]


def test_runs_of_other_data_sets_and_tools_are_left_alone(
    tmp_path: Path, whole: dict[int, dict[str, Any]]
) -> None:
    [other] = job(tmp_path / "captures", **FLAGS | {"seed": 5, "runs": 1, "save": None}).run_dirs
    before = contents(other)
    foreign = tmp_path / "captures/run_1"
    foreign.mkdir()
    report = job(tmp_path / "captures", **FLAGS, resume=True)
    assert len(report.run_dirs) == 3
    assert contents(other) == before
    assert list(foreign.iterdir()) == []
    foreign.rmdir()
    other.rename(tmp_path / other.name)
    assert data_set(tmp_path / "captures") == whole


def test_the_seed_is_that_of_the_one_unfinished_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no unfinished run in .*--seed"):
        seed_to_resume(tmp_path)
    runs = [
        job(tmp_path, **FLAGS | {"seed": seed, "runs": 1, "save": "pose"}).run_dirs[0]
        for seed in (4, 7)
    ]
    with pytest.raises(UserError, match=r"no unfinished run in .*--seed"):
        seed_to_resume(tmp_path)
    break_off(runs[1], 6, leftovers=False)
    assert seed_to_resume(tmp_path) == 7
    break_off(runs[0], 6, leftovers=False)
    with pytest.raises(UserError, match="several data sets; choose with --seed, one of 4, 7"):
        seed_to_resume(tmp_path)


def test_a_run_that_another_process_writes_is_not_touched(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, **FLAGS | {"runs": 1}).run_dirs
    break_off(run_dir, 2, leftovers=True)
    before = contents(run_dir)
    lock = folders.FolderLock(run_dir)
    with pytest.raises(UserError, match="another process is writing this run"):
        job(tmp_path, **FLAGS | {"runs": 1}, resume=True)
    assert contents(run_dir) == before
    lock.release()
    assert job(tmp_path, **FLAGS | {"runs": 1}, resume=True).frames == 4


def test_of_several_folders_of_a_run_a_complete_one_counts_else_the_newest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    one, two, three = (job(tmp_path, **FLAGS | {"runs": 1}).run_dirs[0] for _ in range(3))
    before = contents(one)
    for run_dir in (one, three):
        break_off(run_dir, 2, leftovers=False)
    assert job(tmp_path, **FLAGS | {"runs": 1}, resume=True).frames == 0
    assert "left as found: 2 more folders of the same runs" in caplog.text
    break_off(two, 5, leftovers=False)
    assert job(tmp_path, **FLAGS | {"runs": 1}, resume=True).run_dirs == [three]
    assert contents(three) == before
    assert not manifest(one)["endoforge"]["complete"]


def command(root: Path) -> list[str]:
    return [
        sys.executable, "-m", "endoforge", "datagen", "--seed", "4", "--runs", "3",
        "--max-frames", "6", "--save", "instance,depth,pose", "--resolution", "160x96",
        "--renderer", "cpu", "--output-root", str(root), "--workers", "2",
    ]  # fmt: skip


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_it_is_what_it_would_have_been(
    tmp_path: Path, whole: dict[int, dict[str, Any]]
) -> None:
    """SIGKILL, again and again; after each, every label has its whole image."""
    moments = random.Random(0)
    kills = 0
    for resume in ([], ["--resume"], ["--resume"]):
        child = subprocess.Popen([*command(tmp_path), *resume], stderr=subprocess.DEVNULL)
        goal = len(list(tmp_path.glob("run_*/labels/frame_*.json"))) + moments.randint(1, 4)
        while child.poll() is None:
            if len(list(tmp_path.glob("run_*/labels/frame_*.json"))) >= goal:
                time.sleep(moments.uniform(0, 0.03))
                child.kill()
                break
            time.sleep(0.001)
        kills += child.wait() == -9
        for frame in index_root(tmp_path).frames:
            name = frame.label_path.stem
            run = frame.label_path.parent.parent
            [index] = [manifest(run)["endoforge"]["run_index"]]
            for file in (f"images/{name}.png", f"labels/{name}.json", f"depth/{name}.png"):
                assert (run / file).read_bytes() == whole[index][file]
    assert kills >= 2
    assert cli.run([*command(tmp_path)[3:], "--resume"]) == 0
    for folder in tmp_path.iterdir():
        if not any(folder.iterdir()):
            folder.rmdir()  # killed between making the folder and writing into it
    assert data_set(tmp_path) == whole


class FullDisk:
    """A disk on which only `room` more files fit."""

    def __init__(self, room: int) -> None:
        self.room = room

    def replace(self, source: Path, target: Path) -> Path:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))
        os.replace(source, target)  # noqa: PTH105 - Path.replace is this one here
        return target


@pytest.mark.parametrize("room", [0, 1, 9, 24, 26])
def test_a_full_disk_ends_it_in_one_line_and_after_making_space_it_goes_on(
    room: int,
    tmp_path: Path,
    whole: dict[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Room for nothing, for a manifest, for a few frames, and for about the first run: its
    manifest, 6 x 4 files of frames, the poses, the manifest again."""
    disk = FullDisk(room)
    argv = command(tmp_path)[3:]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda source, target: disk.replace(source, target))
        assert cli.run(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"endoforge: error: {tmp_path}/run_")
    assert ": no space left on the disk; " in line
    labels = len(list(tmp_path.glob("run_*/labels/*.json")))
    assert f"{counted(labels, 'whole frame')}" in line
    assert "the same command with --seed 4 --resume goes on" in line
    assert not list(tmp_path.rglob("*.tmp"))
    if labels:
        assert len(index_root(tmp_path).frames) == labels
    assert cli.run([*argv, "--resume"]) == 0
    assert data_set(tmp_path) == whole


def test_a_full_disk_is_also_told_where_not_even_a_folder_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("endoforge.captures.recorder._make_run_folder", full)
    assert cli.run(command(tmp_path)[3:]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert " has 0 whole frames of this job; make space" in line
    assert "--seed 4 --resume goes on" in line


def test_interrupted_it_leaves_whole_frames_and_says_how_to_go_on(
    tmp_path: Path,
    whole: dict[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    render, batches = Renderer.render, 0

    def interrupted(*arguments: Any, **others: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 4:
            raise KeyboardInterrupt
        return render(*arguments, **others)

    argv = command(tmp_path)[3:]
    with monkeypatch.context() as patch:
        patch.setattr(Renderer, "render", interrupted)
        assert cli.run(argv) == 130
    labels = len(list(tmp_path.glob("run_*/labels/*.json")))
    assert 1 <= labels <= 10
    assert len(index_root(tmp_path).frames) == labels
    error = capsys.readouterr().err
    assert f"{tmp_path} has {counted(labels, 'whole frame')} of this job; " in error
    assert "--seed 4 --resume goes on" in error
    assert cli.run([*argv, "--resume"]) == 0
    assert data_set(tmp_path) == whole


def test_a_bug_in_a_writer_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("of a writer")

    monkeypatch.setattr(RunRecorder, "write", broken)
    with pytest.raises(ZeroDivisionError, match="of a writer"):
        job(tmp_path, **FLAGS)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"save": ["depth", "pose"]}, "--save depth,pose, now there is no --save;"),
        ({"from_s": 2.5}, "--from 2.5, now there is --from 0;"),
        ({"randomization": {}}, "no anatomy, now there is a table anatomy;"),
    ],
)
def test_other_settings_are_said_as_they_are_typed(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    wanted = DataSet(base_seed=1, size=(640, 360), max_frames=3, saved=())
    made = {
        "schema_version": 1,
        "seed": 1,
        "output_root": "x",
        "run_dir": "x",
        "started_at_unix": 1.0,
        "max_frames": 3,
        "endoforge": wanted.settings("cpu") | {"run_index": 0} | changed,
    }
    (tmp_path / "run_1").mkdir()
    (tmp_path / "run_1/run_manifest.json").write_text(json.dumps(made))
    with pytest.raises(UserError, match=f"was made with .*{said}"):
        find_runs(tmp_path, wanted, "cpu")
