import errno
import json
import math
import os

import numpy as np
import pytest
from PIL import Image

from endoforge.captures.index import find_runs, index_root
from endoforge.captures.tally import EXAMPLES_KEPT
from endoforge.core.errors import UserError


def boxes_of(run, polyps):
    """The boxes of a lone frame with these polyps, and what was dropped."""
    run.frame(0, polyps)
    index = index_root(run.path.parent)
    return index.frames[0].boxes.tolist(), dict(index.dropped)


def test_a_run_with_only_the_required_fields_loads(foreign_run, make_polyp):
    run = foreign_run("run_1764161446512")
    run.frame(0, [make_polyp(px=[10, 5, 30, 15], norm=[0.25, 0.25, 0.75, 0.75])])
    run.label(1, run.image(1, "jpg"), [])
    run.label(2, run.image(2, mode="RGBA"), [make_polyp(norm=[0, 0, 0.5, 1])])

    index = index_root(run.path.parent)

    assert [run.name for run in index.runs] == ["run_1764161446512"]
    manifest = index.runs[0].manifest
    assert manifest is not None
    assert manifest.seed == 2**64 - 1
    assert [frame.frame_id for frame in index.frames] == [0, 1, 2]
    assert [frame.boxes.tolist() for frame in index.frames] == [
        [[0.25, 0.25, 0.75, 0.75]],
        [],
        [[0, 0, 0.5, 1]],
    ]
    assert [frame.boxes.shape for frame in index.frames] == [(1, 4), (0, 4), (1, 4)]
    assert all(frame.boxes.dtype == np.float32 for frame in index.frames)
    assert index.frames[0].classes == ("polyp",)
    assert index.frames[2].key == "run_1764161446512/labels/frame_00002.json"
    assert index.dropped == {}


def test_unknown_fields_are_ignored(foreign_run, make_polyp):
    run = foreign_run("run_1")
    polyp = make_polyp(norm=[0, 0, 1, 1]) | {"shape": {"deep": [1]}, "label": "adenoma"}
    run.frame(0, [polyp], weather="fine")
    frame = index_root(run.path.parent).frames[0]
    assert frame.classes == ("adenoma",)


def test_records_hold_what_labels_say_of_polyps_and_of_the_time(foreign_run, make_polyp):
    run = foreign_run("run_1")
    known = {"polyp_id": 4, "paris": "Is", "diameter_mm": 7.5}
    unknown = {"polyp_id": None, "paris": "", "diameter_mm": math.nan}
    box = make_polyp(norm=[0, 0, 1, 1])
    hidden = make_polyp() | {"polyp_id": 1}
    run.frame(0, [box | known, hidden, box | unknown, box], sim_time=62.5)
    [frame] = index_root(run.path).frames
    assert frame.polyp_ids == (4, None, None)
    assert frame.kinds == ("Is", None, None)
    assert frame.diameters_mm == (7.5, None, None)
    assert frame.seconds == 62.5


@pytest.mark.parametrize("name", [0, -1, 2**31, "first", "1", True, 1.5, [1]])
def test_a_polyp_id_that_is_none_names_nothing_and_is_told(foreign_run, make_polyp, name):
    run = foreign_run("run_1")
    box = make_polyp(norm=[0, 0, 1, 1])
    run.frame(0, [box | {"polyp_id": name}, box | {"polyp_id": 3.0}])
    index = index_root(run.path)
    assert [frame.polyp_ids for frame in index.frames] == [(None, 3)]
    reason = "label: a polyp_id that is no whole number from 1 on (names no polyp)"
    assert index.dropped == {reason: 1}
    with pytest.raises(UserError, match="a polyp_id that is no whole number"):
        index_root(run.path, strict=True)


@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_a_time_that_is_none_is_told_and_the_frame_is_of_use(foreign_run, time):
    run = foreign_run("run_1")
    run.frame(7, [], sim_time=time)
    index = index_root(run.path)
    assert [frame.seconds for frame in index.frames] == [7.0]
    assert index.dropped == {"label: sim_time is no number (its frame_id counts as seconds)": 1}


def test_a_folder_of_folders_of_runs_names_them(foreign_run, tmp_path):
    foreign_run("learn/run_1").frame(0, [])
    foreign_run("measure/run_1").frame(0, [])
    root = tmp_path / "captures"
    with pytest.raises(UserError, match=r"itself, but in .*learn, .*measure: name one of these"):
        index_root(root)


@pytest.mark.parametrize(
    ("frame", "polyp", "is_used"),
    [
        ({}, {"source": "predicted", "score": 0.9}, False),
        ({}, {"source": "predicted", "reviewed": False}, False),
        ({}, {"source": "predicted", "reviewed": True}, True),
        ({}, {"source": "annotated"}, True),
        ({"source": "predicted"}, {}, False),
        ({"source": "predicted"}, None, False),  # nothing was found: that is no "no polyp"
        ({"source": "predicted", "reviewed": True}, None, True),
        ({"source": "predicted", "reviewed": True}, {"source": "predicted"}, False),
    ],
)
def test_what_a_detector_alone_says_is_no_truth(foreign_run, make_polyp, frame, polyp, is_used):
    run = foreign_run("run_1")
    polyps = [] if polyp is None else [make_polyp(norm=[0, 0, 1, 1]) | polyp]
    run.frame(0, polyps, **frame)
    index = index_root(run.path.parent)
    assert len(index.frames) == is_used
    reason = "frame: predicted, and nobody has looked at it (`endoforge sim-view`, Labels, does it)"
    assert index.dropped == ({} if is_used else {reason: 1})
    [asked_for] = index_root(run.path.parent, predicted=True).frames
    assert asked_for.awaits_review is not is_used
    is_word = polyp is not None and polyp.get("source") == "predicted"
    assert asked_for.unreviewed == (
        () if polyp is None else (is_word and not polyp.get("reviewed"),)
    )
    assert asked_for.scores == (() if polyp is None else (polyp.get("score"),))


def test_the_paris_kind_can_be_the_class(foreign_run, make_polyp):
    run, box = foreign_run("run_1"), [0, 0, 1, 1]
    sessile, flat = ({"paris": kind, "label": "polyp"} for kind in ("Is", "IIa"))
    run.frame(0, [make_polyp(norm=box) | flat, make_polyp(), make_polyp(norm=box) | sessile])
    run.frame(1, [make_polyp(norm=box) | sessile, make_polyp(norm=box)])
    run.frame(2, [make_polyp()])  # it can't be seen, so it needs no kind
    run.frame(3, [make_polyp(norm=box) | {"paris": ""}])
    index = index_root(run.path, label_field="paris")
    assert [(frame.frame_id, frame.classes) for frame in index.frames] == [
        (0, ("IIa", "Is")),
        (2, ()),
    ]
    assert index.dropped == {"frame: a polyp without paris": 2}
    assert (
        index.tally.examples["frame: a polyp without paris"][0] == "run_1/labels/frame_00001.json"
    )
    with pytest.raises(UserError, match=r"frame_00001\.json: frame: a polyp without paris"):
        index_root(run.path, label_field="paris", strict=True)
    assert len(index_root(run.path).frames) == 4
    assert index_root(run.path).frames[0].classes == ("polyp", "polyp")


@pytest.mark.parametrize(
    ("px", "norm", "expected"),
    [
        ([10, 5, 30, 15], None, [0.25, 0.25, 0.75, 0.75]),  # of 40x20 pixels
        (None, [0.25, 0.5, 0.5, 0.75], [0.25, 0.5, 0.5, 0.75]),
        ([-4, 5, 44, 15], None, [0, 0.25, 1, 0.75]),  # partly out of the picture: clipped
        (None, [0.5, -1, 0.75, 2], [0.5, 0, 0.75, 1]),
    ],
)
def test_boxes_come_from_either_field_and_are_clipped(foreign_run, make_polyp, px, norm, expected):
    assert boxes_of(foreign_run("run_1"), [make_polyp(px, norm)]) == ([expected], {})


@pytest.mark.parametrize(
    ("px", "norm", "reason"),
    [
        (None, [math.nan, 0, 1, 1], "NaN or infinite corners"),
        (None, [None, None, None, None], "NaN or infinite corners"),  # JSON writers' NaN
        ([0, 0, math.inf, 1], None, "NaN or infinite corners"),
        (None, [0.5, 0, 0.25, 1], "reversed corners"),
        ([0, 15, 30, 5], None, "reversed corners"),
        ([10, 5, 10, 15], None, "no area within the picture"),
        ([50, 5, 60, 15], None, "no area within the picture"),  # all of it outside
        (None, [0.5, 0, 0.5 + 1e-12, 1], "no area within the picture"),  # none in float32
    ],
)
def test_a_frame_goes_with_a_box_of_no_use(foreign_run, make_polyp, px, norm, reason):
    """Without the box it would show a polyp that its label doesn't have."""
    good = make_polyp(norm=[0, 0, 0.5, 0.5])
    run = foreign_run("run_1")
    run.frame(0, [good, make_polyp(px, norm)])
    run.frame(1, [good])
    run.frame(2, [make_polyp(px, norm)])
    index = index_root(run.path)
    assert [frame.frame_id for frame in index.frames] == [1]
    assert index.dropped == {f"frame: a box with {reason}": 2}


@pytest.mark.parametrize(
    ("px", "norm", "expected"),
    [
        ([10, 5, 30, 15], [0.25, 0.25, 0.75, 0.75], None),
        ([10, 5, 30, 15], [0.2375, 0.27, 0.76, 0.74], None),  # rounded to whole pixels
        ([12, 5, 30, 15], [0.25, 0.25, 0.75, 0.75], [0.3, 0.25, 0.75, 0.75]),
        ([10, 5, 30, 16], [0.25, 0.25, 0.75, 0.75], [0.25, 0.25, 0.75, 0.8]),
        ([10, 5, 30, 15], [None] * 4, [0.25, 0.25, 0.75, 0.75]),
    ],
)
def test_where_pixels_and_shares_disagree_the_pixels_win(
    foreign_run, make_polyp, px, norm, expected
):
    """The picture has 40x20 pixels; `expected` None: they agree, and the shares are exact."""
    run = foreign_run("run_1")
    run.frame(0, [make_polyp([0, 0, 20, 20], [0, 0, 0.5, 1])])
    run.frame(1, [make_polyp(px, norm)])
    index = index_root(run.path)
    boxes = index.frames[1].boxes.tolist()
    assert boxes == [pytest.approx(expected or norm)]
    reason = "label: bbox_px and bbox_norm disagree (the pixels count)"
    assert index.dropped == ({reason: 1} if expected else {})
    if expected:
        assert "run_1/labels/frame_00001.json (box 1: " in index.tally.examples[reason][0]


@pytest.mark.parametrize("norm", [None, [0.25, 0.25, 0.75, 0.75]])
def test_shares_where_pixels_are_meant_are_no_box(foreign_run, make_polyp, norm):
    run = foreign_run("run_1")
    run.frame(0, [make_polyp([0.25, 0.25, 0.75, 0.75], norm)])
    run.frame(1, [make_polyp([0, 0, 1, 1], [0, 0, 0.025, 0.05])])  # which is a pixel of 40x20
    index = index_root(run.path)
    assert [frame.frame_id for frame in index.frames] == [1]
    assert index.dropped["frame: a box in 0..1 where pixels are meant"] == 1


def test_pixels_are_of_each_picture_where_sizes_differ(foreign_run, make_polyp):
    run = foreign_run("run_1")
    box = make_polyp([10, 5, 30, 15], [0.25, 0.25, 0.75, 0.75])
    run.frame(0, [box])
    run.frame(1, [make_polyp([10, 5, 30, 15], [0.5, 0.5, 1.5, 1.5])])
    Image.new("RGB", (20, 10)).save(run.path / "images/frame_00001.png")
    run.frame(2, [box])
    index = index_root(run.path)
    assert [frame.boxes.tolist() for frame in index.frames] == [
        [[0.25, 0.25, 0.75, 0.75]],
        [[0.5, 0.5, 1.0, 1.0]],
        [[0.25, 0.25, 0.75, 0.75]],
    ]
    assert index.dropped == {}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_labels_and_manifests_are_read_as_windows_tools_write_them(
    foreign_run, make_polyp, encoding
):
    run = foreign_run("run_1")
    label = run.frame(0, [make_polyp(norm=[0, 0, 1, 1])])
    for path in (label, run.path / "run_manifest.json"):
        path.write_text(path.read_text(), encoding=encoding)
    index = index_root(run.path)
    assert len(index.frames[0].boxes) == 1
    assert index.runs[0].manifest is not None
    assert index.dropped == {}


def test_a_run_whose_name_is_no_utf8_is_named_and_counted(foreign_run):
    foreign_run("run_1").frame(0, [])
    name = os.fsdecode(b"run_caf\xe9")
    try:
        foreign_run(name).frame(0, [])
    except OSError:
        pytest.skip("the file system has no such names")
    index = index_root(foreign_run("run_2").path.parent)
    assert [run.name for run in index.runs] == ["run_1", "run_2"]
    reason = "run: its name isn't UTF-8; rename the folder"
    assert index.dropped == {reason: 1}
    assert index.tally.examples[reason] == [r"run_caf\xe9"]


def test_a_root_that_cannot_be_read_is_not_one_without_runs(foreign_run, monkeypatch):
    root = foreign_run("run_1").path.parent
    fail_to_list(monkeypatch, root)
    with pytest.raises(UserError, match=r"can't read the folder .*captures: Input/output error"):
        index_root(root)


def test_a_polyp_that_cannot_be_seen_is_no_box_and_no_defect(foreign_run, make_polyp):
    assert boxes_of(foreign_run("run_1"), [make_polyp()]) == ([], {})


@pytest.mark.parametrize(
    "image", ["../run_2/images/frame_00000.png", "images/../../x.png", "..\\x.png", "C:/x.png"]
)
def test_an_image_path_that_leaves_the_run_is_refused(foreign_run, image):
    run, other = foreign_run("run_1"), foreign_run("run_2")
    other.image(0)
    (run.path.parent / "x.png").write_bytes((other.path / "images/frame_00000.png").read_bytes())
    run.label(0, image, [])
    run.label(1, str(run.path.parent / "x.png"), [])
    index = index_root(run.path.parent)
    assert index.frames == []
    assert index.dropped["frame: image path leaves the run folder"] == 2


def test_an_image_that_links_out_of_the_run_is_refused(foreign_run):
    run, other = foreign_run("run_1"), foreign_run("run_2")
    (run.path / "images/frame_00000.png").symlink_to(other.path / other.image(0))
    run.label(0, "images/frame_00000.png", [])
    assert index_root(run.path).dropped == {"frame: image path leaves the run folder": 1}


def test_an_image_path_may_wander_within_the_run(foreign_run):
    run = foreign_run("run_1")
    run.label(0, f"labels\\..\\{run.image(0)}", [])
    assert index_root(run.path).frames[0].image_path == run.path / "images/frame_00000.png"


def test_frames_without_their_image_are_dropped_by_reason(foreign_run):
    run = foreign_run("run_1")
    run.label(0, "images/frame_00000.png", [])
    run.frame(1, [], image_present=False)
    run.label(2, f"images/{'x' * 300}.png", [])
    (run.path / "labels/frame_00003.json").write_text('{"frame_id": 3')
    (run.path / "labels/notes.json").write_text("{}")
    (run.path / "labels/.frame_00004.json.0123456789abcdef.tmp").write_text("{")
    run.image(5)
    index = index_root(run.path)
    assert index.frames == []
    assert index.dropped == {
        "frame: image missing": 2,
        "frame: image_present is false": 1,
        "frame: label malformed": 1,
        "frame: label not named frame_<number>.json": 1,
        "image: no label names it": 1,
    }
    assert index.tally.examples["image: no label names it"] == ["run_1/images/frame_00005.png"]


def test_the_first_examples_of_a_reason_are_kept(foreign_run):
    run = foreign_run("run_1")
    for number in range(5):
        run.label(number, "images/none.png", [])
    index = index_root(run.path)
    examples = index.tally.examples["frame: image missing"]
    assert index.dropped["frame: image missing"] == 5
    assert len(examples) == EXAMPLES_KEPT
    assert examples[0] == "run_1/labels/frame_00000.json (images/none.png)"


def test_a_box_in_pixels_needs_an_image_with_a_header(foreign_run, make_polyp):
    run = foreign_run("run_1")
    run.frame(0, [make_polyp(px=[0, 0, 1, 1])])
    (run.path / "images/frame_00000.png").write_bytes(b"not a picture")
    assert index_root(run.path).dropped == {"frame: image unreadable": 1}


def test_runs_and_frames_are_in_the_order_of_their_numbers(foreign_run):
    for name in ("run_1000", "run_999", "run_by_hand"):
        run = foreign_run(name)
        for number in (100_000, 99_999, 5):
            run.frame(number, [])
    index = index_root(run.path.parent)
    assert [run.name for run in index.runs] == ["run_999", "run_1000", "run_by_hand"]
    assert [frame.frame_id for frame in index.frames] == [5, 99_999, 100_000] * 3


def test_one_run_folder_is_a_root_too_with_the_same_keys(foreign_run, monkeypatch):
    run = foreign_run("run_1")
    run.frame(0, [])
    assert index_root(run.path).frames[0].key == index_root(run.path.parent).frames[0].key
    monkeypatch.chdir(run.path)
    assert index_root(type(run.path)(".")).root == run.path.parent


@pytest.mark.parametrize("text", ["{", json.dumps({"schema_version": 2})])
def test_a_malformed_manifest_is_counted_and_its_frames_are_kept(foreign_run, text):
    run = foreign_run("run_1")
    run.frame(0, [])
    (run.path / "run_manifest.json").write_text(text)
    index = index_root(run.path)
    assert index.runs[0].manifest is None
    assert len(index.frames) == 1
    assert index.dropped == {"run: manifest malformed (its frames are kept)": 1}


def test_strict_names_the_path_and_the_reason(foreign_run, make_polyp):
    run = foreign_run("run_1")
    run.frame(7, [make_polyp(norm=[0.5, 0, 0.25, 1])])
    with pytest.raises(UserError, match=r"frame_00007\.json: frame: a box with reversed"):
        index_root(run.path, strict=True)


def test_a_root_without_runs_says_where_it_looked(tmp_path):
    with pytest.raises(UserError, match=f"no capture runs in {tmp_path}.*endoforge datagen"):
        index_root(tmp_path)
    with pytest.raises(UserError, match=r"no folder .*missing"):
        index_root(tmp_path / "missing")


@pytest.mark.parametrize("folder", ["labels", "images"])
def test_a_folder_that_cannot_be_read_is_never_taken_for_an_empty_one(
    foreign_run, monkeypatch, folder
):
    run = foreign_run("run_1")
    run.frame(0, [])
    fail_to_list(monkeypatch, run.path / folder)
    with pytest.raises(UserError, match=f"can't read the folder .*/{folder}: Input/output error"):
        index_root(run.path)


def test_another_folder_that_cannot_be_listed_stops_nothing(foreign_run, monkeypatch):
    run = foreign_run("run_1")
    (run.path / "images").rename(run.path / "pictures")
    (run.path / "images").mkdir()
    (run.path / run.image(0)).rename(run.path / "pictures/a.png")
    run.label(0, "pictures/a.png", [])
    run.label(1, "pictures/b.png", [])
    fail_to_list(monkeypatch, run.path / "pictures")
    index = index_root(run.path)
    assert [frame.frame_id for frame in index.frames] == [0]
    assert index.dropped == {"frame: image missing": 1}


def fail_to_list(monkeypatch, folder):
    """As of a failing disk."""
    scandir = os.scandir

    def fails(path):
        if os.fspath(path) == os.fspath(folder):
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fails)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.TAR", r"a shard, no folder of runs: train takes their folder, .*; `.* --images /"),
        ("a.mp4", r"a video, no folder of runs: `endoforge import --video /.*a.mp4` makes a run"),
        ("a.tar.gz", "an archive, no folder of runs: unpack it"),
        ("a.png", "a file, no folder of runs: name the folder that holds them"),
        ("none.tar", "no folder .*none.tar: make runs with"),
    ],
)
def test_a_file_in_place_of_a_folder_is_told_by_its_kind(tmp_path, name, said):
    if not name.startswith("none"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=said):
        find_runs(tmp_path / name)
