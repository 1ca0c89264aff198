"""The page "From your footage to your detector", typed line by line on two simulated videos.

What a person does in step 4 is done through what the label tab calls, with the simulator's truth as
the person's eyes; the tab itself is tested in a browser.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from endoforge import cli
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.schema import FrameLabel
from endoforge.inference.drawn_video import DrawnVideo
from endoforge.select.selection import read_selection
from endoforge.view.labelling.keeping import LabelKeeper
from endoforge.view.labelling.label_messages import LabelEdit

from .pages import ROOT, commands

PAGE = ROOT / "docs/your-footage.md"
SMALLER = {"--frames": "10", "--epochs": "2", "--target-size": "160x128", "--batch-size": "4"}
LONG_RUNNING = "endoforge sim-view"
FPS = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="types into a shell"),
]


@pytest.fixture
def truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[FrameLabel]]:
    """Two videos in the folder, and what is to be seen in their frames."""
    flags = "--seed 31 --runs 2 --fps 5 --from 120 --to 124 --resolution 160x128 --renderer cpu"
    assert cli.run(["datagen", *flags.split(), "--output-root", str(tmp_path / "simulated")]) == 0
    labels = {}
    runs = index_root(tmp_path / "simulated").runs
    for name, run in zip(("monday", "friday"), runs, strict=True):
        video = DrawnVideo(tmp_path / f"{name}.mp4", (128, 160))
        files = sorted((run.path / "labels").iterdir())
        labels[name] = [FrameLabel.model_validate_json(file.read_bytes()) for file in files]
        for number, label in enumerate(labels[name]):
            video.add(number / FPS, read_picture(run.path / label.image))
        video.close()
    shutil.rmtree(tmp_path / "simulated")
    capsys.readouterr()
    return labels


def review(folder: Path, truth: list[FrameLabel]) -> int:
    """Do what a person does in the tab Labels, who sees what is there; the boxes confirmed."""
    keeper = LabelKeeper(folder)
    boxes = 0
    for chosen in read_selection(folder / "selected.json").frames:
        seen = keeper.read(chosen.run, chosen.frame_id)
        polyps = [
            polyp.model_copy(update={"center_world": (0, 0, 0)})
            for polyp in truth[chosen.frame_id].seen_polyps
        ]
        keeper.keep(
            chosen.run, chosen.frame_id, LabelEdit(polyp_labels=polyps, reviewed=True), seen.digest
        )
        boxes += len(polyps)
    return boxes


def test_a_detector_of_ones_own_by_the_page(
    tmp_path: Path,
    truth: dict[str, list[FrameLabel]],
    type_in: Callable[[str], tuple[int, str]],
) -> None:
    lines = commands(PAGE)
    assert len(lines) == 13
    folders = {"footage/learn": "monday", "footage/measure": "friday"}
    for line in lines:
        if line.startswith(LONG_RUNNING):
            for folder, name in folders.items():
                if line.endswith(folder):
                    assert index_root(tmp_path / folder).frames == [], "guesses are no truth"
                    assert review(tmp_path / folder, truth[name]) > 0
            continue
        for flag, value in SMALLER.items():
            line = re.sub(rf"{flag} \S+", f"{flag} {value}", line)
        code, said = type_in(line)
        assert code == 0, f"{line}\n{said}"
    assert len(index_root(tmp_path / "footage/learn").frames) == 10
    for page in ("friday/report.html", "friday-mine/report.html", "comparison/report.html"):
        assert (tmp_path / page).is_file()
    trained = json.loads((tmp_path / "mine/train.json").read_text())
    assert trained["config"]["demo_checkpoint"] == "packaged"
    assert len(list((tmp_path / "friday-mine").rglob("*.mp4"))) == 1
    assert (tmp_path / "mine.onnx").is_file()
