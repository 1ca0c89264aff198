import shutil
from itertools import groupby

import numpy as np
import pytest

from endoforge.captures.config import OverlayConfig
from endoforge.captures.overlay import (
    PREDICTED_COLOR,
    TRUTH_COLOR,
    draw_boxes,
    overlay_labels,
)
from endoforge.captures.pictures import read_picture
from endoforge.core.errors import UserError
from endoforge.core.marks import MARK_NAME

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

    report = overlay_labels(OverlayConfig(paths=(str(run.path),)))

    drawn = sorted(path.name for path in (run.path / "overlays").iterdir())
    assert drawn == ["frame_00000.png", "frame_00001.png"]
    original = read_picture(run.path / "images/frame_00001.png")
    assert np.array_equal(read_picture(run.path / "overlays/frame_00001.png"), original)
    assert report.lines()[0] == f"drew 2 boxes on 2 frames in {run.path / 'overlays'}"
    assert report.skipped.counts == {"frame: image missing": 1, "frame: image unreadable": 1}


def test_a_detectors_word_is_dashed_until_somebody_has_looked_at_it(foreign_run, make_polyp):
    run = foreign_run("run_1")
    word = {"source": "predicted", "score": 0.87}
    run.frame(0, [make_polyp(norm=[0.1, 0.5, 0.9, 0.9]) | word])
    run.frame(1, [make_polyp(norm=[0.1, 0.5, 0.9, 0.9]) | word | {"reviewed": True}])
    run.frame(2, [], source="predicted")
    report = draw(run.path)
    assert report.lines()[0].endswith("; 2 of the frames are predicted (dashed), and await review")
    assert (report.frames, report.boxes) == (3, 2)
    alone, reviewed, empty = (
        read_picture(run.path / f"overlays/frame_0000{n}.png") for n in range(3)
    )
    height, width = alone.shape[:2]
    bottom = alone[round(0.9 * height) - 1, round(0.1 * width) : round(0.9 * width)]
    runs = [is_on for is_on, _ in groupby((bottom == PREDICTED_COLOR).all(axis=1).tolist())]
    assert runs == [place % 2 == 0 for place in range(len(runs))]
    assert len(runs) > 3
    assert (reviewed == TRUTH_COLOR).all(axis=2).any()
    assert not (reviewed == PREDICTED_COLOR).all(axis=2).any()
    assert np.array_equal(empty, read_picture(run.path / "images/frame_00002.png"))


def draw(*paths):
    return overlay_labels(OverlayConfig(paths=tuple(map(str, paths))))


def contents(folder):
    """Every file below `folder`, and what it holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_folder_can_be_named_and_drawn_to_again(foreign_run, tmp_path):
    run = foreign_run("run_1")
    run.frame(0, [])
    for _ in range(2):
        report = draw(run.path, tmp_path / "drawn")
        assert report.folders == [tmp_path / "drawn"]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [
        MARK_NAME,
        "frame_00000.png",
    ]


@pytest.mark.parametrize("place", ["images", "labels", "instance", "../run_2/images"])
def test_what_is_no_overlay_is_never_written_over(foreign_run, place):
    run, other = foreign_run("run_1"), foreign_run("run_2")
    for one in (run, other):
        one.frame(0, [])
        (one.path / "instance").mkdir()
        (one.path / "instance/frame_00000.png").write_bytes(b"instances")
    before = contents(run.path.parent)
    with pytest.raises(UserError, match=r"OUT .*: holds frame_00000\.\w+, which is no overlay"):
        draw(run.path, run.path / place)
    assert contents(run.path.parent) == before


def test_the_overlays_of_another_run_are_not_written_over(foreign_run):
    run, other = foreign_run("run_1"), foreign_run("run_2")
    for one in (run, other):
        one.frame(0, [])
    draw(other.path)
    with pytest.raises(UserError, match="is no overlay"):
        draw(run.path, other.path / "overlays")


def test_overlays_that_lead_elsewhere_are_refused(foreign_run):
    run, other = foreign_run("run_1"), foreign_run("run_2")
    for one in (run, other):
        one.frame(0, [])
    (run.path / "overlays").symlink_to(other.path / "images")
    before = contents(other.path)
    with pytest.raises(UserError, match="is a link"):
        draw(run.path)
    assert contents(other.path) == before


def test_two_runs_get_a_folder_each(foreign_run, tmp_path):
    """As a pattern of the shell names them; the second is no place to draw to."""
    runs = [foreign_run("run_1"), foreign_run("run_2")]
    for run in runs:
        run.frame(0, [])
    before = contents(tmp_path)
    report = draw(*(run.path for run in runs))
    assert report.frames == 2
    assert report.folders == [run.path / "overlays" for run in runs]
    for _ in range(2):
        report = draw(*(run.path for run in runs), tmp_path / "drawn")
        assert report.folders == [tmp_path / "drawn/run_1", tmp_path / "drawn/run_2"]
    assert (tmp_path / "drawn/run_1/frame_00000.png").is_file()
    assert (tmp_path / "drawn/run_2/frame_00000.png").is_file()
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("place", ["instance", "depth/new", "../run_2/overlays"])
def test_overlays_never_lie_among_a_runs_data(foreign_run, place):
    """There they would be taken for it, also where the run has none yet, or no labels any more."""
    run, other = foreign_run("run_1"), foreign_run("run_2")
    for one in (run, other):
        one.frame(0, [])
    shutil.rmtree(other.path / "labels")
    with pytest.raises(UserError, match="lies among the data of the run"):
        draw(run.path, run.path / place)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "images",
        "labels",
        "run_manifest.json",
    ]
    assert sorted(path.name for path in other.path.iterdir()) == ["images", "run_manifest.json"]


def test_the_last_of_several_runs_is_no_place_though_its_labels_are_missing(foreign_run):
    runs = [foreign_run(f"run_{number}") for number in (1, 2, 3)]
    for run in runs:
        run.frame(0, [])
    shutil.rmtree(runs[2].path / "labels")
    before = contents(runs[0].path.parent)
    with pytest.raises(UserError, match=r"no capture runs in .*run_3"):
        draw(*(run.path for run in runs))
    assert contents(runs[0].path.parent) == before


def test_a_folder_with_other_things_is_not_taken_over(foreign_run, tmp_path):
    """Several runs get folders in it; it is no folder of drawings, and its others stay."""
    runs = [foreign_run(f"run_{number}") for number in (1, 2, 3)]
    for run in runs:
        run.frame(0, [])
    theirs = tmp_path / "pictures/run_3/frame_00000.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    draw(runs[0].path, runs[1].path, tmp_path / "pictures")
    assert not (tmp_path / "pictures" / MARK_NAME).exists()
    assert (tmp_path / "pictures/run_1" / MARK_NAME).is_file()
    with pytest.raises(UserError, match="is no overlay"):
        draw(runs[0].path, runs[2].path, tmp_path / "pictures")
    assert theirs.read_bytes() == b"theirs"


def test_a_run_that_is_named_twice_is_drawn_once(foreign_run, make_polyp, tmp_path):
    run = foreign_run("run_1")
    run.frame(0, [make_polyp(norm=[0, 0, 0.5, 0.5])])
    report = draw(run.path, run.path, run.path.parent, tmp_path / "drawn")
    assert (report.frames, report.boxes) == (1, 1)


def test_all_runs_of_a_root_are_drawn(foreign_run):
    root = foreign_run("run_1").path.parent
    for name in ("run_1", "run_2"):
        run = root / name
        if not run.exists():
            foreign_run(name)
        (run / "labels").mkdir(exist_ok=True)
    assert draw(root).lines()[0].startswith("drew 0 boxes on 0 frames")


def test_runs_of_one_name_need_two_folders(foreign_run, tmp_path):
    run = foreign_run("run_1")
    run.frame(0, [])
    shutil.copytree(run.path, tmp_path / "other/run_1")
    with pytest.raises(UserError, match="have one name"):
        draw(run.path, tmp_path / "other/run_1", tmp_path / "drawn")
    assert not (tmp_path / "drawn").exists()


def test_a_run_must_be_named():
    with pytest.raises(UserError, match="RUN: name the folder of a run"):
        OverlayConfig()
