"""`eval --lesions` from files to numbers, with a detector whose answers can be worked out."""

import json
import re
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from torch import Tensor

from endoforge import cli
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.detect.detections import Detections
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.subject import Subject
from endoforge.formats.config import ImportConfig
from endoforge.formats.importing import run_import
from endoforge.report import eval_command
from endoforge.report.eval_command import run_eval

SIDE = 64
POLYP, GLINT = (8, 8, 24, 24), (40, 40, 56, 56)
"""In pixels; both look alike to the detector."""
FRAMES = 40
VISIBLE = range(5, 30)
MISSED = (14, 15)
"""Frames in which the polyp, though in its label, isn't in the picture: the detector misses it."""
GLINT_AT = 35


def record_run(root: Path, *, polyp_id: int | None = 1) -> None:
    """1.6 s at 25 frames a second: a polyp for one second, and a glint for a frame after it."""
    recorder = RunRecorder.create(root, seed=0, max_frames=None, extra={})
    for number in range(FRAMES):
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        if number in VISIBLE and number not in MISSED:
            fill(picture, POLYP)
        if number == GLINT_AT:
            fill(picture, GLINT)
        recorder.write(picture, label_of(number, polyp_id))
    recorder.finish()


def fill(picture: np.ndarray, corners: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = corners
    picture[y0:y1, x0:x1] = 255


def label_of(number: int, polyp_id: int | None) -> FrameLabel:
    x0, y0, x1, y1 = POLYP
    polyp = PolypLabel(
        center_world=(0, 0, 0),
        bbox_norm=(x0 / SIDE, y0 / SIDE, x1 / SIDE, y1 / SIDE),
        paris="Is",
        diameter_mm=4.0,
        polyp_id=polyp_id,
    )
    return FrameLabel(
        frame_id=number,
        sim_time=number / 25,
        unix_time=0,
        image=image_name(number),
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=[polyp] if number in VISIBLE else [],
    )


def white_box(picture: np.ndarray) -> Detections:
    """The box around what is white in `picture`, (H, W, 3) uint8, with a score of 0.8."""
    rows, columns = np.nonzero(picture[..., 0] > 128)
    if not len(rows):
        return Detections(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        )
    corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    boxes = np.array([corners], np.float32) / np.float32(SIDE)
    return Detections(boxes, np.array([0.8], np.float32), np.zeros(1, np.int64))


def find_white(images: Tensor) -> list[Detections]:
    return [white_box(picture) for picture in images.numpy()]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `eval` measure `white_box`, whatever it is told to."""
    subject = Subject(
        name="white",
        predict=find_white,
        classes=("polyp",),
        label_field="label",
        input_size=(SIDE, SIDE),
        resize_mode="force",
        device="cpu",
        facts=[],
    )
    monkeypatch.setattr(eval_command, "subject_of", lambda _: subject)


@pytest.mark.usefixtures("finder")
def test_lesions_by_single_frames_and_by_tracks(tmp_path, caplog):
    record_run(tmp_path / "runs")
    record_run(tmp_path / "runs", polyp_id=None)
    out = tmp_path / "metrics.jsonl"
    config = EvalConfig(
        detector="heuristic",
        input_root=str(tmp_path / "runs"),
        lesions=True,
        metrics_out=str(out),
        batch_size=7,
    )
    result = run_eval(config)
    lesions = result.lesions
    assert lesions is not None
    assert result.metrics.images == 2 * FRAMES

    single = lesions.single.metrics
    assert (single.num_found, single.delay(0.5), single.found_within(1.0)) == (1, 0.0, 1.0)
    assert single.flicker == pytest.approx(2.0)  # lost and found again, in a second in view
    assert single.seen_found == pytest.approx(23 / 25)
    assert single.false_alarms_a_minute == pytest.approx(60 / 1.6)
    assert single.false_time == pytest.approx(1 / 40)

    tracks = lesions.tracks.metrics
    assert (tracks.num_found, len(tracks.false_alarms)) == (1, 0)
    # Shown in its third frame: 0.714 of the way from 0.3 to 1, times 1 + 0.852 + 0.726, is 1.84.
    assert tracks.delay(0.5) == pytest.approx(0.08)
    assert tracks.flicker == 0.0  # not lost in the gap

    (shown,) = lesions.runs
    assert shown.run.sequence.seconds == pytest.approx(np.arange(FRAMES) / 25)
    assert [len(one) for one in shown.single] == [
        int((n in VISIBLE and n not in MISSED) or n == GLINT_AT) for n in range(FRAMES)
    ]
    # In the gap, 0.08 s, the score sinks by 0.187 to 0.613; in 0.56 s that falls to 0.029, so it is
    # 0.771 at last, and below 0.7 * 0.3 after 0.3 * ln(0.771 / 0.21) = 0.390 s: 9 frames.
    assert [len(one) for one in shown.tracks] == [0] * 7 + [1] * (23 + 9) + [0]
    assert tracks.seen_found == pytest.approx(23 / 25)
    assert tracks.false_time == pytest.approx(9 / 40)
    assert [result.frames[place].frame_id for place in shown.run.places] == list(range(FRAMES))

    (reason,) = lesions.left_out
    assert reason.startswith("1 x run: a polyp without polyp_id, such as run_")
    assert f"left out of the lesions: {reason}" in caplog.messages

    line = json.loads(out.read_text())["lesions"]
    assert (line["runs"], line["left_out"]) == (1, [reason])
    assert line["minutes"] == pytest.approx(1.6 / 60)
    assert line["frame_by_frame"]["false_alarms"] == 1
    assert line["tracks"]["by_kind"] == [{"name": "Is", "polyps": 1, "found": 1}]
    # Every score is 0.8: from 0.9 on nothing is shown. Of tracks it is from 0.8 on: the way to 0.8
    # is nothing then; from 0.7 it is a third of that to 1, 0.333 * 1 / (1 - 0.852) = 2.25 at most.
    for way, found in (("frame_by_frame", 8), ("tracks", 7)):
        curve = line[way]["froc"]
        assert [point["obj_thresh"] for point in curve] == [n / 10 for n in range(1, 10)]
        assert [point["found"] for point in curve] == [1.0] * found + [0.0] * (9 - found)
        assert curve[8]["false_alarms_per_min"] == 0.0


@pytest.mark.usefixtures("finder")
def test_the_table_has_both_ways_side_by_side(tmp_path, capsys):
    record_run(tmp_path / "runs")
    root = str(tmp_path / "runs")
    assert cli.run(["eval", "--input-root", root, "--detector", "heuristic", "--lesions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "lesions: 1 polyp in 1 run, 1.6 s",
        "                                    frame by frame           tracks",
        "polyps found                       1 of 1, 100.0 %  1 of 1, 100.0 %",
        "  within 1 s in view                       100.0 %          100.0 %",
        "  within 3 s in view                       100.0 %          100.0 %",
        "  diminutive, to 5 mm              1 of 1, 100.0 %  1 of 1, 100.0 %",
        "  kind Is                          1 of 1, 100.0 %  1 of 1, 100.0 %",
        "delay, median; 90 % within          0.00 s; 0.00 s   0.08 s; 0.08 s",
        "time in view with a box on them             92.0 %           92.0 %",
        "flicker, changes/s in view                    2.00             0.00",
        "false alarms/min                             37.50             0.00",
        "false alarms/run                              1.00             0.00",
        "time with a false box                        2.5 %           22.5 %",  # it lingers
        "flicker of false boxes, changes/s             1.25             1.25",
    ]


@pytest.mark.usefixtures("finder")
def test_imported_sequences_have_their_names_and_times(tmp_path):
    """Two videos of a COCO file at 25 frames a second; in the second one nothing is found."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    source = tmp_path / "source"
    source.mkdir()
    for video, number in product((1, 2), range(10)):
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        if video == 1:
            fill(picture, POLYP)
        name = f"{video}_{number}.png"
        assert cv2.imwrite(str(source / name), picture)
        key = len(images) + 1
        size = {"width": SIDE, "height": SIDE}
        place = {"video_id": video, "frame_id": number}
        images.append({"id": key, "file_name": name, **size, **place})
        annotations.append(
            {"id": key, "image_id": key, "category_id": 1, "bbox": [8, 8, 16, 16], "track_id": 7}
        )
    dataset = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "polyp"}],
        "videos": [{"id": 1, "name": "a", "fps": 25}, {"id": 2, "name": "b", "fps": 25}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(dataset))
    runs = str(tmp_path / "runs")
    run_import(
        ImportConfig(
            format="coco",
            images=str(source),
            annotations=str(tmp_path / "coco.json"),
            output_root=runs,
        )
    )
    lesions = run_eval(EvalConfig(detector="heuristic", input_root=runs, lesions=True)).lesions
    assert lesions is not None
    assert (lesions.left_out, lesions.notes) == ([], [])
    for metrics in (lesions.single.metrics, lesions.tracks.metrics):
        assert metrics.seconds == pytest.approx(0.8)
        assert [polyp.polyp_id for polyp in metrics.polyps] == [7, 7]
        assert metrics.found == 0.5


@pytest.mark.usefixtures("finder")
def test_the_score_asked_for_decides_what_is_shown_and_changes_no_curve(tmp_path):
    record_run(tmp_path / "runs")
    config = EvalConfig(detector="heuristic", input_root=str(tmp_path / "runs"), lesions=True)
    usual, strict = run_eval(config).lesions, run_eval(replace(config, val_obj_thresh=0.85)).lesions
    assert usual is not None
    assert strict is not None
    assert usual.single.metrics.num_found == usual.tracks.metrics.num_found == 1
    assert strict.single.metrics.num_found == strict.tracks.metrics.num_found == 0
    assert strict.single.froc == usual.single.froc
    assert strict.tracks.froc == usual.tracks.froc


@pytest.mark.usefixtures("finder")
def test_without_the_flag_lesions_are_not_measured(tmp_path):
    record_run(tmp_path / "runs", polyp_id=None)
    out = tmp_path / "metrics.jsonl"
    root = str(tmp_path / "runs")
    config = EvalConfig(detector="heuristic", input_root=root, metrics_out=str(out))
    result = run_eval(config)
    assert result.lesions is None
    assert "lesions" not in json.loads(out.read_text())
    with pytest.raises(UserError, match=r"^--lesions: no run can be asked about lesions"):
        run_eval(EvalConfig(detector="heuristic", input_root=root, lesions=True))


@pytest.mark.slow
def test_lesions_of_a_simulated_stretch(checkpoint, tmp_path):
    """Ten frames a second, whose labels tell which polyps there are, and for how long."""
    root = tmp_path / "stretch"
    generate(
        DatagenConfig(
            seed=3,
            randomization="plain",
            fps=10,
            from_s=60,
            to_s=61,
            output_root=str(root),
            resolution="64x64",
            renderer="cpu",
        )
    )
    lesions = run_eval(
        EvalConfig(checkpoint=str(checkpoint), input_root=str(root), lesions=True)
    ).lesions
    assert lesions is not None
    assert (lesions.left_out, lesions.notes) == ([], [])
    seconds: Counter[int] = Counter()
    for path in root.rglob("labels/*.json"):
        for polyp in json.loads(path.read_text())["polyp_labels"]:
            seconds[polyp["polyp_id"]] += polyp["bbox_px"] is not None
    (shown,) = lesions.runs
    assert shown.run.sequence.seconds == pytest.approx(60 + np.arange(10) / 10)
    for metrics in (lesions.single.metrics, lesions.tracks.metrics):
        assert metrics.seconds == pytest.approx(1.0)
        visible = {polyp.polyp_id: 10 * polyp.visible_seconds for polyp in metrics.polyps}
        assert visible == pytest.approx({number: n for number, n in seconds.items() if n})
        for polyp in metrics.polyps:
            assert polyp.facts.diameter_mm is not None
            assert polyp.facts.kind in {"Ip", "Isp", "Is", "IIa"}
    assert lesions.single.metrics.polyps


@pytest.mark.usefixtures("finder")
def test_the_page_shows_each_run_over_its_time(tmp_path):
    record_run(tmp_path / "runs")
    root, page = str(tmp_path / "runs"), tmp_path / "page"
    run_eval(EvalConfig(input_root=root, detector="heuristic", lesions=True, report=str(page)))
    html = (page / "report.html").read_text(encoding="utf-8")
    assert "<h2>Lesions</h2>" in html
    assert "within 1 s in view" in html
    [data] = re.findall(r'<script type="application/json">(.*)</script>', html)
    clip = json.loads(data)
    assert (clip["begin"], clip["end"]) == (0.0, pytest.approx(FRAMES / 25))
    [track], [polyp] = clip["tracks"], clip["lesions"]
    assert track["verdict"] == polyp["number"]
    assert polyp["first_found"] - polyp["visible"][0][0] == pytest.approx(0.08)
    best = track["best"]
    assert best["box"] == pytest.approx(best["truth"][0], abs=0.02)


def test_a_run_whose_polyps_have_no_names_that_can_be_is_told_and_not_measured(tmp_path, capsys):
    """Not as a run in which nothing was there to find."""
    record_run(tmp_path / "runs")
    for path in (tmp_path / "runs").glob("run_*/labels/*.json"):
        path.write_text(path.read_text().replace('"polyp_id": 1', '"polyp_id": 0'))
    root = str(tmp_path / "runs")
    line = ["eval", "--input-root", root, "--detector", "heuristic", "--lesions"]
    assert cli.run(line) == 2
    said = capsys.readouterr().err
    assert "no run can be asked about lesions (1 x run: a polyp without polyp_id" in said
