"""Runs for programs: what an index holds, with pictures and with all that labels say."""

import cv2
import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.captures.read_runs import read_runs
from endoforge.core.errors import UserError

LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.25, 1.0, 0.75]


def test_frames_come_in_order_with_pictures_boxes_and_kinds(foreign_run, make_polyp):
    second, first = foreign_run("run_10"), foreign_run("run_9")
    second.frame(0, [])
    known = {"paris": "Ip", "diameter_mm": 7.5, "polyp_id": 12}
    first.frame(3, [make_polyp(norm=LEFT) | known])
    hidden, flat = make_polyp(), make_polyp(px=[20, 5, 40, 15]) | {"label": "adenoma"}
    first.frame(1, [hidden, flat, make_polyp(norm=LEFT)])
    frames = list(read_runs(first.path.parent))
    assert [(frame.run, frame.frame_id) for frame in frames] == [
        ("run_9", 1),
        ("run_9", 3),
        ("run_10", 0),
    ]
    one, other, empty = frames
    assert one.image.dtype == np.uint8
    assert one.image.shape == (20, 40, 3)
    stored = cv2.imread(str(first.path / "images/frame_00001.png"))
    assert stored is not None
    assert np.array_equal(one.image, stored[..., ::-1])
    assert one.boxes.dtype == np.float32
    assert one.boxes.tolist() == [RIGHT, LEFT]
    assert one.classes == ("adenoma", "polyp")
    assert (one.kinds, one.polyp_ids) == ((None, None), (None, None))
    assert (len(one.polyps), len(one.label.polyp_labels)) == (2, 3)
    assert one.polyps[0].label == "adenoma"
    assert (other.kinds, other.polyps[0].diameter_mm) == (("Ip",), 7.5)
    assert (other.polyp_ids, other.seconds) == ((12,), 0.1)
    assert empty.boxes.shape == (0, 4)
    assert (empty.classes, empty.kinds, empty.polyps) == ((), (), ())


def test_they_are_the_frames_of_an_index(foreign_run, make_polyp):
    run = foreign_run("run_1")
    for number in range(3):
        run.frame(number, [make_polyp(norm=LEFT) | {"paris": "Is"}])
    run.frame(3, [make_polyp(norm=LEFT)])
    for field in ("label", "paris"):
        index = index_root(run.path, label_field=field).frames
        frames = list(read_runs(str(run.path), label_field=field))
        assert [(frame.label_path, frame.classes) for frame in frames] == [
            (record.label_path, record.classes) for record in index
        ]
        assert all(
            np.array_equal(frame.boxes, record.boxes)
            for frame, record in zip(frames, index, strict=True)
        )


def test_what_is_left_out_is_told_in_the_end(foreign_run, make_polyp, caplog):
    run = foreign_run("run_1")
    run.frame(0, [])
    run.frame(1, [make_polyp(norm=[0.5, 0, 0.25, 1])])
    run.frame(2, [])
    (run.path / "images/frame_00002.png").write_bytes(b"no picture")
    assert [frame.frame_id for frame in read_runs(run.path)] == [0]
    assert "left out 1 x frame: a box with reversed corners, such as run_1/labels" in caplog.text
    assert "left out 1 x frame: image unreadable" in caplog.text
    with pytest.raises(UserError, match=r"frame_00001\.json: frame: a box with reversed corners"):
        list(read_runs(run.path, strict=True))


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no capture runs in"):
        next(read_runs(tmp_path))


def test_more_truth_is_read_when_asked_for(foreign_run):
    run = foreign_run("run_1")
    run.frame(0, [])
    run.frame(1, [])
    depth = np.arange(800, dtype=np.uint16).reshape(20, 40) * 70
    normals = np.random.default_rng(0).integers(0, 255, (20, 40, 3), np.uint8)
    for kind, picture in (("depth", depth), ("normals", normals[..., ::-1])):
        (run.path / kind).mkdir()
        assert cv2.imwrite(str(run.path / kind / "frame_00000.png"), picture)
    (run.path / "depth/frame_00001.png").write_bytes(b"cut short")
    first, second = read_runs(run.path)
    first_depth, first_normals = first.extra("depth"), first.extra("normals")
    assert first_depth is not None
    assert first_depth.dtype == np.uint16
    assert np.array_equal(first_depth, depth)
    assert first_normals is not None
    assert np.array_equal(first_normals, normals)
    assert first.extra("instance") is None
    with pytest.raises(UserError, match=r"depth/frame_00001\.png: image unreadable"):
        second.extra("depth")
