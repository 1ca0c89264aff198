"""CVAT's labels of a video onto the run of that video: each box on its frame, or on none."""

import json

import cv2
import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.cli import run
from endoforge.core.errors import Resumable, UserError
from endoforge.core.files import write_json_atomic
from endoforge.formats import video_labels
from endoforge.formats.config import ImportConfig
from endoforge.formats.importing import run_import
from endoforge.formats.video_labels import label_video_run

from .test_cvat import image, images_file, shape, track, video_file

FPS, FRAMES = 10, 24
META = "<original_size><width>64</width><height>48</height></original_size>"


@pytest.fixture
def clip(tmp_path):
    """Frame n is as grey as 10 n."""
    return write_clip(tmp_path / "clip.avi")


def write_clip(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 48))
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return path


def import_clip(clip, **settings):
    root = clip.with_name("real")
    config = ImportConfig(video=str(clip), output_root=str(root), **settings)
    return root / run_import(config).runs[0].name


def put(run, text, name="annotations.xml", **settings):
    file = run.parent.parent / name
    file.write_text(text)
    config = ImportConfig(format="cvat", annotations=str(file), onto=str(run), **settings)
    return label_video_run(config)


def labels(run):
    """Of each frame with a label: its time, and class, polyp_id and box in pixels of what shows."""
    found = {}
    for frame in index_root(run.parent).frames:
        boxes = (frame.boxes * np.array([64, 48] * 2)).round(3).tolist()
        rows = zip(frame.classes, frame.polyp_ids, map(tuple, boxes), strict=True)
        found[frame.frame_id] = (frame.seconds, list(rows))
    return found


BOX = (10, 20, 40, 25)


def test_boxes_land_on_the_frames_of_their_numbers(clip):
    run = import_clip(clip)
    tracks = track(shape(3), shape(4), shape(5, outside=1), id=4), track(shape(4), id=7, label="a")
    report = put(run, video_file(*tracks, start=2, stop=5))
    assert (report.written, report.empty, report.num_frames) == (4, 2, 24)
    assert labels(run) == {
        2: (0.2, []),
        3: (0.3, [("polyp", 4, BOX)]),
        4: (0.4, [("polyp", 4, BOX), ("a", 7, BOX)]),
        5: (0.5, []),
    }
    assert report.left_out.counts == {"frame: outside of the task, so it stays without a label": 20}
    assert index_root(run.parent).dropped == {"image: no label names it": 20}


def test_a_run_of_fewer_frames_a_second_gets_the_boxes_of_its_own(clip):
    """At 2.5 frames/s, frames 0, 4, 8, ... of the video are the run's 0, 1, 2, ..."""
    run = import_clip(clip, fps=2.5)
    boxes = [shape(number, corners=(number, 0, 30, 40)) for number in range(4, 10)]
    report = put(run, video_file(track(*boxes), stop=23))
    assert labels(run) == {
        **{frame: (pytest.approx(0.4 * frame), []) for frame in (0, 3, 4, 5)},
        1: (0.4, [("polyp", 1, (4, 0, 30, 40))]),
        2: (0.8, [("polyp", 1, (8, 0, 30, 40))]),
    }
    assert report.left_out.counts == {"label: of a frame that the run or the task doesn't have": 4}


def test_frames_between_the_steps_of_a_task_were_seen_by_nobody(clip):
    run = import_clip(clip)
    step = META + "<frame_filter>step=5</frame_filter>"
    file = video_file(track(shape(5), shape(10), shape(15, outside=1)), stop=17, meta=step)
    assert put(run, file).written == 4
    assert {frame: len(boxes) for frame, (_, boxes) in labels(run).items()} == {
        0: 0,
        5: 1,
        10: 1,
        15: 0,
    }


def test_boxes_of_a_larger_copy_are_scaled_and_of_another_shape_refused(clip):
    run = import_clip(clip)
    twice = META.replace("64", "128").replace("48", "96")
    put(run, video_file(track(shape(0), id=1), stop=0, meta=twice))
    assert labels(run) == {0: (0, [("polyp", 1, (5, 10, 20, 12.5))])}
    with pytest.raises(UserError, match="of frames of 64x64, and the run's are 64x48"):
        put(run, video_file(track(shape(1)), stop=1, meta=META.replace("48", "64")))


def test_a_video_exported_for_images_lands_by_the_numbers_in_names(clip):
    run = import_clip(clip, fps=2.5)
    box = '<box label="IIa" xtl="1" ytl="2" xbr="30" ybr="40"/>'
    images = "".join(
        image(f"frame_{number:06d}", *([box] if number == 4 else [])).replace(
            'id="0"', f'id="{number}"'
        )
        for number in (0, 4, 6)
    )
    assert put(run, video_file(images, stop=23)).written == 2
    assert labels(run) == {0: (0, []), 1: (0.4, [("IIa", None, (1, 2, 30, 40))])}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (video_file(track(shape(0))).replace("clip.mp4", "other.mp4"), "of the video other.mp4"),
        (video_file(track(shape(0))).replace("<stop_frame>4</stop_frame>", ""), "stop_frame"),
        (images_file(image("frame_000001.png")), "names no video"),
        (video_file(image("frame_000001")), "one number in both"),
    ],
)
def test_a_file_that_isnt_plainly_of_this_video_is_refused(clip, text, words):
    run = import_clip(clip)
    with pytest.raises(UserError, match=words):
        put(run, text)
    assert not list((run / "labels").iterdir())


def test_the_same_again_adds_nothing_and_goes_on_where_it_was_cut_short(clip, monkeypatch):
    run = import_clip(clip)
    file = video_file(track(shape(0), shape(1), id=0), track(shape(3), id=1))
    count = iter(range(3))

    def until_stopped(path, value):
        if next(count) == 2:
            raise KeyboardInterrupt
        write_json_atomic(path, value)

    monkeypatch.setattr(video_labels, "write_json_atomic", until_stopped)
    with pytest.raises(Resumable):
        put(run, file)
    monkeypatch.undo()
    assert len(labels(run)) == 2
    report = put(run, file)
    assert (report.there, report.written) == (2, 3)
    whole = labels(run)
    assert {frame: [row[1] for row in rows] for frame, (_, rows) in whole.items()} == {
        0: [1],
        1: [1],
        2: [],
        3: [2],
        4: [],
    }
    assert put(run, file).there == 5
    assert labels(run) == whole


def test_no_label_is_written_over(clip):
    run = import_clip(clip)
    put(run, video_file(track(shape(1), id=1), stop=2))
    with pytest.raises(UserError, match=r"frame_00001\.json: is there and says something else"):
        put(run, video_file(track(shape(1, corners=(0, 0, 9, 9)), id=1), stop=9))
    assert len(labels(run)) == 3


def test_a_label_that_somebody_writes_meanwhile_stays(clip, monkeypatch):
    run = import_clip(clip)

    def as_others_write(path, value):
        path.with_name("frame_00001.json").write_text("{}")
        write_json_atomic(path, value)

    monkeypatch.setattr(video_labels, "write_json_atomic", as_others_write)
    with pytest.raises(UserError, match=r"frame_00001\.json: is there"):
        put(run, video_file(track(shape(1), id=1)))
    assert (run / "labels/frame_00001.json").read_text() == "{}"


def test_labels_that_join_or_part_polyps_say_something_else(clip):
    run = import_clip(clip)
    apart = video_file(track(shape(1), id=1), track(shape(3), id=2))
    put(run, apart)
    with pytest.raises(UserError, match=r"frame_00003\.json: is there and says something else"):
        put(run, video_file(track(shape(1), shape(2, outside=1), shape(3), id=1)))
    assert put(run, apart.replace('id="2"', 'id="9"')).there == 5


def test_polyps_of_another_task_of_the_video_have_other_names(clip):
    """CVAT counts the tracks of each task from 0; the first file again is known all the same."""
    run = import_clip(clip)
    one = video_file(track(shape(1), id=0), track(shape(2), id=1))
    other = video_file(track(shape(11), id=0), track(shape(12), id=1), start=10, stop=14)
    put(run, one)
    put(run, other)
    ids = {frame: [row[1] for row in rows] for frame, (_, rows) in labels(run).items() if rows}
    assert ids == {1: [1], 2: [2], 11: [3], 12: [4]}
    assert put(run, one).there == put(run, other).there == 5


def test_the_video_itself_may_be_gone_but_not_the_numbers_of_the_frames(clip):
    run = import_clip(clip, fps=5)
    clip.unlink()
    file = video_file(track(shape(2), id=1))
    assert put(run, file).written == 3
    times = run / "frame_times.jsonl"
    lines = times.read_text().splitlines()
    for broken in ([], [*lines[:-1], lines[-2].replace('"frame_id": 10', '"frame_id": 11')]):
        times.write_text("".join(f"{line}\n" for line in broken))
        with pytest.raises(UserError, match="doesn't say which frames of the video it has"):
            put(run, file)


def test_what_convert_wrote_of_a_run_counts_that_runs_frames_and_is_refused(clip):
    """With --fps, its frame 1 is another one than the video's."""
    run = import_clip(clip, fps=5)
    file = video_file(track(shape(1), id=1)).replace("clips/clip.mp4", run.name)
    with pytest.raises(UserError, match=r"pictures that `endoforge convert` wrote .* --images"):
        put(run, file)


def test_what_a_person_says_takes_the_place_of_predictions_alone(clip):
    run = import_clip(clip)
    put(run, video_file(track(shape(1), id=1), stop=2))
    for number, said in ((0, ""), (1, ""), (2, '"reviewed": true,')):
        label = run / f"labels/frame_0000{number}.json"
        text = label.read_text().replace('"image":', f'"source": "predicted", {said} "image":')
        label.write_text(text)
    report = put(run, video_file(track(shape(0), id=1), stop=2))
    assert (report.written, report.replaced, report.there) == (2, 2, 1)
    assert "  2 of them take the place of a prediction" in report.lines()
    assert labels(run) == {0: (0, [("polyp", 1, BOX)]), 1: (0.1, []), 2: (0.2, [])}
    kept = (run / "labels/frame_00002.json").read_text()
    (run / "labels/frame_00000.json").unlink()
    with pytest.raises(UserError, match=r"frame_00002\.json: is there and says something else"):
        put(run, video_file(track(shape(0), shape(2), id=1), stop=2))
    assert (run / "labels/frame_00002.json").read_text() == kept


def test_classes_can_be_renamed_and_a_frame_with_a_bad_shape_has_no_label(clip):
    run = import_clip(clip)
    line = shape(2, tag="polyline")
    file = video_file(track(shape(0), id=1, label="a"), track(line, id=2), stop=2)
    report = put(run, file, class_map="a=adenoma")
    assert labels(run) == {0: (0, [("adenoma", 1, BOX)]), 1: (0.1, [])}
    assert report.left_out.counts["frame: a shape that has no box"] == 1
    with pytest.raises(UserError, match="a shape that has no box"):
        put(run, file, class_map="a=adenoma", strict=True)


def test_only_a_whole_run_of_a_video_gets_labels(clip, make_run, tmp_path):
    other = make_run(tmp_path / "captures", [[]])
    with pytest.raises(UserError, match="not a run that `endoforge import --video` made"):
        put(other, video_file(track(shape(0))))
    run = import_clip(clip)
    manifest = json.loads((run / "run_manifest.json").read_text())
    manifest["endoforge"]["complete"] = False
    (run / "run_manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="its import was cut short"):
        put(run, video_file(track(shape(0))))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "coco"}, "takes --format cvat"),
        ({"annotations": None}, "takes --format cvat and --annotations"),
        ({"images": "x"}, "--images: says nothing of a run"),
        ({"output_root": "x"}, "--output-root: says nothing of a run"),
        ({"unlabelled": "background"}, "--unlabelled: says nothing of a run"),
    ],
)
def test_flags_that_say_nothing_beside_onto_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        ImportConfig(**{"format": "cvat", "annotations": "a.xml", "onto": "run", **settings})


def test_by_the_command_line(clip, capsys):
    run_dir = import_clip(clip)
    clip.with_suffix(".xml").write_text(video_file(track(shape(1))))
    line = ["import", "--format", "cvat", "--annotations", str(clip.with_suffix(".xml"))]
    assert run([*line, "--onto", str(run_dir)]) == 0
    assert f"{run_dir}: labels for 5 of 24 frames came in" in capsys.readouterr().out
