"""`detect --report`: what was found in each video and run, over its time."""

import base64
import json
import re

import cv2
import numpy as np
import pytest

from endoforge.core.text import counted
from tests.inference.conftest import SIZE, lines_of
from tests.inference.test_tracks import capture_run, shown_since, still_video, tracks_of


def clips_of(out):
    """What the page is told of each video or run, by the heading over it."""
    page = (out / "report.html").read_text(encoding="utf-8")
    names = re.findall("<h2>(.*)</h2>", page)
    told = re.findall(r'<script type="application/json">(.*)</script>', page)
    return dict(zip(names, map(json.loads, told), strict=True))


def test_a_video_and_a_run_have_their_lanes_and_stills(tmp_path, detect):
    (tmp_path / "in").mkdir()
    still_video(tmp_path / "in/clip.avi")
    capture_run(tmp_path / "in", times=(5.0, 5.1, 5.2, 5.3, 5.4))
    report, out = detect(tmp_path / "in", infer_obj_thresh=0.4, report=True)
    clips = clips_of(out)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "where the detector (tinydet.safetensors) found something" in page
    assert f"Detector: {report.detector}." in page
    assert sorted(clips) == ["clip.avi", "run_1"]
    assert f"in {out}: report.html, detections.jsonl, tracks.json" in report.lines()[-1]
    clip = clips["clip.avi"]
    assert (clip["begin"], clip["end"], clip["lesions"]) == (0.0, 1.2, None)
    told = {one["track"]: one for one in tracks_of(out)["videos"][1]["tracks"]}
    assert [track["number"] for track in clip["tracks"]] == list(told)
    for track in clip["tracks"]:
        beside = told[track["number"]]
        first = shown_since(beside["peak_score"])
        assert (track["begin"], track["end"], track["frames"]) == (first / 10, 1.1, 12 - first)
        assert track["peak"] == pytest.approx(beside["peak_score"], abs=1e-3)
        assert track["best"]["seconds"] == beside["best"]["seconds"]
        places = np.array(beside["best"]["bbox_px"]) / [*SIZE, *SIZE]
        assert track["best"]["box"] == pytest.approx(places, abs=1e-3)
        # That of half a second before it is the first frame.
        boxless = [still["box"] is None for still in track["stills"]]
        assert boxless == [True] + [False] * (12 - first)
        picture = cv2.imdecode(
            np.frombuffer(base64.b64decode(track["best"]["jpeg"]), np.uint8), cv2.IMREAD_COLOR
        )
        assert picture is not None
        assert picture.shape == (SIZE[1], SIZE[0], 3)
    run = clips["run_1"]
    assert (run["begin"], run["end"]) == (5.0, 5.5)
    assert run["tracks"][0]["stills"][0]["seconds"] == 5.0


def test_pictures_alone_have_no_page_and_that_is_said(pictures, detect):
    report, out = detect(pictures, report=True)
    assert not (out / "report.html").exists()
    assert any("report: it shows videos and recorded runs" in line for line in report.lines())
    assert len(lines_of(out)) == 3


def test_a_page_of_an_earlier_time_is_told_of(tmp_path, detect):
    video = still_video(tmp_path / "clip.avi")
    detect(video, report=True)
    report, _ = detect(video)
    assert any("report: of an earlier detect" in line for line in report.lines())


def test_a_file_that_changes_meanwhile_loses_stills_not_results(tmp_path, detect, monkeypatch):
    from endoforge.inference.material import Material

    monkeypatch.setattr(Material, "again", lambda *_: iter(()))
    report, out = detect(still_video(tmp_path / "clip.avi"), infer_obj_thresh=0.4, report=True)
    assert clips_of(out)["clip.avi"]["tracks"] == []
    page = (out / "report.html").read_text(encoding="utf-8")
    lost = counted(report.tracks.count, "track")
    assert f"without {lost} whose frames can&#x27;t be read again" in page


def test_a_video_of_nearly_two_minutes_takes_two(tmp_path, detect):
    run = capture_run(tmp_path, times=(0.0, 59.85))  # the last frame as long as the one before
    _, out = detect(run, report=True)
    assert "2:00 min, 2 frames of 120x80" in (out / "report.html").read_text(encoding="utf-8")
