"""The report of `eval`: one page that needs nothing beside it and says what is true."""

import base64
import json
import re
import shlex
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from endoforge import cli
from endoforge.captures.index import index_root
from endoforge.data.split import Split, save_split
from endoforge.evaluate.config import EvalConfig
from endoforge.report import eval_command
from endoforge.report.charts import precision_by_iou, score_curves
from endoforge.report.drawn_frames import TRUTH, detection_grid, evenly_spread
from endoforge.report.eval_command import run_eval
from endoforge.report.eval_page import command_to_repeat
from tests.evaluate.test_breakdown import FRAMES, result_of


class Balance(HTMLParser):
    """Notes what is opened and never closed, and what text says."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.text = [], [], []

    def handle_starttag(self, tag, _attrs):
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, _attrs):
        pass

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def report_of(config):
    result = run_eval(config)
    assert result.report is not None
    page = result.report.read_text(encoding="utf-8")
    parser = Balance()
    parser.feed(page)
    assert (parser.open, parser.wrong) == ([], [])
    assert not re.search(r"\$\w", page), "a placeholder was left"
    assert not re.search(r'(src|href)="(?!data:|#)', page), "the page must need nothing beside it"
    text = re.sub(r"\s+", " ", " ".join(parser.text))
    return result, page, text


def test_a_report_shows_curves_frames_and_facts(root, checkpoint, tmp_path):
    folder = tmp_path / "a <new> folder" / "report"
    config = EvalConfig(checkpoint=str(checkpoint), input_root=str(root), report=str(folder))
    result, page, text = report_of(config)
    assert result.report == folder / "report.html"
    assert result.lines() == [result.metrics.summary(), f"report   {folder / 'report.html'}"]
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert page.count("<svg") == 4
    for words in (
        "Precision over recall", "score threshold", "AP by IoU", "Recall by size",
        "Most missed and false detections", "highest mean IoU", str(checkpoint), "64x64, letterbox",
        "479,840", str(root), "with polyps 2, 2 boxes", "empty 3", "left out nothing",
        "0.3 or more", "IoU 0.75", "2 missed", "<new>",
    ):  # fmt: skip
        assert words in text, words
    assert "Simulated" not in text
    assert "A research tool: these numbers say nothing about real patients." in text
    assert shlex.join([str(folder)]) in text


def test_a_report_of_the_heuristic_detector_says_so_and_names_no_checkpoint(root, tmp_path):
    config = EvalConfig(detector="heuristic", input_root=str(root), report=str(tmp_path))
    _, page, text = report_of(config)
    assert page.count("<svg") == 4
    for words in (
        "Evaluation of the heuristic detector", "heuristic: classical vision, no checkpoint",
        "640x360, letterbox", "cpu, OpenCV", "endoforge eval --detector heuristic --input-root",
    ):  # fmt: skip
        assert words in text, words
    assert "tinydet" not in text
    assert "parameters" not in text


def test_the_pictures_are_the_frames_with_their_boxes(root, checkpoint, tmp_path):
    config = EvalConfig(checkpoint=str(checkpoint), input_root=str(root), report=str(tmp_path))
    result, page, _ = report_of(config)
    jpegs = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(jpegs) == 2 + 0 + 5  # worst, best, evenly spread
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(jpegs[0]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (320, 640, 3)
    # The box spans x 0.25..0.5 and y 0.25..0.75: its left edge is green, what is beside it isn't.
    edge = picture[100:220, 160:162, ::-1].reshape(-1, 3).mean(0)
    assert edge == pytest.approx(TRUTH, abs=40)
    assert "1 found, 0 false" in detection_grid(result, 5)[1].caption
    assert "no polyp, 0 false" in detection_grid(result, 5)[0].caption


def test_a_report_of_nothing_found_and_of_nothing_to_find(root, checkpoint, tmp_path):
    index = index_root(root)
    empty = [frame for frame in index.frames if not len(frame.boxes)]
    save_split(tmp_path / "split.json", Split(index.frames[1:2], empty), seed=0)
    manifest = str(tmp_path / "split.json")
    config = EvalConfig(
        checkpoint=str(checkpoint),
        input_root=str(root),
        split_manifest=manifest,
        report=str(tmp_path),
    )
    result, _, text = report_of(config)
    assert result.metrics.ap is None
    assert text.count("undefined") == 2
    assert "There is none." in text
    assert f"validation frames of {manifest}" in text
    assert f"2 x frame: not of the validation in {manifest}" in text


def test_frames_of_our_simulator_are_called_simulated(root, checkpoint, tmp_path):
    config = EvalConfig(checkpoint=str(checkpoint), input_root=str(root), report=str(tmp_path))
    [manifest] = root.glob("*/run_manifest.json")
    fields = json.loads(manifest.read_text())
    fields["endoforge"] = {"scene": {}}
    manifest.write_text(json.dumps(fields))
    assert "Simulated frames only" in report_of(config)[2]


def test_the_command_makes_the_same_evaluation_again(tmp_path):
    config = EvalConfig(
        checkpoint="my best/tiny det.safetensors",
        input_root="it's here",
        val_obj_thresh=0.45,
        val_iou_sweep="",
        strict=True,
        report=str(tmp_path),
    )
    name, command, *args = shlex.split(command_to_repeat(config))
    assert (name, command) == ("endoforge", "eval")
    assert cli.parse("eval", args)[0] == config
    assert "--batch-size" not in args
    heuristic = EvalConfig(detector="heuristic", input_root="real")
    assert command_to_repeat(heuristic) == "endoforge eval --detector heuristic --input-root real"
    assert command_to_repeat(EvalConfig()) == (
        "endoforge eval --checkpoint checkpoints/tinydet.safetensors "
        "--input-root assets/datasets/captures_filtered"
    )


def test_without_the_flag_no_plot_is_loaded(root, checkpoint, monkeypatch):
    monkeypatch.setattr(eval_command, "_with_report", None)
    result = run_eval(EvalConfig(checkpoint=str(checkpoint), input_root=str(root)))
    assert result.report is None
    assert result.lines() == [result.metrics.summary()]


def test_charts_say_the_numbers():
    metrics = result_of(FRAMES).metrics
    chart = precision_by_iou(metrics)
    assert f"mean {metrics.ap:.3f}" in chart.svg
    assert metrics.ap == pytest.approx(np.mean(metrics.ap_by_iou))
    for value in metrics.ap_by_iou:
        assert f">{value:.2f}<" in chart.svg
    assert ">chosen<" in score_curves(metrics).svg
    sweep = {point.obj_thresh: point for point in metrics.pr_curve}
    precision, recall = sweep[0.5].precision, sweep[0.5].recall
    assert sweep[0.5].f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert sweep[0.95].f1 == 0


def test_charts_are_the_same_each_time():
    metrics = result_of(FRAMES).metrics
    assert score_curves(metrics) == score_curves(metrics)


def test_evenly_spread_places():
    assert evenly_spread(5, 3) == [0, 2, 4]
    assert evenly_spread(2, 6) == [0, 1]
    assert evenly_spread(1, 6) == [0]
