"""`detect`: what it looks at, what it writes, what it can't read."""

import json
import os
import shutil
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import endoforge
from endoforge import cli
from endoforge.captures.pictures import read_picture
from endoforge.captures.video import Video
from endoforge.core.errors import UserError
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.inference.config import DetectConfig
from endoforge.inference.material import Material
from endoforge.inference.results import Results
from tests.inference.conftest import SIZE, drawn_in, lines_of, noise, save, save_video

NOT_SURELY = "picture: no image of --annotations is surely it, so not in COCO results"


def test_every_picture_has_a_line_with_what_the_detector_finds_in_it(pictures, detect, lively):
    report, out = detect(pictures, infer_obj_thresh=0.4)
    detector = endoforge.load_detector(lively)
    detector.set_thresholds(objectness=0.4, iou=0.5)
    records = lines_of(out)
    assert [record["file"] for record in records] == ["a.png", "b/1.png", "b/2.jpg"]
    for record in records:
        found = detector.detect(read_picture(pictures / record["file"]))
        assert (record["width"], record["height"]) == SIZE
        assert len(record["detections"]) == len(found) > 0
        for one, box, score, number in zip(
            record["detections"], found.boxes, found.scores, found.classes, strict=True
        ):
            assert one["label"] == ("flat", "stalked")[number]
            assert one["score"] == pytest.approx(score, abs=1e-3)
            assert one["bbox_norm"] == pytest.approx(box, abs=1e-3)
            assert one["bbox_px"] == pytest.approx(box * (SIZE * 2), abs=0.2)
    assert report.found == sum(len(record["detections"]) for record in records)
    assert report.left_out.counts == {"picture: image unreadable": 1}
    assert "b/3.png" in report.lines()[-1]
    assert "frames/s" in report.lines()[1]


def test_coco_results_hold_low_scores_too_and_pycocotools_reads_them(pictures, detect):
    report, out = detect(pictures, infer_obj_thresh=0.9)
    truth = COCO(str(out / "coco_images.json"))
    results = truth.loadRes(str(out / "coco_results.json"))
    assert {one["file_name"] for one in truth.loadImgs(results.getImgIds())} == {
        "a.png",
        "b/1.png",
        "b/2.jpg",
    }
    scores = [one["score"] for one in results.loadAnns(results.getAnnIds())]
    assert sum(score >= 0.9 for score in scores) == report.found > 0
    assert 0.01 <= min(scores) < 0.9
    first = lines_of(out)[0]["detections"][0]
    best = results.loadAnns(results.getAnnIds(imgIds=[1]))[0]
    x0, y0, x1, y1 = first["bbox_px"]
    assert best["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=0.02)


def test_coco_results_take_the_numbers_of_an_annotation_file(pictures, detect, tmp_path):
    images = [{"id": 70, "file_name": "b/1.png"}, {"id": 71, "file_name": "elsewhere/a.png"}]
    categories = [{"id": 5, "name": "stalked"}, {"id": 9, "name": "other"}]
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"images": images, "categories": categories}))
    report, out = detect(pictures, annotations=str(path))
    results = json.loads((out / "coco_results.json").read_text())
    assert {one["image_id"] for one in results} == {70, 71}
    assert {one["category_id"] for one in results} == {5}
    counts = report.left_out.counts
    assert counts[NOT_SURELY] == 1
    assert counts["detection: flat is no category of --annotations"] > 0
    path.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "Polyp"}]}))
    with pytest.raises(UserError, match="names Polyp, the detector flat, stalked"):
        detect(pictures, annotations=str(path))


def test_pictures_are_drawn_beside_each_other_as_they_lie(pictures, detect):
    _, out = detect(pictures)
    assert drawn_in(out) == ["a.png", "b/1.png", "b/2.jpg"]
    before, after = (read_picture(folder / "a.png") for folder in (pictures, out / "drawn"))
    assert before.shape == after.shape
    assert 0 < np.mean(np.any(before != after, axis=2)) < 0.9


def test_drawing_can_be_left_out_or_kept_to_what_was_found(pictures, detect):
    _, out = detect(pictures, draw="none")
    assert not (out / "drawn").exists()
    _, out = detect(pictures, draw="found", infer_obj_thresh=1.0)
    assert not (out / "drawn").exists()
    _, out = detect(pictures, draw="found")
    assert len(drawn_in(out)) == 3


def test_a_video_is_looked_at_and_drawn_frame_by_frame(video, detect):
    report, out = detect(video)
    records = lines_of(out)
    assert [(record["file"], record["frame"]) for record in records] == [
        ("clip.avi", number) for number in range(6)
    ]
    assert [record["seconds"] for record in records] == pytest.approx([n / 10 for n in range(6)])
    drawn = cv2.VideoCapture(str(out / "drawn" / "clip.avi.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert report.pictures == 6
    report, out = detect(video, fps=5)
    assert [record["frame"] for record in lines_of(out)] == [0, 2, 4]
    drawn = cv2.VideoCapture(str(out / "drawn" / "clip.avi.mp4"))
    assert drawn.get(cv2.CAP_PROP_FPS) == 5  # as fast as the video itself
    images = json.loads((out / "coco_images.json").read_text())["images"]
    assert [one["file_name"] for one in images] == ["clip.avi#0", "clip.avi#2", "clip.avi#4"]


def test_what_recorders_call_videos_is_looked_at(tmp_path, detect):
    folder = tmp_path / "in"
    save_video(tmp_path / "clip.avi", 2)
    for name in ("a.MTS", "b.m2ts", "c.vob", "d.asf", "e.flv", "f.3gp", "g.mxf"):
        save(folder / name[0] / "x.png")
        shutil.copy(tmp_path / "clip.avi", folder / name)
    frames = [Image.fromarray(noise(number)) for number in range(3)]
    frames[0].save(folder / "h.gif", save_all=True, append_images=frames[1:], duration=100)
    report, _ = detect(folder, draw="none")
    assert report.pictures == 7 * (1 + 2) + 3


def test_batches_change_nothing(pictures, video, detect):
    _, out = detect(pictures, video, batch_size=1)
    one = lines_of(out)
    _, out = detect(pictures, video, batch_size=4)
    assert len(one) == 9
    for was, now in zip(one, lines_of(out), strict=True):
        assert was["file"] == now["file"]
        assert len(was["detections"]) == len(now["detections"])


def test_of_capture_runs_the_images_are_taken(tmp_path, detect):
    run = tmp_path / "captures" / "run_1"
    for folder in ("images", "overlays", "depth"):
        (run / folder).mkdir(parents=True)
        cv2.imwrite(str(run / folder / "frame_00000.png"), noise(1))
    (run / "run_manifest.json").write_text("{}")
    cv2.imwrite(str(tmp_path / "captures" / "loose.png"), noise(2))
    _, out = detect(tmp_path / "captures")
    assert [one["file"] for one in lines_of(out)] == ["loose.png", "run_1/images/frame_00000.png"]


def test_files_of_one_name_in_several_folders_stay_apart(pictures, tmp_path):
    shutil.copytree(pictures / "b", tmp_path / "more")
    paths = (pictures / "a.png", pictures, tmp_path / "more" / "1.png")
    material = Material(tuple(map(str, paths)), None)
    assert list(material.pictures) == [
        "pictures/a.png",
        "pictures/b/1.png",
        "pictures/b/2.jpg",
        "pictures/b/3.png",
        "more/1.png",
    ]


def test_a_video_that_cant_be_read_is_counted_and_if_it_is_all_an_error(pictures, detect, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    report, _ = detect(pictures, broken)
    assert report.left_out.counts["video: unreadable"] == 1
    assert report.pictures == 3
    with pytest.raises(UserError, match=r"no picture can be read: 1 x video: unreadable"):
        detect(broken)


def test_the_heuristic_detector_needs_no_weights(pictures, detect):
    report, out = detect(pictures, detector="heuristic", checkpoint=None)
    found = HeuristicDetector().detect(read_picture(pictures / "a.png"))
    assert len(lines_of(out)[0]["detections"]) == len(found)
    assert "heuristic" in report.detector


def test_without_a_checkpoint_it_is_the_packaged_one_or_an_error_with_the_mend(
    pictures, detect, packaged, lively
):
    with pytest.raises(UserError, match=r"no weights of its own.*--checkpoint.*--detector heur"):
        detect(pictures, checkpoint="packaged")
    packaged.parent.mkdir()
    shutil.copy(lively, packaged)
    for checkpoint in ("packaged", None):
        report, _ = detect(pictures, checkpoint=checkpoint)
        assert report.found > 0
        assert "demo.safetensors" in report.detector


def test_ctrl_c_keeps_what_was_found_so_far_whole(pictures, tmp_path, lively, monkeypatch, capsys):
    add = Results.add

    def interrupted(self, picture, *rest):
        if self.pictures == 2:
            raise KeyboardInterrupt
        add(self, picture, *rest)

    monkeypatch.setattr(Results, "add", interrupted)
    out = tmp_path / "out"
    words = ["detect", pictures, "--checkpoint", lively, "--output", out, "--device", "cpu"]
    assert cli.run([str(word) for word in words]) == 130
    assert "ended early" in capsys.readouterr().err
    assert len(lines_of(out)) == 2
    assert json.loads((out / "coco_results.json").read_text())
    assert not list(out.glob(".*"))


def test_a_run_of_nothing_that_can_be_read_leaves_earlier_results(pictures, detect):
    _, out = detect(pictures)
    before = (out / "detections.jsonl").read_bytes(), drawn_in(out)
    with pytest.raises(UserError, match=r"no picture can be read: 1 x picture: image unreadable"):
        detect(pictures / "b/3.png")
    assert ((out / "detections.jsonl").read_bytes(), drawn_in(out)) == before
    assert not list(out.glob(".*"))


def test_a_video_that_stops_early_is_said(tmp_path, detect):
    data = save_video(tmp_path / "clip.avi", 30).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: len(data) // 2])
    report, _ = detect(cut)
    assert 10 < report.pictures < 20
    reason = "frame: not decoded, of about 30 that the file's header tells"
    assert report.left_out.counts == {reason: 30 - report.pictures}
    place = f"cut.avi (from {report.pictures / 10:.2f} s on)"
    assert (report.left_out.examples[reason], report.incomplete) == ([place], True)


@pytest.mark.parametrize(("share", "code"), [(1, 0), (0.5, 3), (0, 3)])
def test_the_exit_code_says_that_a_part_of_a_video_is_missing(tmp_path, lively, share, code):
    (tmp_path / "of").mkdir()
    save_video(tmp_path / "of/whole.avi")
    data = save_video(tmp_path / "of/other.avi", 30).read_bytes()
    (tmp_path / "of/other.avi").write_bytes(data[: int(len(data) * share)])
    out = ["--output", str(tmp_path / "out"), "--checkpoint", str(lively), "--device", "cpu"]
    assert cli.run(["detect", str(tmp_path / "of"), *out]) == code


def test_what_is_damaged_in_the_middle_is_passed_over_and_counted(tmp_path, detect):
    clip = save_video(tmp_path / "clip.avi", 10)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(clip.read_bytes())
    for packet in packets[3:5]:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    clip.write_bytes(data)
    report, out = detect(clip, draw="none")
    assert [one["frame"] for one in lines_of(out)] == [0, 1, 2, 5, 6, 7, 8, 9]
    reason = "frame: not decoded, of about 10 that the file's header tells"
    assert report.left_out.counts == {reason: 2}


def test_a_drawn_video_has_the_times_of_its_source(tmp_path, detect):
    """Of a variable rate: 10 frames in half a second, then 10 in two."""
    ticks = [*range(0, 500, 50), *range(500, 2500, 200)]
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(noise(number), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _, out = detect(clip)
    records = lines_of(out)
    assert [record["frame"] for record in records] == list(range(20))
    assert [record["seconds"] for record in records] == [tick / 1000 for tick in ticks]
    images = json.loads((out / "coco_images.json").read_text())["images"]
    assert len({one["file_name"] for one in images}) == 20
    drawn = Video(out / "drawn/clip.mkv.mp4")
    assert [seconds for _, seconds, _ in drawn.frames()] == pytest.approx(
        [tick / 1000 for tick in ticks], abs=1e-3
    )
    assert drawn.duration == pytest.approx(2.5, abs=1e-3)


def test_a_picture_that_its_exif_turns_is_noted(tmp_path, detect):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(0)).save(tmp_path / "turned.jpg", exif=exif)
    report, out = detect(tmp_path / "turned.jpg")
    [record] = lines_of(out)
    assert (record["width"], record["height"]) == SIZE
    line = "note: 1 x picture: looked at as stored, not turned as its EXIF says, such as turned.jpg"
    assert line in report.lines()


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_names_that_arent_utf8_are_printed_with_escapes(tmp_path, lively, capsys):
    folder = tmp_path / "pictures"
    save(folder / "\u3000é.png")  # which a terminal doesn't show, and UTF-8 holds
    save(folder / os.fsdecode(b"\xff.png"))
    (folder / os.fsdecode(b"\xfe.png")).write_bytes(b"not a picture")
    video = folder / os.fsdecode(b"\xfd.avi")
    save_video(folder / "clip.avi").rename(video)
    out = tmp_path / "out"
    flags = ["--checkpoint", str(lively), "--output", str(out), "--device", "cpu"]
    assert cli.run(["detect", str(folder), *flags]) == 0
    files = [one["file"] for one in lines_of(out)]
    assert files == ["\u3000é.png", "\\xff.png"] + 6 * ["\\xfd.avi"]
    assert sorted(drawn_in(out)) == sorted(["\u3000é.png", "\\xff.png", "\\xfd.avi.mp4"])
    printed = capsys.readouterr().out
    printed.encode()
    assert "image unreadable, such as \\xfe.png" in printed
    odd_out = tmp_path / os.fsdecode(b"\xff")
    assert cli.run(["detect", str(video), *flags[:2], "--output", str(odd_out)]) == 0
    capsys.readouterr().out.encode()
    assert len(lines_of(odd_out)) == 6
    assert Video(odd_out / "drawn/\\xfd.avi.mp4").num_frames == 6


def test_it_always_says_once_which_weights_it_uses(pictures, lively, detect, packaged, caplog):
    caplog.set_level("INFO")
    report, _ = detect(pictures)
    what = f"weights {lively}: tinydet for flat, stalked, input 96x64, on cpu"
    said = [*report.lines(), *caplog.text.splitlines()]
    assert [line.startswith("detector: ") for line in said if what in line] == [True]
    packaged.parent.mkdir()
    shutil.copy(lively, packaged)
    report, _ = detect(pictures, checkpoint="packaged")
    assert report.detector.startswith(f"packaged weights ({packaged}): tinydet for flat, stalked")


def test_what_isnt_there_is_an_error(detect, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such picture, video or folder"):
        detect("nowhere")
    with pytest.raises(UserError, match="no picture or video in"):
        detect(tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"paths": ()}, "name at least one picture"),
        ({"output": ""}, "--output"),
        ({"infer_obj_thresh": 2}, "--infer-obj-thresh 2"),
        ({"infer_iou_thresh": -1}, "--infer-iou-thresh -1"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"fps": -1}, "--fps -1"),
        ({"detector": "heuristic", "checkpoint": "a.safetensors"}, "has no weights"),
        ({"detector": "heuristic", "device": "cuda"}, "--device cuda: --detector heuristic"),
    ],
)
def test_settings_that_cant_be_meant(settings, words):
    with pytest.raises(UserError, match=words):
        DetectConfig(**{"paths": ("a.png",), **settings})
