"""How long it takes to review predicted labels in the browser: a scripted annotator counts.

    endoforge datagen --randomization plain --seed 5 --runs 2 --max-frames 50 \\
        --output-root assets/truth
    python benchmarks/labelling.py assets/truth

Shows the frames of simulated runs to a detector, writes what it found as predictions, opens them in
the label tab in a real Chromium, and reviews each by mouse and keys until its boxes are right. The
annotator knows the truth, and sees what the page shows. A box is right from an IoU of 0.7 on; one
that is near is drawn to its place by its corners, one that is on nothing is removed, what is
missing is drawn. Times are by the keystroke-level model (Card, Moran and Newell 1980, "The
keystroke-level model for user performance time with interactive systems"): see SECONDS.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page, sync_playwright

from endoforge import __version__, load_detector
from endoforge.captures.pictures import read_picture
from endoforge.detect.overlap import pairwise_iou

SECONDS = {"look": 1.5, "mend": 1.35, "key": 0.28, "click": 1.3, "drag": 2.4, "reach": 0.4}
"""A frame looked at (1.35 of thought, and some for the eye's way); the thought before each mend; a
key; pointing (1.1) and pressing (0.2); pointing, pressing, drawing and letting go; a hand's way
from the keys to the mouse or back."""
RIGHT_IOU, NEAR_IOU = 0.7, 0.3
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

Box = tuple[float, float, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="simulated capture runs, with their truth")
    parser.add_argument("--checkpoint", default="packaged", help="weights that predict")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a prediction")
    parser.add_argument("--frames", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "assets/datasets/captures"
        truth = write_predictions(asked.runs, root, asked.checkpoint, asked.score, asked.frames)
        with served(folder) as address, browser_page() as page:
            annotator = Annotator(page, truth)
            started = time.monotonic()
            annotator.review_all(address)
            took = time.monotonic() - started
        report = summary(annotator.actions, truth, root)
    what = f"{asked.checkpoint} at a score of {asked.score:g}"
    print(f"endoforge {__version__}, {what}; Chromium took {took:.0f} s")
    print("\n".join(report))


def write_predictions(
    source: Path, root: Path, checkpoint: str, score: float, most: int
) -> dict[tuple[str, int], list[Box]]:
    """Copy frames of simulated runs as runs whose boxes a detector predicted; their true boxes."""
    detector = load_detector(checkpoint)
    detector.set_thresholds(score, 0.5)
    truth: dict[tuple[str, int], list[Box]] = {}
    for run in sorted(source.glob("run_*")):
        for path in sorted((run / "labels").glob("frame_*.json")):
            if len(truth) == most:
                return truth
            label = json.loads(path.read_text())
            boxes = [polyp.get("bbox_px") for polyp in label["polyp_labels"]]
            truth[run.name, label["frame_id"]] = [tuple(box) for box in boxes if box]
            image = root / run.name / label["image"]
            image.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(run / label["image"], image)
            label |= {"source": "predicted", "reviewed": False}
            label["polyp_labels"] = predicted(detector, image)
            (root / run.name / "labels").mkdir(exist_ok=True)
            (root / run.name / "labels" / path.name).write_text(json.dumps(label))
    return truth


def predicted(detector: Any, image: Path) -> list[dict[str, Any]]:
    """What a detector finds in a picture, as a label's polyps."""
    picture = read_picture(image)
    found = detector.detect(picture)
    pixels = found.boxes * np.tile(picture.shape[1::-1], 2)
    return [
        {
            "center_world": [0, 0, 0],
            "bbox_px": box,
            "bbox_norm": share,
            "source": "predicted",
            "score": score,
            "reviewed": False,
        }
        for box, share, score in zip(
            pixels.tolist(), found.boxes.tolist(), found.scores.tolist(), strict=True
        )
    ]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a `sim-view` in `folder`; a run is its source, so that no simulator starts."""
    first = next((folder / "assets/datasets/captures").iterdir())
    command = [sys.executable, "-m", "endoforge", "sim-view", "--headless", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--source", str(first)],
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while not (found := re.search(r"http://[\w.:]+", said)):
            line = process.stdout.readline()
            assert line, f"no address:\n{said}"
            said += line
        yield found[0]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of Chromium."""
    with sync_playwright() as api:
        browser = api.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


class Annotator:
    """Reviews runs in the label tab, and counts what that takes."""

    def __init__(self, page: Page, truth: dict[tuple[str, int], list[Box]]) -> None:
        self.page = page
        self.actions: Counter[str] = Counter()
        self._truth = truth
        self._hand_on_mouse = False

    def review_all(self, address: str) -> None:
        """Review every run, from the list of runs on."""
        self.page.goto(f"{address}/#labels")
        for run in sorted({run for run, _ in self._truth}):
            self._reach(mouse=True)
            self.page.locator("#label-runs .run").filter(has_text=run).click()
            self.actions["click"] += 1
            numbers = sorted(number for name, number in self._truth if name == run)
            for number in numbers:
                self._review(self._truth[run, number], number)
            self._wait_until_saved()
            self._key("Escape")

    def _review(self, truth: list[Box], number: int) -> None:
        stage = self.page.locator(f"#label-stage[aria-label^='Frame {number}:']:not(.loading)")
        stage.wait_for()
        self.actions["look"] += 1
        shown = self._shown(stage)
        alike = pairwise_iou(_boxes(shown), _boxes(truth))
        of = {}
        while alike.size and alike.max() >= NEAR_IOU:
            row, column = divmod(int(alike.argmax()), alike.shape[1])
            of[row] = column
            iou = alike[row, column]
            alike[row], alike[:, column] = -1, -1
            if iou < RIGHT_IOU:
                self.actions["mend"] += 1
                self._reshape(shown[row], truth[column])
        wrong = [box for row, box in enumerate(shown) if row not in of]
        if wrong and not truth:
            self.actions["mend"] += 1
            self._key("n")
            return
        for box in wrong:
            self.actions["mend"] += 1
            self._click(_middle(box))
            self._key("Delete")
        for column, box in enumerate(truth):
            if column not in of.values():
                self.actions["mend"] += 1
                self._drag(box[:2], box[2:], held="Shift" if self._is_covered(box[:2]) else "")
        self._key("Enter")

    def _is_covered(self, point: tuple[float, ...]) -> bool:
        """Whether a drag from there would move a box."""
        stage = self.page.locator("#label-stage")
        reach = 12
        return any(
            x0 - reach <= point[0] <= x1 + reach and y0 - reach <= point[1] <= y1 + reach
            for x0, y0, x1, y1 in self._shown(stage)
        )

    def _reshape(self, box: Box, true: Box) -> None:
        self._click(_middle(box))
        if max(abs(box[0] - true[0]), abs(box[1] - true[1])) > 2:
            self._drag(box[:2], true[:2])
        if max(abs(box[2] - true[2]), abs(box[3] - true[3])) > 2:
            self._drag(box[2:], true[2:])

    def _shown(self, stage: Locator) -> list[Box]:
        """The boxes as the page draws them, in pixels of the picture."""
        left, top, scale = self._place()
        drawn = stage.locator("rect.box:not(.under)")
        places = drawn.evaluate_all(
            "(all) => all.map(({ x, y, width, height }) =>"
            " [x, y, width, height].map((length) => length.baseVal.value))"
        )
        origin = stage.bounding_box()
        assert origin is not None
        dx, dy = origin["x"] - left, origin["y"] - top
        return [
            ((x + dx) / scale, (y + dy) / scale, (x + dx + w) / scale, (y + dy + h) / scale)
            for x, y, w, h in places
        ]

    def _place(self) -> tuple[float, float, float]:
        """Where the picture is on the page, and pixels of the page a pixel of it."""
        image = self.page.locator("#label-stage img")
        box = image.bounding_box()
        assert box is not None
        return box["x"], box["y"], box["width"] / self._width()

    def _width(self) -> float:
        stage = self.page.locator("#label-stage")
        return float(stage.get_attribute("data-width") or 0)

    def _on_page(self, point: tuple[float, ...]) -> tuple[float, float]:
        left, top, scale = self._place()
        return left + point[0] * scale, top + point[1] * scale

    def _key(self, key: str) -> None:
        self._reach(mouse=False)
        self.page.keyboard.press(key)
        self.actions["key"] += 1

    def _click(self, point: tuple[float, ...]) -> None:
        self._reach(mouse=True)
        self.page.mouse.click(*self._on_page(point))
        self.actions["click"] += 1

    def _drag(self, start: tuple[float, ...], end: tuple[float, ...], held: str = "") -> None:
        self._reach(mouse=True)
        if held:
            self.page.keyboard.down(held)
            self.actions["key"] += 1
        self.page.mouse.move(*self._on_page(start))
        self.page.mouse.down()
        self.page.mouse.move(*self._on_page(end), steps=3)
        self.page.mouse.up()
        if held:
            self.page.keyboard.up(held)
        self.actions["drag"] += 1

    def _reach(self, *, mouse: bool) -> None:
        if mouse != self._hand_on_mouse:
            self.actions["reach"] += 1
        self._hand_on_mouse = mouse

    def _wait_until_saved(self) -> None:
        self.page.locator("#label-saved[data-state='saved']").wait_for()


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _boxes(boxes: list[Box]) -> Any:
    return np.array(boxes, np.float64).reshape(-1, 4)


def seconds_of(actions: Counter[str]) -> float:
    """What the model gives for these actions."""
    return sum(SECONDS[kind] * count for kind, count in actions.items())


def summary(
    actions: Counter[str], truth: dict[tuple[str, int], list[Box]], root: Path
) -> list[str]:
    """The actions with their times, and whether what is on the disk is the truth now."""
    lines = [
        f"{kind:6} {actions[kind]:5} x {each:.2f} s = {actions[kind] * each:6.1f} s"
        for kind, each in SECONDS.items()
    ]
    total = seconds_of(actions)
    reviewed, right, boxes, more = 0, 0, 0, 0
    for (run, number), true in truth.items():
        label = json.loads((root / run / f"labels/frame_{number:05d}.json").read_text())
        kept = [tuple(polyp["bbox_px"]) for polyp in label["polyp_labels"] if polyp["bbox_px"]]
        alike = pairwise_iou(_boxes(true), _boxes(kept))
        reviewed += label["reviewed"] is True
        right += int((alike.max(axis=1) >= RIGHT_IOU - 0.02).sum()) if alike.size else 0
        boxes += len(true)
        more += len(kept) - len(true)
    pace = f"{60 * boxes / total:.0f} boxes a minute"
    return [
        *lines,
        f"in all {total / 60:.1f} min for {actions['look']} frames: {pace}",
        f"{reviewed} of {len(truth)} frames reviewed; {right} of {boxes} true boxes kept, "
        f"{more} too many",
    ]


if __name__ == "__main__":
    main()
