"""Runs and trainings as the training tab shows them."""

import json
import os

import cv2
import numpy as np
import pytest

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.view.run_files import NotThere
from endoforge.view.training import library as module
from endoforge.view.training.curves import TrainingWatch, read_metrics
from endoforge.view.training.library import Library


def write_run(root, *, boxes=(2, 0, 1), finish=True):
    """A run whose frame i shows `boxes[i]` polyps, and one more that can't be seen."""
    recorder = RunRecorder.create(root, seed=2**63 + 11, max_frames=None, extra={})
    for number, count in enumerate(boxes):
        seen = PolypLabel(center_world=(0, 0, 0), bbox_px=(8, 8, 24, 24))
        hidden = PolypLabel(center_world=(0, 0, 0))
        label = FrameLabel(
            frame_id=number,
            sim_time=0.0,
            unix_time=0.0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=1,
            polyp_labels=[seen] * count + [hidden],
        )
        recorder.write(np.full((48, 64, 3), 50, np.uint8), label)
    if finish:
        recorder.finish()
    else:
        recorder.close()
    return recorder.run_dir


def test_runs_are_listed_newest_first_with_their_counts(tmp_path):
    old, new = write_run(tmp_path), write_run(tmp_path, boxes=(1,), finish=False)
    (tmp_path / "notes").mkdir()
    (tmp_path / "run_file").write_text("no run")
    listing = Library(tmp_path).runs()
    assert [row["name"] for row in listing["runs"]] == [new.name, old.name]
    row = listing["runs"][1]
    assert (row["frames"], row["boxes"], row["complete"]) == (3, 3, True)
    assert row["seed"] == "9223372036854775819", "a string: JavaScript would round it"
    assert row["frame_ids"] == [0, 1, 2]
    assert listing["runs"][0]["complete"] is False
    assert "left_out" not in listing


def test_a_run_that_grows_is_read_again_and_only_the_new_part(tmp_path, monkeypatch):
    run_dir = write_run(tmp_path)
    library = Library(tmp_path)
    library.runs()
    read = []
    count = module._count_boxes

    def noted(path):
        read.append(path.name)
        return count(path)

    monkeypatch.setattr(module, "_count_boxes", noted)
    label = json.loads((run_dir / "labels/frame_00000.json").read_text())
    (run_dir / "labels/frame_00003.json").write_text(json.dumps(label | {"frame_id": 3}))
    assert library.runs()["runs"][0]["boxes"] == 5
    assert read == ["frame_00003.json"]


def test_of_many_runs_the_newest_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_RUNS", 2)
    runs = [write_run(tmp_path, boxes=()) for _ in range(3)]
    listing = Library(tmp_path).runs()
    assert [row["name"] for row in listing["runs"]] == [runs[2].name, runs[1].name]
    assert listing["left_out"] == 1


def test_no_folder_is_no_runs(tmp_path):
    assert Library(tmp_path / "none").runs()["runs"] == []


def test_what_isnt_ours_is_listed_without_harm(tmp_path):
    run_dir = tmp_path / "run_5"
    (run_dir / "labels").mkdir(parents=True)
    (run_dir / "labels/frame_00001.json").write_text("[]")
    (run_dir / "labels/frame_7.json").write_text("{")
    (run_dir / "run_manifest.json").write_text("no json")
    [row] = Library(tmp_path).runs()["runs"]
    assert (row["frames"], row["boxes"], row["seed"]) == (2, 0, None)


def test_a_thumbnail_has_boxes_if_asked(tmp_path):
    run_dir = write_run(tmp_path)
    library = Library(tmp_path)

    def thumbnail(*, overlay: bool):
        encoded = library.thumbnail(run_dir.name, 0, width=64, overlay=overlay)
        decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), 1)
        assert decoded is not None
        return decoded

    plain, drawn = thumbnail(overlay=False), thumbnail(overlay=True)
    assert plain.shape == drawn.shape == (48, 64, 3)
    assert np.abs(plain.astype(int) - 50).max() < 4
    assert drawn[8, 8:24, 1].min() > 120, "the upper edge of the box is green"


def test_pictures_outside_the_run_are_refused(tmp_path):
    run_dir = write_run(tmp_path)
    secret = tmp_path / "secret.png"
    cv2.imwrite(str(secret), np.full((48, 64, 3), 99, np.uint8))
    library = Library(tmp_path)
    path = run_dir / "labels/frame_00000.json"
    label = json.loads(path.read_text())
    for image in ("../secret.png", str(secret), "images/../../secret.png"):
        path.write_text(json.dumps(label | {"image": image}))
        with pytest.raises(NotThere, match="outside"):
            library.thumbnail(run_dir.name, 0, width=64, overlay=False)
    (run_dir / "images/link.png").symlink_to(secret)
    path.write_text(json.dumps(label | {"image": "images/link.png"}))
    with pytest.raises(NotThere, match="outside"):
        library.thumbnail(run_dir.name, 0, width=64, overlay=False)


@pytest.mark.parametrize(
    ("name", "frame"),
    [("..", 0), (".", 0), ("run_/../x", 0), ("run_1/..", 0), ("", 0), ("run_1", -1), ("run_9", 0)],
)
def test_names_that_are_no_runs_are_refused(tmp_path, name, frame):
    with pytest.raises(NotThere):
        Library(tmp_path).thumbnail(name, frame, width=64, overlay=False)


def test_losses_are_sampled_once_a_step_and_anew_with_a_new_training(tmp_path):
    status, metrics = tmp_path / "s.json", tmp_path / "m.jsonl"
    watch = TrainingWatch(str(status), str(metrics))

    def at(epoch, step, loss):
        fields = {"status": "running", "epoch": epoch, "step": step, "steps_per_epoch": 10}
        status.write_text(json.dumps(fields | {"loss": loss}))
        watch.sample()

    watch.sample()
    assert watch.as_json()["losses"] == []
    for step in ((1, 4, 2.0), (1, 4, 2.0), (2, 1, 1.5), (2, 2, None)):
        at(*step)
    assert watch.as_json()["losses"] == [[4, 2.0], [11, 1.5]]
    at(1, 1, 3.0)
    assert watch.as_json()["losses"] == [[1, 3.0]]
    status.write_text("{")
    watch.sample()
    assert watch.as_json()["status"] is None


def test_only_the_end_of_long_metrics_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("endoforge.view.training.curves.MOST_BYTES", 100)
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"epoch": n}) + "\n" for n in range(50)))
    found = read_metrics(path)
    assert found[-1] == {"epoch": 49}
    assert len(found) < 10
    assert read_metrics(tmp_path / os.devnull.strip("/")) == []


def test_numbers_that_browsers_do_not_read_are_null(tmp_path):
    status, metrics = tmp_path / "status.json", tmp_path / "metrics.jsonl"
    status.write_text('{"epoch": 1, "step": 2, "steps_per_epoch": 5, "loss": NaN}')
    metrics.write_text('{"ap": Infinity, "ap50": 0.5}\n')
    watch = TrainingWatch(str(status), str(metrics))
    watch.sample()
    said = watch.as_json()
    assert said["status"]["loss"] is None
    assert said["metrics"] == [{"ap": None, "ap50": 0.5}]
    assert said["losses"] == []
