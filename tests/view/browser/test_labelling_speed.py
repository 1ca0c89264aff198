"""benchmarks/labelling.py counts what reviewing takes."""

import importlib.util
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from endoforge.captures.schema import PolypLabel
from tests.chromium import NEEDS_BROWSER
from tests.view.browser.page import DESKTOP
from tests.view.browser.viewer import Viewer
from tests.view.labelling.runs import guess, write_run

pytestmark = NEEDS_BROWSER
BOX = (20.0, 10.0, 50.0, 40.0)
NEAR = guess(28, 10, 50, 40)  # its IoU with BOX is 22 / 30


def benchmark() -> Any:
    path = Path(__file__).parents[3] / "benchmarks/labelling.py"
    spec = importlib.util.spec_from_file_location("labelling_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Viewer]:
    write_run(tmp_path / "shown", [[]])
    viewer = Viewer(tmp_path, "--source", "shown")
    yield viewer
    viewer.stop()


def test_ten_frames_are_reviewed_until_they_are_right(browser, server):
    labelling = benchmark()
    right = guess(*BOX)
    wide = guess(20, 10, 50, 56)  # IoU 30 / 46: its lower corner goes to its place
    frames: list[list[PolypLabel]] = [[right]] * 4 + [[wide], [], [guess(60, 10, 90, 40)], []]
    frames += [[right, guess(60, 10, 90, 40, polyp_id=2)], [NEAR]]
    run = write_run(server.runs, list(frames), source="predicted", reviewed=False)
    truth = {(run.name, number): [BOX] for number in range(10)}
    truth |= {(run.name, 6): [], (run.name, 7): []}
    page = browser.new_page(viewport=DESKTOP)
    annotator = labelling.Annotator(page, truth)
    annotator.review_all(server.address)
    page.close()
    lines = labelling.summary(annotator.actions, truth, server.runs)
    assert lines[-1] == "10 of 10 frames reviewed; 8 of 8 true boxes kept, 0 too many"
    actions = annotator.actions
    assert actions["look"] == 10
    # Frame 4 is drawn to its place, 5 is drawn, 6 and 8 lose a box.
    assert actions["drag"] == 2
    assert actions["key"] == 10 + 1 + 1, "each frame's, a Delete, and Esc at the end"
    assert actions["click"] == 1 + 1 + 1, "the run, and a box of frames 4 and 8"
    assert actions["mend"] == 4
    assert json.loads((run / "labels/frame_00000.json").read_text())["polyp_labels"][0]["score"]


def test_the_times_are_those_of_the_model():
    actions = Counter(look=10, mend=2, key=12, click=3, drag=2, reach=4)
    wanted = 15 + 2.7 + 3.36 + 3.9 + 4.8 + 1.6
    assert benchmark().seconds_of(actions) == pytest.approx(wanted)
