"""From reviewed frames to a detector beside the old one."""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from endoforge.core.errors import UserError
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.result import EvalResult
from endoforge.view.labelling import learning as module
from endoforge.view.labelling.comparing import MOST_SHOWN, most_different
from endoforge.view.labelling.keeping import LabelKeeper
from endoforge.view.labelling.label_messages import LearningWish
from endoforge.view.labelling.learning import Learning, epochs_for, new_learning_folder
from endoforge.view.labelling.shelf import Shelf
from tests.view.conftest import small_config, until

from .runs import drawn, edit, guess, write_run

PACKAGED = LearningWish(start="packaged")


def learning_of(folder, **flags) -> Learning:
    config = small_config(folder, **flags)
    return Learning(config, Shelf(config.root))


def write_reviewed(root, runs=3, frames=5):
    """Runs with reviewed frames, and one frame in each that nobody has looked at."""
    keeper = LabelKeeper(root)
    for _ in range(runs):
        run = write_run(root, [None] * frames + [[guess(1, 1, 30, 30)]])
        for number in range(frames):
            picture = run / f"images/frame_{number:05d}.png"
            cv2.imwrite(str(picture), np.random.default_rng().integers(0, 255, (64, 96, 3)))
            keeper.keep(run.name, number, edit(drawn(10, 10, 50, 40)), None)


def test_few_frames_are_seen_often_and_many_seldom():
    assert [epochs_for(count) for count in (1, 50, 100, 200, 500, 10_000)] == [
        60,
        60,
        60,
        32,
        13,
        10,
    ]


def test_every_training_has_a_folder_of_its_own(tmp_path):
    names = [new_learning_folder(tmp_path / "checkpoints").name for _ in range(3)]
    assert names == ["labels-1", "labels-2", "labels-3"]


def test_a_training_learns_from_reviewed_frames_alone_and_is_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "EPOCHS", (1, 1))
    write_reviewed(tmp_path / "captures")
    learning = learning_of(tmp_path)
    assert learning.view().frames_needed == 0
    learning.start(PACKAGED)
    with pytest.raises(UserError, match="going on already"):
        learning.start(PACKAGED)
    until(lambda: learning.view().state in ("done", "failed"), 600)
    view = learning.view()
    assert (view.problem, view.state) == ("", "done")
    split = json.loads((tmp_path / "checkpoints/labels-1/split.json").read_text())
    assert (len(split["train"]), len(split["val"])) == (10, 5)
    assert not any("00005.json" in key for key in split["train"] + split["val"])
    assert (view.trained_on, view.held_out, view.how) == (10, 5, "whole runs")
    assert view.weights == str(tmp_path / "checkpoints/labels-1/tinydet.safetensors")
    assert view.comparison is not None
    assert view.comparison.boxes == 5
    assert view.comparison.old.found + view.comparison.old.missed == 5
    assert len(view.comparison.frames) == 5
    for which in ("old", "new"):
        data = learning.picture(0, which)
        assert data is not None
        assert data[:2] == b"\xff\xd8"
    assert learning.picture(5, "old") is None
    assert learning.picture(0, "other") is None


def test_a_training_that_is_stopped_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reviewed(tmp_path / "captures")
    learning = learning_of(tmp_path)
    learning.start(PACKAGED)
    until(lambda: learning.view().state == "training", 600)
    learning.stop()
    until(lambda: learning.view().state == "stopped", 600)
    assert learning.view().problem == ""
    learning.close(1.0)


def test_too_few_frames_fail_in_words(tmp_path):
    write_reviewed(tmp_path / "captures", runs=1, frames=3)
    learning = learning_of(tmp_path)
    assert learning.view().frames_needed == 7
    learning.start(PACKAGED)
    until(lambda: learning.view().state == "failed")
    assert learning.view().problem.startswith("3 reviewed frames can be learned from")
    assert not (tmp_path / "checkpoints").exists()


def test_weights_that_arent_there_are_no_start(tmp_path):
    learning = learning_of(tmp_path)
    assert learning.view().starts == ["packaged"]
    with pytest.raises(UserError, match="no such weights"):
        learning.start(LearningWish(start="shown"))


def result_of(found: Sequence[Sequence[tuple[float, ...]]]) -> EvalResult:
    """A measured detector that found these boxes in frames that show one polyp at 0..0.5 each."""
    truth = Truth(np.array([[0, 0, 0.5, 0.5]], np.float32), np.zeros(1, np.int64))
    detections = [
        Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(boxes), 0.9, np.float32),
            np.zeros(len(boxes), np.int64),
        )
        for boxes in found
    ]
    metrics = SimpleNamespace(obj_thresh=0.3, at_iou=[SimpleNamespace(iou=0.5)])
    shown: Any = SimpleNamespace(
        detections=detections, truths=[replace(truth) for _ in found], metrics=metrics
    )
    return cast(EvalResult, shown)


def test_frames_that_differ_most_are_shown_in_their_order():
    hit, wrong = (0.0, 0.0, 0.5, 0.5), (0.6, 0.6, 0.9, 0.9)
    old = result_of([[hit], [], [wrong], [hit]])
    new = result_of([[hit], [hit], [hit], [hit]])
    assert most_different(old, new) == [0, 1, 2, 3]
    many = [[hit]] * 10
    changed = [[hit]] * 8 + [[wrong], []]
    shown = most_different(result_of(many), result_of(changed))
    assert len(shown) == MOST_SHOWN
    assert shown[-2:] == [8, 9]
