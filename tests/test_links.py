"""Links in what somebody else has prepared: no command writes or deletes what they lead to."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from endoforge import cli
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.run_frames import read_manifest
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.core.errors import UserError
from endoforge.demo.config import DemoConfig
from endoforge.demo.demo import _start_afresh

HEX = "0123456789abcdef"
FRAME = "frame_00000"
PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
COMMANDS = {
    "coco": ["convert", "--format", "coco", "captures", "c/out"],
    "yolo": ["convert", "--format", "yolo", "captures", "c/out"],
    "voc": ["convert", "--format", "voc", "captures", "c/out"],
    "webdataset": ["convert", "--format", "webdataset", "captures", "c/out"],
    "detect": ["detect", "footage", "--detector", "heuristic", "--output", "out", "--draw", "all"],
    "overlays": ["overlay-labels", "captures"],
    "overlays of a run": ["overlay-labels", "captures/run_1"],
    "overlays elsewhere": ["overlay-labels", "captures", "out"],
    "prune": ["prune-empty", "--input", "captures", "--output", "out"],
    "import": [
        *("import", "--format", "masks", "--images", "footage", "--annotations", "masks"),
        *("--output-root", "out"),
    ],
    "import of a video": ["import", "--video", "footage/clip.avi", "--output-root", "out"],
    "runs of predictions": ["detect", "footage", "--detector", "heuristic", "--as-runs", "out"],
    "label-studio": ["convert", "--format", "label-studio", "captures", "c/out"],
    "datagen": ["datagen", "--seed", "1", "--output-root", "out"],
    "train": [
        *("train", "--input-root", "captures", "--ckpt-dir", "out", "--epochs", "1", "--fresh"),
        *("--tensorboard", "tb", "--metrics-out", "m.jsonl", "--status-file", "status.json"),
        *("--split-manifest", "split.json", "--debug-batch"),
    ],
    "eval": [
        *("eval", "--detector", "heuristic", "--input-root", "captures", "--report", "report"),
        *("--metrics-out", "m.jsonl"),
    ],
    "select": ["select", "captures", "--output", "out/s.json", "--copy-to", "copies"],
}
PLACES = {
    "coco": ["c/out", "c/.out.partial"],
    "yolo": ["c/out", "c/.out.partial", f"c/.out.{HEX}.tmp"],
    "voc": ["c/out", "c/.out.partial"],
    "webdataset": ["c/out", "c/.out.partial"],
    "detect": [
        *("out", "out/drawn", "out/drawn/b", "out/drawn/b/1.png", "out/drawn/clip.avi.mp4"),
        *("out/drawn/.endoforge.json", "out/drawn/.clip.avi.partial.mp4", "out/.drawn.tmp"),
        *(f"out/.detections.jsonl.{HEX}.tmp", f"out/drawn/.clip.avi.mp4.{HEX}.tmp.mp4"),
        *(
            f"out/{name}"
            for file in ("detections.jsonl", "coco_results.json", "coco_images.json")
            for name in (file, f".{file}.partial")
        ),
    ],
    "overlays": [
        *("captures/run_1", "captures/run_1/overlays", f"captures/run_1/overlays/{FRAME}.png"),
        f"captures/run_1/overlays/.{FRAME}.png.{HEX}.tmp",
    ],
    "overlays of a run": ["captures/run_1", "captures/run_1/overlays"],
    "overlays elsewhere": ["out", "out/run_1", f"out/run_1/{FRAME}.png", "out/.endoforge.json"],
    "prune": [
        *("out", "out/run_1", "out/run_1/run_manifest.json", "out/run_1/.endoforge.json"),
        *(f"out/run_1/{name}" for name in ("images", "labels", "overlays", "depth")),
        *(f"out/run_1/labels/{FRAME}.json", f"out/run_1/images/{FRAME}.png"),
        f"out/run_1/labels/.{FRAME}.json.{HEX}.tmp",
    ],
    "import": ["out"],
    "import of a video": ["out"],
    "runs of predictions": ["out"],
    "label-studio": ["c/out", "c/.out.partial", f"c/.out.{HEX}.tmp"],
    "datagen": ["out"],
    "train": [
        *("out", "tb", "m.jsonl", "status.json", "split.json", "out/train.json"),
        *("out/tinydet_state.pt", "out/tinydet_state_previous.pt", "out/tinydet.safetensors"),
        *("out/tinydet_best.safetensors", "out/debug_batch.png"),
    ],
    "eval": ["report", "report/report.html", "m.jsonl"],
    "select": ["out/s.json", "copies"],
}
REFUSED = {"datagen", "train", "eval", "select"}
"""They take long where they aren't refused, which they must be."""
ONCE = {*REFUSED, "coco", "yolo", "voc", "label-studio", "webdataset"}
"""`convert` wants a new folder."""

NOT_ITS_OWN = "holds what detect hasn't drawn|is no overlay|prune-empty didn't make it"
"""What else may be said of a link."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, a picture and a video, masks of the picture, and the folder that they are in."""
    folder = tmp_path / "work"
    (folder / "footage/b").mkdir(parents=True)
    (folder / "masks/b").mkdir(parents=True)
    (folder / "c").mkdir()
    monkeypatch.chdir(folder)
    cv2.imwrite("footage/b/1.png", PICTURE)
    cv2.imwrite("masks/b/1.png", np.pad(np.full((20, 20), 255, np.uint8), ((4, 24), (4, 40))))
    writer = cv2.VideoWriter("footage/clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(PICTURE)
    writer.release()
    recorder = RunRecorder.create(Path("captures"), seed=0, max_frames=None, extra={})
    for number in range(2):
        box = PolypLabel(center_world=(0, 0, 0), bbox_norm=(0.1, 0.1, 0.5, 0.5))
        recorder.write(PICTURE, label_of(number, [box]), {"depth": PICTURE})
    recorder.finish()
    recorder.run_dir.rename("captures/run_1")
    return folder


def label_of(number: int, polyps: list[PolypLabel]) -> FrameLabel:
    return FrameLabel(
        frame_id=number,
        sim_time=0,
        unix_time=0,
        image=image_name(number),
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=polyps,
    )


def victim_of(place: Path, victim: Path) -> None:
    """Put what lies at `place`, if anything, and what it may hold, at `victim`."""
    if place.suffix in {".png", ".json", ".jsonl", ".mp4", ".tmp", ".pt", ".safetensors", ".html"}:
        victim.write_bytes(place.read_bytes() if place.is_file() else b"years of work")
        return
    if place.is_dir():
        shutil.copytree(place, victim)
    for name in (f"{FRAME}.png", f"images/{FRAME}.png", f"labels/{FRAME}.json", "thesis.txt"):
        path = victim / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("years of work")


def contents(folder: Path) -> dict[str, bytes | None]:
    """All below it, or itself."""
    there = [folder, *folder.rglob("*")] if folder.is_dir() else [folder]
    return {str(path): path.read_bytes() if path.is_file() else None for path in there}


def replace_by_link(path: Path, victim: Path) -> None:
    victim_of(path, victim)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(victim)


def cases() -> list[object]:
    return [
        pytest.param(name, where, again, id=f"{name}-{where}-{'again' if again else 'first'}")
        for name, places in PLACES.items()
        for where in places
        for again in (False, True)
        if not (again and name in ONCE)
    ]


@pytest.mark.parametrize(("name", "where", "again"), cases())
def test_no_command_goes_through_a_link(
    name: str,
    where: str,
    again: bool,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`again`: after the command was there once, so that its marks and files are."""
    if again:
        assert cli.run(COMMANDS[name]) == 0, capsys.readouterr().err
    link = place / where
    if where == "split.json":
        link.symlink_to(tmp_path / "nowhere")  # one that leads to a file is read
    else:
        replace_by_link(link, tmp_path / "victim")
    before = contents(tmp_path / "victim")
    code = cli.run(COMMANDS[name])
    error = capsys.readouterr().err
    assert contents(tmp_path / "victim") == before, error
    assert not (tmp_path / "nowhere").exists()
    assert code == 2 or (code == 0 and name not in REFUSED), error
    if code == 2:
        assert re.search(rf"{where}: is a link to|{NOT_ITS_OWN}", error)


@pytest.mark.parametrize("where", ["", "images", "labels", "depth"])
def test_a_run_is_not_gone_on_with_through_a_link(where: str, tmp_path: Path) -> None:
    run = unfinished_run()
    replace_by_link(run / where, tmp_path / "victim")
    before = contents(tmp_path / "victim")
    manifest = read_manifest(run)
    assert manifest is not None
    with pytest.raises(UserError, match=rf"{where}: is a link to .*victim, which isn't written"):
        RunRecorder.reopen(run, manifest, ("depth",))
    assert contents(tmp_path / "victim") == before


@pytest.mark.parametrize("where", ["images", "labels", "depth", f"depth/{FRAME}.png"])
def test_a_link_that_comes_while_a_run_is_recorded_is_found(where: str, tmp_path: Path) -> None:
    recorder = RunRecorder.create(Path("out"), seed=0, max_frames=None, extra={})
    replace_by_link(recorder.run_dir / where, tmp_path / "victim")
    before = contents(tmp_path / "victim")
    with pytest.raises(UserError, match=rf"{where}: is a link to .*victim, which isn't written"):
        recorder.write(PICTURE, label_of(0, []), {"depth": PICTURE})
    assert contents(tmp_path / "victim") == before


@pytest.mark.parametrize("where", ["out/run_1", "out/run_1/images", "out/run_1/labels"])
def test_an_import_is_not_gone_on_with_through_a_link(
    where: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(COMMANDS["import"]) == 0
    [run] = Path("out").iterdir()
    run.rename("out/run_1")
    values = json.loads(Path("out/run_1/run_manifest.json").read_text())
    values["endoforge"]["complete"] = False
    Path("out/run_1/run_manifest.json").write_text(json.dumps(values))
    Path(f"out/run_1/images/.{FRAME}.png.{HEX}.tmp").write_text("half")
    replace_by_link(place / where, tmp_path / "victim")
    before = contents(tmp_path / "victim")
    assert cli.run(COMMANDS["import"]) == 2
    assert f"{where}: is a link to" in capsys.readouterr().err
    assert contents(tmp_path / "victim") == before


def test_what_a_demo_left_goes_but_not_what_it_links_to(tmp_path: Path) -> None:
    root = Path("demo")
    config = DemoConfig(output_root="demo")
    _start_afresh(root, config)
    for where, name in (("captures", "victim"), ("report.html", "page")):
        replace_by_link(root / where, tmp_path / name)
    before = contents(tmp_path / "victim") | contents(tmp_path / "page")
    _start_afresh(root, config)
    assert list(root.iterdir()) == [root / "demo.json"]
    assert contents(tmp_path / "victim") | contents(tmp_path / "page") == before
    replace_by_link(root, tmp_path / "earlier")
    with pytest.raises(UserError, match=r"demo: is a link to .*earlier, which isn't written"):
        _start_afresh(root, config)
    assert (tmp_path / "earlier/demo.json").is_file()


def unfinished_run() -> Path:
    recorder = RunRecorder.create(Path("out"), seed=0, max_frames=None, extra={})
    recorder.write(PICTURE, label_of(0, []), {"depth": PICTURE})
    recorder.pause()
    for name in ("images", "labels", "depth"):
        (recorder.run_dir / name / f".{FRAME}.png.{HEX}.tmp").write_text("half")
    (recorder.run_dir / "labels/frame_00007.json").write_text("{}")
    return recorder.run_dir
