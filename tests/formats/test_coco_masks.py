"""COCO's segmentation in: instance images whose pixels are those of the boxes' polyps."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycocotools_mask

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig, ImportConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.importing import run_import
from endoforge.formats.instances import MOST_VALUE

from .test_coco import compressed, runs

SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]
FAR = [40, 30, 50, 30, 50, 40, 40, 40]


def annotation(bbox, segmentation, **more):
    said = {"image_id": 1, "category_id": 1, "bbox": bbox, "segmentation": segmentation}
    return said | more


def bring_in(foreign, *annotations, num_images=1, **settings):
    names = [f"{number}.png" for number in range(1, num_images + 1)]
    for name in names:
        foreign.picture(name)
    dataset = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names, 1)],
        "annotations": list(annotations),
        "categories": [{"id": 1, "name": "polyp"}, {"id": 2, "name": "tool"}],
    }
    path = foreign.file("annotations.json", json.dumps(dataset))
    return foreign.bring_in("coco", annotations=str(path), **settings)


def instances(root, frame=0):
    [run] = index_root(root).runs
    return np.asarray(Image.open(run.path / f"instance/frame_{frame:05d}.png"))


def ids(root):
    return [frame.polyp_ids for frame in index_root(root).frames]


def drawn(polygon):
    return pycocotools_mask.decode(pycocotools_mask.frPyObjects([polygon], 48, 64)[0]).astype(bool)


def test_the_pixels_of_a_box_have_its_polyp_id(foreign):
    part = np.zeros((48, 64), np.uint8, order="F")
    part[2:6, 1:9] = 1
    report = bring_in(
        foreign,
        annotation([10, 10, 10, 10], [SQUARE]),
        annotation([1, 2, 8, 4], runs(part)),
        annotation([40, 30, 10, 10], [FAR, compressed(np.asfortranarray(drawn(FAR), np.uint8))]),
    )
    expected = drawn(SQUARE) * 1 + part * 2 + drawn(FAR) * 3
    np.testing.assert_array_equal(instances(foreign.output), expected)
    assert ids(foreign.output) == [(1, 2, 3)]
    assert not report.left_out.counts


def test_tracks_stay_and_pictures_without_tracks_have_polyps_of_their_own(foreign):
    bring_in(
        foreign,
        annotation([10, 10, 10, 10], [SQUARE], track_id=7),
        annotation([40, 30, 10, 10], [FAR], image_id=2, track_id=7),
        num_images=2,
    )
    assert ids(foreign.output) == [(7,), (7,)]
    assert [set(np.unique(instances(foreign.output, frame))) for frame in (0, 1)] == [
        {0, 7},
        {0, 7},
    ]
    foreign.output = foreign.root / "other"
    bring_in(
        foreign,
        annotation([10, 10, 10, 10], [SQUARE]),
        annotation([40, 30, 10, 10], [FAR], image_id=2),
        num_images=2,
    )
    assert ids(foreign.output) == [(1,), (2,)]


def test_a_picture_that_shows_nothing_has_a_black_one_and_one_of_boxes_none(foreign):
    bring_in(
        foreign,
        annotation([10, 10, 10, 10], [SQUARE]),
        annotation([1, 1, 5, 5], [], image_id=2),
        num_images=3,
    )
    [run] = index_root(foreign.output).runs
    assert sorted(path.name for path in (run.path / "instance").iterdir()) == [
        "frame_00000.png",
        "frame_00002.png",
    ]
    assert not instances(foreign.output, 2).any()
    assert ids(foreign.output) == [(1,), (None,), ()]


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        (
            [annotation([10, 10, 10, 10], [SQUARE]), annotation([15, 15, 9, 9], [])],
            "a box without an outline",
        ),
        (
            [annotation([10, 10, 12, 10], [SQUARE])],
            "a box more than a pixel from its outline (the box counts)",
        ),
        (
            [
                annotation([10, 10, 10, 10], [SQUARE]),
                annotation([19, 19, 4, 4], [[19, 19, 23, 19, 23, 23, 19, 23]]),
            ],
            "its masks overlap, so a pixel is of two polyps",
        ),
        (
            [annotation([10, 10, 10, 10], [SQUARE]), annotation([10, 10, 10, 10], [SQUARE])],
            None,  # there twice, and so once
        ),
        (
            [
                annotation([10, 10, 10, 10], [SQUARE]),
                annotation([10, 10, 10, 10], [SQUARE], category_id=2),
            ],
            "two polyps of one box",
        ),
        (
            [annotation([10, 10, 10, 10], [[10, 10, 20, 20]])],
            "polygon isn't pairs of numbers, thre",
        ),
        (
            [annotation([10, 10, 10, 10], [[*SQUARE, 1e9, 5]])],
            "polygon far out of its picture, or endless",
        ),
        (
            [annotation([0, 0, 64, 48], [[0, 0, 64, 0, 64, 48, 0, 48] * 50_000])],
            "polygon far out of its picture, or endless",
        ),
        ([annotation([10, 10, 1, 1], [[10, 10, 10, 10, 10, 10]])], "segmentation without a pixel"),
        (
            [annotation([10, 10, 10, 10], [SQUARE], track_id=MOST_VALUE + 1)],
            "more than 65535 polyps in its run",
        ),
    ],
)
def test_without_sure_pixels_the_boxes_come_in_and_that_is_counted(foreign, annotations, reason):
    report = bring_in(foreign, *annotations)
    [said] = report.left_out.counts
    [run] = index_root(foreign.output, strict=True).runs
    if reason is None:
        assert said == "box: there twice, with the same class and corners"
    else:
        assert said.startswith(f"instance image (its boxes came in): {reason}")
        assert not (run.path / "instance").exists()
    assert report.runs[0].boxes.total() == (1 if reason is None else len(annotations))


def test_a_class_that_is_left_out_is_painted_nowhere(foreign):
    bring_in(
        foreign,
        annotation([10, 10, 10, 10], [SQUARE]),
        annotation([12, 12, 9, 9], [], category_id=2),
        class_map="tool=",
    )
    np.testing.assert_array_equal(instances(foreign.output) > 0, drawn(SQUARE))


def test_polygons_that_leave_the_picture_end_at_its_edge(foreign):
    bring_in(foreign, annotation([-5, 10, 15, 10], [[-5, 10, 10, 10, 10, 20, -5, 20]]))
    np.testing.assert_array_equal(
        np.argwhere(instances(foreign.output)), np.argwhere(drawn([0, 10, 10, 10, 10, 20, 0, 20]))
    )


def test_out_and_in_every_pixel_comes_back(make_run, tmp_path):
    pixels = np.zeros((48, 64), np.uint8)
    pixels[4:14, 3:20] = 3
    pixels[6:9, 5:9] = 0
    pixels[20:30, 30:40] = 7
    boxes = [("polyp", (3, 4, 20, 14), 3), ("IIa", (30, 20, 40, 30), 7)]
    run = make_run(tmp_path / "captures", [boxes, []])
    (run / "instance").mkdir()
    for number, shown in enumerate((pixels, pixels * 0)):
        Image.fromarray(shown).save(run / f"instance/frame_{number:05d}.png")
    out, back = tmp_path / "out", tmp_path / "back"
    run_convert(ConvertConfig(format="coco", paths=(str(run), str(out))))
    run_import(
        ImportConfig(
            format="coco",
            images=str(out / "images"),
            annotations=str(out / "annotations.json"),
            output_root=str(back),
        )
    )
    np.testing.assert_array_equal(instances(back), pixels)
    assert not instances(back, 1).any()
    assert ids(back) == [(3, 7), ()]


def test_other_pixels_in_the_same_box_are_another_import(foreign):
    bring_in(foreign, annotation([10, 10, 10, 10], [SQUARE]))
    report = bring_in(foreign, annotation([10, 10, 10, 10], [SQUARE]))
    assert report.runs[0].there == 1
    with pytest.raises(UserError, match="with other pictures, labels or settings"):
        bring_in(foreign, annotation([10, 10, 10, 10], [[10, 10, 20, 10, 20, 20, 10, 20, 12, 15]]))
