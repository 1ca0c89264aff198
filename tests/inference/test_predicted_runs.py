"""`detect --as-runs` and `import --video --prelabel`: predictions as labels that nobody takes for
truth until a person has looked at them."""

import json
from typing import Any

import pytest
from PIL import Image

from endoforge import cli
from endoforge.captures.frame_times import FrameTime, append_frame_time, read_frame_times
from endoforge.captures.index import index_root
from endoforge.captures.pictures import is_upright, read_picture
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.run_frames import AWAITS_REVIEW
from endoforge.core.errors import Resumable, UserError
from endoforge.inference.config import DetectConfig, ImportCommandConfig
from endoforge.inference.import_command import run_import_command
from tests.conftest import ours_of
from tests.inference.conftest import lines_of, noise, save, save_video
from tests.inference.test_live_input import ADDRESS, stream  # noqa: F401 (a fixture)
from tests.inference.test_tracks import capture_run, still_video

UNSEEN = f"frame: {AWAITS_REVIEW}"


@pytest.fixture
def predict(tmp_path, detect):
    def run(*paths, **settings):
        given = {"output": "detections", "as_runs": str(tmp_path / "runs"), **settings}
        return detect(*paths, **given)[0]

    return run


def labels_of(root):
    """Every label below a folder of runs, by its path there, without when it was written."""
    labels = {}
    for path in sorted(root.glob("run_*/labels/*.json")):
        label = json.loads(path.read_text())
        del label["unix_time"]
        labels[path.relative_to(path.parents[1]).as_posix()] = label
    return labels


def test_labels_say_what_was_found_as_a_detectors_word(tmp_path, detect, predict):
    video = still_video(tmp_path / "clip.avi")
    _, out = detect(video, infer_obj_thresh=0.4)
    report = predict(video, infer_obj_thresh=0.4)
    labels = list(labels_of(tmp_path / "runs").values())
    assert len(labels) == len(lines_of(out)) == 12
    for number, (label, record) in enumerate(zip(labels, lines_of(out), strict=True)):
        assert (label["frame_id"], label["source"]) == (number, "predicted")
        assert label["sim_time"] == pytest.approx(number / 10)
        assert label["source_image"] == f"clip.avi#{number}"
        assert len(label["polyp_labels"]) == len(record["detections"]) > 0
        for polyp, found in zip(label["polyp_labels"], record["detections"], strict=True):
            assert (polyp["source"], polyp["label"]) == ("predicted", found["label"])
            assert polyp["score"] == pytest.approx(found["score"], abs=1e-4)
            assert polyp["bbox_px"] == pytest.approx(found["bbox_px"], abs=0.01)
            assert polyp["bbox_norm"] == pytest.approx(found["bbox_norm"], abs=1e-5)
            assert "reviewed" not in polyp
    [run] = index_root(tmp_path / "runs").runs
    last = read_frame_times(run.path)[11]
    assert last.seconds == pytest.approx(1.1)
    assert last.source_frame == 11
    ours = ours_of(run.manifest)
    assert (ours["frames"], ours["complete"], ours["detector"]["obj_thresh"]) == (12, True, 0.4)
    assert report.tracks == len({one for record in lines_of(out) for one in tracks_in(record)}) > 0
    assert any("nothing learns from these frames" in line for line in report.lines())
    assert not (tmp_path / "detections").exists()


def test_a_name_goes_with_a_track_from_its_first_detection_on(tmp_path, detect, predict):
    """Also before it is confirmed; what no track has is named too, each by itself."""
    video = still_video(tmp_path / "clip.avi")
    _, out = detect(video, infer_obj_thresh=0.4)
    predict(video, infer_obj_thresh=0.4)
    labels = list(labels_of(tmp_path / "runs").values())
    names = [[polyp["polyp_id"] for polyp in label["polyp_labels"]] for label in labels]
    assert all(len(set(of_frame)) == len(of_frame) for of_frame in names)
    tracks = [[one["track"] for one in record["detections"]] for record in lines_of(out)]
    pairs = {
        pair
        for of_frame in zip(names, tracks, strict=True)
        for pair in zip(*of_frame, strict=True)
        if pair[1] is not None
    }
    assert len({name for name, _ in pairs}) == len({track for _, track in pairs}) == len(pairs)
    followed = {name for name, _ in pairs}
    assert followed <= {*names[0]}  # the picture stays the same, so all are there at once
    assert not any(tracks[0])
    alone = [name for of_frame in names for name in of_frame if names[-1].count(name) == 0]
    assert len(set(alone)) == len(alone) > 0


def tracks_in(record):
    return [one["track"] for one in record["detections"] if one["track"] is not None]


@pytest.mark.parametrize("threshold", [0.4, 1.0])
def test_frames_are_no_truth_until_a_person_has_looked_at_them(tmp_path, predict, threshold):
    """With nothing found, too: such a frame is none without a polyp."""
    predict(save_video(tmp_path / "clip.avi"), infer_obj_thresh=threshold)
    index = index_root(tmp_path / "runs")
    assert (index.frames, index.dropped) == ([], {UNSEEN: 6})
    path = index.runs[0].path / "labels/frame_00002.json"
    label = json.loads(path.read_text())
    assert bool(label["polyp_labels"]) == (threshold < 1)
    label["reviewed"] = True
    for polyp in label["polyp_labels"]:
        polyp["reviewed"] = True
    path.write_text(json.dumps(label))
    index = index_root(tmp_path / "runs")
    assert [len(frame.boxes) for frame in index.frames] == [len(label["polyp_labels"])]
    assert index.dropped == {UNSEEN: 5}


def test_each_folder_of_pictures_becomes_a_run_with_their_own_bytes(tmp_path, pictures, predict):
    save(pictures / "b/4.bmp", 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(5)).save(pictures / "b/5.jpg", exif=exif)
    report = predict(pictures)
    first, second = sorted(report.runs.runs, key=lambda run: run.group)
    assert (first.group, first.frames, second.group, second.frames) == (".", 1, "b", 4)
    run = tmp_path / "runs" / second.name
    named = {
        label["source_image"]: run / label["image"]
        for label in labels_of(tmp_path / "runs").values()
    }
    assert report.runs.left_out.counts == {"picture: image unreadable": 1}
    for name in ("b/1.png", "b/2.jpg"):
        assert named[name].read_bytes() == (pictures / name).read_bytes()
    assert not any(
        "polyp_id" in polyp
        for label in labels_of(tmp_path / "runs").values()
        for polyp in label["polyp_labels"]
    )
    for name in ("b/4.bmp", "b/5.jpg"):  # boxes are of the pixels as they were looked at
        assert named[name].suffix == ".png"
        assert is_upright(named[name].read_bytes())
        assert (read_picture(named[name]) == read_picture(pictures / name)).all()
    assert not (run / "frame_times.jsonl").exists()
    label = json.loads((run / "labels/frame_00003.json").read_text())
    assert (label["source_image"], label["sim_time"]) == ("b/4.bmp", 3.0)  # after the broken one


def test_of_a_capture_run_numbers_and_times_are_kept_and_its_truth_is_not_taken(tmp_path, predict):
    run = capture_run(tmp_path / "in", times=(5.0, 5.1, 5.3))
    append_frame_time(run, 0, FrameTime(2.0, 50))
    append_frame_time(run, 2, FrameTime(3.0, 75))
    (run / "images/frame_00001.png").unlink()
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    predict(run)
    labels = labels_of(tmp_path / "runs")
    assert {name: one["sim_time"] for name, one in labels.items()} == {
        "labels/frame_00000.json": 2.0,
        "labels/frame_00002.json": 3.0,
    }
    [new] = index_root(tmp_path / "runs").runs
    assert read_frame_times(new.path) == {0: FrameTime(2.0, 50), 2: FrameTime(3.0, 75)}
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_what_ctrl_c_cut_short_is_gone_on_with_as_if_nothing_had_been(
    tmp_path, predict, monkeypatch
):
    video = still_video(tmp_path / "clip.avi")
    predict(video, as_runs=str(tmp_path / "whole"))
    write = RunRecorder.write_encoded
    written: list[tuple[Any, ...]] = []

    def interrupted(self, *frame):
        if len(written) == 5:
            raise KeyboardInterrupt
        write(self, *frame)
        written.append(frame)

    monkeypatch.setattr(RunRecorder, "write_encoded", interrupted)
    with pytest.raises(Resumable):
        predict(video)
    monkeypatch.undo()
    [run] = index_root(tmp_path / "runs").runs
    assert (ours_of(run.manifest)["frames"], ours_of(run.manifest)["complete"]) == (5, False)
    kept = (run.path / "labels/frame_00004.json").read_bytes()
    report = predict(video)
    assert [(one.name, one.frames, one.there) for one in report.runs.runs] == [(run.name, 7, 5)]
    assert (run.path / "labels/frame_00004.json").read_bytes() == kept
    labels = labels_of(tmp_path / "runs")
    assert labels == labels_of(tmp_path / "whole")
    report = predict(video)
    assert [(one.frames, one.there) for one in report.runs.runs] == [(0, 12)]
    assert not any("tracks" in line for line in report.lines())


def test_another_detectors_word_on_the_same_frames_is_refused(tmp_path, video, predict):
    predict(video)
    with pytest.raises(UserError, match="name another --as-runs, or remove that run"):
        predict(video, infer_obj_thresh=0.5)
    assert len(list((tmp_path / "runs").glob("run_*"))) == 1


def test_a_stream_becomes_a_run_each_time(tmp_path, predict, stream):  # noqa: F811
    for _ in range(2):
        report = predict(ADDRESS, seconds=1)
        [run] = report.runs.runs
        assert run.frames > 0
        assert "secret" not in (tmp_path / "runs" / run.name / "run_manifest.json").read_text()
    assert len(list((tmp_path / "runs").glob("run_*"))) == 2
    times = read_frame_times(tmp_path / "runs" / run.name)
    assert times[0] == FrameTime(0.0, None)
    assert stream


def test_of_a_stream_that_ctrl_c_ends_what_was_seen_is_a_whole_run(
    tmp_path,
    predict,
    stream,  # noqa: F811
    monkeypatch,
    caplog,
):
    write = RunRecorder.write_encoded
    written: list[tuple[Any, ...]] = []

    def interrupted(self, *frame):
        write(self, *frame)
        written.append(frame)
        if len(written) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunRecorder, "write_encoded", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        predict(ADDRESS, seconds=60)
    assert not isinstance(stop.value, Resumable)
    [run] = (tmp_path / "runs").glob("run_*")
    ours = ours_of(index_root(run).runs[0].manifest)
    assert (ours["frames"], ours["complete"]) == (4, True)
    assert f"ended early: {run} holds" in caplog.text
    assert stream


def test_import_prelabels_a_video_in_one_go(tmp_path, video, predict, lively, capsys):
    predict(video, fps=5, infer_obj_thresh=0.4)
    flags = ["--prelabel", "--checkpoint", str(lively), "--fps", "5", "--infer-obj-thresh", "0.4"]
    command = ["import", "--video", str(video), "--output-root", str(tmp_path / "in one go")]
    assert cli.run([*command, *flags, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "1 run, 3 frames came in" in printed
    assert printed.count("detector: weights ") == 1
    assert labels_of(tmp_path / "in one go") == labels_of(tmp_path / "runs")
    assert cli.run([*command, "--fps", "5"]) == 2  # without labels they would be there twice
    assert "name another --output-root, or remove that run" in capsys.readouterr().err


def test_without_prelabel_import_is_as_it_was(tmp_path, video):
    config = ImportCommandConfig(video=str(video), output_root=str(tmp_path / "runs"))
    report = run_import_command(config)
    assert "without labels" in report.lines()[-1]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--as-runs", "out", "--report"], "--report: is of results"),
        (["--as-runs", "out", "--output", "found"], "--output: is of results"),
        (["--as-runs", " "], "--as-runs: expected the name of a folder"),
        (["--as-runs", "in/run_1"], "--as-runs in/run_1: lies in what is looked at, in/run_1"),
        (["--as-runs", "in"], "in/run_1: lies in a run of --as-runs in; name another --as-runs"),
        (["--as-runs", "other/run_2/x"], "lies in the capture run"),
    ],
)
def test_places_and_flags_that_dont_go_together(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    capture_run(tmp_path / "in")
    capture_run(tmp_path / "other", "run_2")
    assert cli.run(["detect", "in/run_1", "--detector", "heuristic", *flags]) == 2
    assert words in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"in", "other"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"video": "a.mp4", "checkpoint": "x"}, "--checkpoint: is of the detector of --prelabel"),
        ({"images": "a", "format": "yolo", "prelabel": True}, "--prelabel: is for a --video"),
        ({"video": "a.mp4", "prelabel": True, "infer_obj_thresh": 2}, "--infer-obj-thresh"),
        ({"video": "a.mp4", "prelabel": True, "device": "x"}, "--device"),
    ],
)
def test_flags_of_import_that_dont_go_together(settings, words):
    with pytest.raises(UserError, match=words):
        ImportCommandConfig(**settings)


def test_what_import_tells_detect():
    config = ImportCommandConfig(video="a.mp4", prelabel=True, fps=2, output_root="runs")
    assert config.detecting == DetectConfig(paths=("a.mp4",), as_runs="runs", fps=2)


def test_where_nothing_can_be_read_no_run_is_left(tmp_path, predict):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="no picture can be read: 1 x picture: image unreadable"):
        predict(tmp_path / "in")
    assert not list((tmp_path / "runs").glob("run_*"))


def test_results_that_were_written_come_in_as_the_same_labels(tmp_path, pictures, detect, predict):
    _, out = detect(pictures)
    predict(pictures, infer_obj_thresh=0.4)
    command = ["import", "--format", "coco", "--images", str(pictures), "--infer-obj-thresh", "0.4"]
    annotations = ["--annotations", str(out / "coco_results.json")]
    assert cli.run([*command, *annotations, "--output-root", str(tmp_path / "again")]) == 0
    theirs, ours = (
        {
            label["source_image"]: sorted(label["polyp_labels"], key=lambda one: one["score"])
            for path in (tmp_path / name).glob("run_*/labels/*.json")
            for label in [json.loads(path.read_text())]
        }
        for name in ("again", "runs")
    )
    assert theirs.keys() == ours.keys()
    for name, polyps in ours.items():
        assert len(polyps) > 10
        for one, other in zip(polyps, theirs[name], strict=True):
            assert (other["label"], other["source"]) == (one["label"], "predicted")
            assert other["score"] == pytest.approx(one["score"], abs=1e-3)
            assert other["bbox_px"] == pytest.approx(one["bbox_px"], abs=0.05)


def test_a_persons_labels_of_the_video_take_the_place_of_predictions(tmp_path, predict):
    predict(still_video(tmp_path / "clip.avi"))
    [run] = (tmp_path / "runs").iterdir()
    task = "<mode>interpolation</mode><start_frame>0</start_frame><stop_frame>11</stop_frame>"
    task += "<original_size><width>120</width><height>80</height></original_size>"
    box = '<box frame="3" outside="0" keyframe="1" xtl="1" ytl="2" xbr="30" ybr="40"/>'
    box += '<box frame="4" outside="1" keyframe="1" xtl="1" ytl="2" xbr="30" ybr="40"/>'
    track = f'<track id="0" label="polyp">{box}</track>'
    meta = f"<meta><task>{task}<source>clip.avi</source></task></meta>"
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{meta}{track}</annotations>")
    command = ["import", "--format", "cvat", "--annotations", str(path), "--onto", str(run)]
    assert cli.run(command) == 0
    index = index_root(run)
    assert [len(frame.boxes) for frame in index.frames] == [number == 3 for number in range(12)]
    assert index.dropped == {}
