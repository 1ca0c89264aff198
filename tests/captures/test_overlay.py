import numpy as np
import pytest

from endoforge.captures.config import OverlayConfig
from endoforge.captures.overlay import draw_boxes, overlay_labels
from endoforge.captures.pictures import read_picture
from endoforge.core.errors import UserError

GREEN = (0, 255, 0)


def test_the_outline_lies_just_inside_the_box():
    image = np.zeros((10, 20, 3), np.uint8)
    boxes = np.array([[0.25, 0.2, 0.75, 0.8]], np.float32)  # pixels 5 to 14 across, 2 to 7 down
    expected = image.copy()
    expected[2:8, 5:15] = GREEN
    expected[3:7, 6:14] = 0
    drawn = draw_boxes(image, boxes, GREEN)
    assert np.array_equal(drawn, expected)
    assert not image.any()


def test_a_box_of_the_whole_picture_and_one_of_no_pixel_are_drawn_inside_it():
    image = np.zeros((10, 20, 3), np.uint8)
    whole = draw_boxes(image, np.array([[0, 0, 1, 1]], np.float32), GREEN)
    assert (whole[[0, -1]] == GREEN).all()
    assert (whole[:, [0, -1]] == GREEN).all()
    tiny = draw_boxes(image, np.array([[0.5, 0.5, 0.501, 0.501]], np.float32), GREEN)
    assert np.argwhere(tiny.any(axis=2)).tolist() == [[5, 10]]


def test_captions_are_written():
    image = np.zeros((60, 90, 3), np.uint8)
    boxes = np.array([[0.1, 0.5, 0.9, 0.9], [0.1, 0, 0.9, 0.9]], np.float32)
    plain = draw_boxes(image, boxes, GREEN)
    captioned = draw_boxes(image, boxes, GREEN, ["polyp", "0.93"])
    assert np.count_nonzero(captioned) > np.count_nonzero(plain)


def test_a_run_is_drawn_beside_its_images(foreign_run, make_polyp):
    run = foreign_run("run_1")
    run.frame(0, [make_polyp(norm=[0, 0, 0.5, 0.5]), make_polyp(px=[20, 10, 40, 20])])
    run.frame(1, [])
    run.label(2, "images/none.png", [])
    run.frame(3, [])
    (run.path / "images/frame_00003.png").write_bytes(b"not a picture")

    report = overlay_labels(OverlayConfig(run=str(run.path)))

    drawn = sorted(path.name for path in (run.path / "overlays").iterdir())
    assert drawn == ["frame_00000.png", "frame_00001.png"]
    original = read_picture(run.path / "images/frame_00001.png")
    assert np.array_equal(read_picture(run.path / "overlays/frame_00001.png"), original)
    assert report.lines()[0] == f"drew 2 boxes on 2 frames in {run.path / 'overlays'}"
    assert report.skipped.counts == {"frame: image missing": 1, "frame: image unreadable": 1}


def test_another_folder_can_be_named_but_not_the_images(foreign_run, tmp_path):
    run = foreign_run("run_1")
    run.frame(0, [])
    overlay_labels(OverlayConfig(run=str(run.path), out=str(tmp_path / "drawn")))
    assert (tmp_path / "drawn/frame_00000.png").is_file()
    before = (run.path / "images/frame_00000.png").read_bytes()
    with pytest.raises(UserError, match="holds the run's own images"):
        overlay_labels(OverlayConfig(run=str(run.path), out=str(run.path / "images")))
    assert (run.path / "images/frame_00000.png").read_bytes() == before


def test_a_root_of_several_runs_is_refused(foreign_run):
    foreign_run("run_1")
    root = foreign_run("run_2").path.parent
    with pytest.raises(UserError, match=r"holds 2 runs .*name one run"):
        overlay_labels(OverlayConfig(run=str(root)))
