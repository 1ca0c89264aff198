"""`detect` on what has an order: ids in lines and drawings, tracks.json, MOT text."""

import json

import cv2
import numpy as np
import pytest

import endoforge
from endoforge.captures.frame_times import FrameTime, append_frame_time
from endoforge.captures.video import Video
from endoforge.core.errors import UserError
from endoforge.inference.config import DetectConfig
from tests.inference.conftest import SIZE, lines_of, noise, save, save_video


def still_video(path, num_frames=12):
    """The same picture again and again, at 10 a second, so that the same is found in each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    for _ in range(num_frames):
        writer.write(noise(0))
    writer.release()
    return path


def capture_run(root, name="run_1", times=(0.0, 0.1, 0.2, 0.3), **manifest):
    """A run of one picture again and again, taken at these seconds; None: without a label."""
    run = root / name
    for number, seconds in enumerate(times):
        save(run / f"images/frame_{number:05d}.png", 0)
        label = {
            "frame_id": number,
            "sim_time": seconds,
            "unix_time": 0.0,
            "image": f"images/frame_{number:05d}.png",
            "image_present": True,
            "camera_active": True,
            "polyp_seed": 0,
            "polyp_labels": [],
        }
        if seconds is not None:
            (run / "labels").mkdir(exist_ok=True)
            (run / f"labels/frame_{number:05d}.json").write_text(json.dumps(label))
    given = {
        "schema_version": 1,
        "seed": 0,
        "output_root": str(root),
        "run_dir": str(run),
        "started_at_unix": 0.0,
        "max_frames": None,
        **manifest,
    }
    (run / "run_manifest.json").write_text(json.dumps(given))
    return run


def shown_since(score, frames_of_least=((0.665, 1), (0.5816, 2), (0.55, 3), (0.5343, 4))):
    """The frame from which a track of this score is shown, of a picture that stays the same.

    At 10 frames a second and a threshold of 0.4 the first one adds the share (score - 0.4) / 0.6,
    each other one 25 / 10 of it, and exp(-0.1 / 0.25) = 0.670 is left of what was there: 3.170,
    4.625, 5.600 and 6.254 shares in frames 1 to 4. What makes 1.4 of them is shown.
    """
    return next(frame for least, frame in frames_of_least if score >= least)


def tracks_of(out):
    return json.loads((out / "tracks.json").read_text())


def test_detections_say_whose_they_are_and_tracks_stand_beside_them(tmp_path, detect):
    report, out = detect(still_video(tmp_path / "clip.avi"), infer_obj_thresh=0.4)
    records = lines_of(out)
    last = records[-1]
    since = {one["track"]: shown_since(one["score"]) for one in last["tracks"]}
    assert set(since.values()) == {1, 2, 3, 4}
    for record in records:
        shown = [track for track, first in since.items() if first <= record["frame"]]
        assert [one["track"] for one in record["tracks"]] == shown
        assert {one["track"] for one in record["detections"]} == {*shown, None}
    owners = [one["track"] for one in last["detections"] if one["track"] is not None]
    assert sorted(owners) == [one["track"] for one in last["tracks"]]
    for track in last["tracks"]:
        [own] = [one for one in last["detections"] if one["track"] == track["track"]]
        assert track["matched"] is True
        assert track["score"] == pytest.approx(own["score"], abs=1e-3)
        assert track["bbox_px"] == pytest.approx(own["bbox_px"], abs=0.1)
        assert track["bbox_norm"] == pytest.approx(own["bbox_norm"], abs=1e-3)
        assert track["label"] == own["label"]
    assert report.tracks.count == len(last["tracks"]) > 0
    assert (
        f"{report.tracks.count} tracks in 1 sequence (videos, runs) of 0.0 minutes"
        in report.lines()
    )


def test_tracks_json_tells_of_each_video(tmp_path, detect):
    (tmp_path / "in").mkdir()
    still_video(tmp_path / "in/a.avi")
    save_video(tmp_path / "in/b.avi", 1)
    _, out = detect(tmp_path / "in", infer_obj_thresh=0.4)
    told = tracks_of(out)
    assert told["version"] == endoforge.__version__
    first, second = told["videos"]
    assert (first["file"], first["frames"], first["seconds"]) == ("a.avi", 12, 1.2)
    assert (first["width"], first["height"]) == SIZE
    # What is there for one frame is no track.
    assert (second["file"], second["frames"], second["tracks"]) == ("b.avi", 1, [])
    for track in first["tracks"]:
        frame = shown_since(track["peak_score"])
        assert track["begin"] == {"frame": frame, "seconds": frame / 10}
        assert track["end"] == {"frame": 11, "seconds": 1.1}
        assert track["frames"] == 12 - frame
        assert track["peak_score"] == track["best"]["score"] >= track["mean_score"] > 0.4


def test_pictures_have_no_tracks(pictures, detect):
    report, out = detect(pictures)
    assert tracks_of(out)["videos"] == []
    assert not any("track" in str(record) for record in lines_of(out))
    assert not any("tracks in" in line for line in report.lines())


def test_frames_that_are_left_out_leave_time_to_pass(tmp_path, detect):
    # Of 12 frames every fifth: 0, 0.5 and 1 s. A step counts as 0.2 s, 5 shares, and of what was
    # there exp(-2) = 0.135 is left: 5.135, then 5.695 shares, which for a score of 0.5636, and one
    # of 0.5475, are 1.4.
    _, out = detect(still_video(tmp_path / "clip.avi"), fps=2, infer_obj_thresh=0.4)
    first, second, third = lines_of(out)
    assert first["tracks"] == []
    scores = [one["score"] for one in third["tracks"]]
    assert min(scores) >= 0.5475
    assert len(second["tracks"]) == sum(score >= 0.5636 for score in scores) > 0


def test_a_drawn_video_shows_tracks(tmp_path, detect):
    _, out = detect(still_video(tmp_path / "clip.avi"), infer_obj_thresh=0.4)
    frames = [frame for _, _, frame in Video(out / "drawn/clip.avi.mp4").frames()]
    # Grey lines first, a colour a track from frames 1 to 4 on.
    changed = np.abs(frames[4].astype(int) - frames[0]).mean()
    assert changed > 5 * np.abs(frames[5].astype(int) - frames[4]).mean()


def test_mot_text_is_written_on_demand_and_cleared(tmp_path, detect):
    clip = still_video(tmp_path / "clip.avi")
    _, out = detect(clip, infer_obj_thresh=0.4)
    assert not (out / "mot").exists()
    _, out = detect(clip, infer_obj_thresh=0.4, mot=True)
    rows = [line.split(",") for line in (out / "mot/clip.avi.txt").read_text().splitlines()]
    told = [(record["frame"], one) for record in lines_of(out) for one in record["tracks"]]
    assert len(rows) == len(told) > 0
    for row, (frame, track) in zip(rows, told, strict=True):
        x0, y0, x1, y1 = track["bbox_px"]
        box = [x0, y0, x1 - x0, y1 - y0]
        assert [int(row[0]), int(row[1])] == [frame + 1, track["track"]]
        assert [float(one) for one in row[2:6]] == pytest.approx(box, abs=0.02)
        assert row[7:] == ["-1"] * 3
    report, _ = detect(clip)
    assert not (out / "mot").exists()
    assert f"removed from {out}/mot: 1 file of an earlier detect" in report.lines()


def test_a_folder_mot_that_holds_other_things_is_refused(video, detect, tmp_path):
    mine = tmp_path / "out/mot/clip.avi.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"^--output .*mot holds what detect hasn't written; name"):
        detect(video, mot=True)
    detect(video)
    assert mine.read_text() == "mine"


def test_a_capture_run_is_followed_by_its_labels_clock(tmp_path, detect):
    run = capture_run(tmp_path / "in", times=(5.0, 5.1, 5.2, 5.3))
    for given in (tmp_path / "in", run, run / "images"):
        _, out = detect(given, infer_obj_thresh=0.4)
        [told] = tracks_of(out)["videos"]
        assert (told["file"], told["frames"]) == ("run_1", 4)
        assert {track["begin"]["seconds"] for track in told["tracks"]} == {5.1, 5.2, 5.3}
        for track in told["tracks"]:
            frame = shown_since(track["peak_score"])
            assert track["begin"] == {"frame": frame, "seconds": 5 + frame / 10}
        assert [bool(record["tracks"]) for record in lines_of(out)] == [False] + [True] * 3
        assert "frame" not in lines_of(out)[0]  # they are pictures, and drawn as such
        assert (out / "drawn").is_dir()


def test_runs_have_tracks_of_their_own(tmp_path, detect):
    for name in ("run_1", "run_2"):
        capture_run(tmp_path / "in", name)
    _, out = detect(tmp_path / "in", infer_obj_thresh=0.4)
    first, second = tracks_of(out)["videos"]
    assert (first["file"], second["file"]) == ("run_1", "run_2")
    assert first["tracks"] == second["tracks"] != []


@pytest.mark.parametrize(
    "times", [(0.0, 0.0, 0.0), (0.2, 0.1, 0.0), (0.1, 0.1 + 1e-12, 0.1005), (0.0, None, None)]
)
def test_images_without_a_time_that_rises_arent_followed_and_counted(times, tmp_path, detect):
    report, out = detect(capture_run(tmp_path / "in", times=times))
    reason = "picture: not tracked, its run says no time that is later"
    assert report.notes.counts == {reason: 2}
    assert tracks_of(out)["videos"][0]["frames"] == 1
    assert ["tracks" in record for record in lines_of(out)] == [True, False, False]


def test_imported_runs_have_no_sure_clock(tmp_path, detect):
    origin = {"endoforge": {"import": {"format": "coco"}}}
    report, out = detect(capture_run(tmp_path / "in", **origin))
    assert tracks_of(out)["videos"] == []
    assert not report.notes.counts


def test_runs_of_videos_have_the_clock_of_their_video(tmp_path, detect):
    """They have no labels: their times stand in a file of their own."""
    origin = {"endoforge": {"import": {"format": "video"}}}
    run = capture_run(tmp_path / "in", times=(None, None, None), **origin)
    for number in (0, 1):
        append_frame_time(run, number, FrameTime(number / 5, 6 * number))
    report, out = detect(run)
    [video] = tracks_of(out)["videos"]
    assert (video["frames"], video["seconds"]) == (2, pytest.approx(0.4))
    assert report.notes.counts == {"picture: not tracked, its run says no time that is later": 1}


def test_the_flag_is_off_unless_given():
    assert DetectConfig(paths=("a.mp4",)).mot is False
