"""Out and back in, nothing is lost: every box to 0.05 pixels, every class by its name."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endoforge.captures.index import index_root
from endoforge.formats.config import ConvertConfig, ImportConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.importing import run_import

from .conftest import contents, write_run

WHERE = {
    "coco": {"images": "images", "annotations": "annotations.json"},
    "yolo": {"images": "images"},
    "voc": {"images": "JPEGImages", "group": "name:^run_[0-9]+"},
    "cvat": {"images": ".", "group": "name:^run_[0-9]+"},
    "mot": {"images": "."},
    "webdataset": {"images": "."},
}
SEQUENCES = ("coco", "cvat", "mot", "webdataset")
NAMES = st.sampled_from(["polyp", "adenoma IIa", "Zange", "polyp 2", "поліп", "a&b <c>"])


@st.composite
def labelled_frames(draw):
    """A picture's size, and for each of some frames classes and boxes within it."""
    size = draw(st.tuples(st.integers(8, 300), st.integers(8, 300)))

    def edges(most):
        whole = st.integers(0, most).map(float)
        edge = st.one_of(whole, st.floats(0, most, allow_nan=False, width=32))
        pairs = st.tuples(edge, edge).map(sorted)
        # What ends in the first pixel is taken for shares of the picture.
        return pairs.filter(lambda pair: pair[1] - pair[0] > 0.01 and pair[1] > 1.02)

    xs, ys = edges(size[0]), edges(size[1])
    corners = st.tuples(xs, ys).map(lambda e: (e[0][0], e[1][0], e[0][1], e[1][1]))
    one_box = st.tuples(NAMES, corners)
    boxes = st.lists(
        one_box, max_size=4, unique_by=lambda box: (box[0], np.round(box[1], 2).tobytes())
    )
    return size, draw(st.lists(boxes, min_size=1, max_size=3))


def there_and_back(run, folder, format, **settings):
    out, root = folder / "out", folder / "back"
    run_convert(ConvertConfig(format=format, paths=(str(run), str(out)), strict=True))
    paths = {key: value for key, value in WHERE[format].items() if key != "group"}
    where: dict[str, Any] = {key: str(out / value) for key, value in paths.items()}
    group = WHERE[format].get("group", "folder")
    config = ImportConfig(
        format=format, **where, group=group, output_root=str(root), strict=True, **settings
    )
    return run_import(config), index_root(root, strict=True)


@pytest.mark.parametrize("format", list(WHERE))
@settings(max_examples=30, deadline=None)
@given(case=labelled_frames())
def test_every_box_comes_back_to_half_a_pixel_and_every_class_by_name(format, case):
    size, frames = case
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "captures", frames, size)
        report, index = there_and_back(run, Path(folder), format)
        assert len(report.runs) == 1
        assert len(index.frames) == len(frames)
        before, after = contents(index_root(run), size), contents(index, size)
        for was, now in zip(before, after, strict=True):
            assert len(was) == len(now)
            left = list(now)
            for name, box in was:
                alike = [one for one in left if one[0] == name]
                far = [np.abs(np.subtract(other, box)).max() for _, other in alike]
                nearest = alike[int(np.argmin(far))]
                assert nearest[1] == pytest.approx(box, abs=0.05)
                left.remove(nearest)
        for one, other in zip(index_root(run).frames, index.frames, strict=True):
            assert one.image_path.read_bytes() == other.image_path.read_bytes()


@pytest.mark.parametrize("format", list(WHERE))
def test_whole_pixels_come_back_exactly(format, tmp_path):
    frames = [
        [("polyp", (3, 4, 20, 30)), ("IIa", (0, 0, 64, 48))],
        [],
        [("polyp", (63, 47, 64, 48))],
    ]
    run = write_run(tmp_path / "captures", frames)
    _, index = there_and_back(run, tmp_path, format)
    expected = [sorted((name, list(map(float, box))) for name, box in one) for one in frames]
    for was, now in zip(expected, contents(index, (64, 48)), strict=True):
        assert [name for name, _ in was] == [name for name, _ in now]
        for one, other in zip(was, now, strict=True):
            assert one[1] == pytest.approx(other[1], abs=1e-4)


@pytest.mark.parametrize("format", list(WHERE))
def test_several_runs_stay_apart(format, tmp_path):
    for number in range(3):
        write_run(tmp_path / "captures", [[("polyp", (1, 1, 9, 9 + number))]] * (number + 1))
    report, index = there_and_back(tmp_path / "captures", tmp_path, format)
    assert [run.frames for run in report.runs] == [1, 2, 3]
    assert [run.name for run in index.runs] == [run.name for run in report.runs]
    assert [run.group for run in report.runs] == [
        run.name for run in index_root(tmp_path / "captures").runs
    ]


@pytest.mark.parametrize("format", SEQUENCES)
def test_polyps_keep_their_names_and_frames_their_times(format, tmp_path):
    """At 25 frames a second; CVAT's file doesn't say that."""
    one, other = (3, 4, 20, 30), (30, 4, 60, 40)
    frames = [
        [("polyp", one, 5)],
        [],
        [("IIa", other, 2), ("polyp", one, 5)],
        [("polyp", one, 5)],
    ]
    run = write_run(tmp_path / "captures", frames, seconds=[0, 0.04, 0.08, 0.12])
    rate = {"fps": 25} if format == "cvat" else {}
    _, index = there_and_back(run, tmp_path, format, **rate)
    assert [dict(zip(f.classes, f.polyp_ids, strict=True)) for f in index.frames] == [
        {"polyp": 5},
        {},
        {"IIa": 2, "polyp": 5},
        {"polyp": 5},
    ]
    assert [f.seconds for f in index.frames] == pytest.approx([0, 0.04, 0.08, 0.12])


@pytest.mark.parametrize("format", SEQUENCES)
def test_boxes_without_a_name_get_none(format, tmp_path):
    run = write_run(tmp_path / "captures", [[("polyp", (3, 4, 20, 30))]] * 2, seconds=[0, 1])
    _, index = there_and_back(run, tmp_path, format)
    assert [frame.polyp_ids for frame in index.frames] == [(None,), (None,)]


def test_what_a_format_cant_hold_of_a_sequence_is_said(tmp_path):
    box = (3, 4, 20, 30)
    run = write_run(tmp_path / "captures", [[("polyp", box)]] * 3, seconds=[0, 1, 9])
    notes = {
        format: run_convert(
            ConvertConfig(format=format, paths=(str(run), str(tmp_path / format)))
        ).notes
        for format in ("mot", "cvat", "coco")
    }
    assert notes == {
        "mot": [
            "1 run whose frames don't follow each other evenly: MOT has one rate for all, the mean",
            "3 boxes without polyp_id, of track -1",
        ],
        "cvat": ["1 run with boxes without polyp_id: for images, without tracks"],
        "coco": [],
    }


def test_frames_at_uneven_times_keep_them_in_coco(tmp_path):
    run = write_run(tmp_path / "captures", [[("polyp", (3, 4, 20, 30), 1)]] * 3, seconds=[2, 3, 9])
    _, index = there_and_back(run, tmp_path, "coco")
    assert [frame.seconds for frame in index.frames] == [2, 3, 9]
