"""COCO in: by names and ids, never by places."""

import json

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from endoforge.core.errors import UserError

CATEGORIES = [{"id": 7, "name": "polyp"}, {"id": 3, "name": "instrument"}]


def dataset(*annotations, images=None, categories=CATEGORIES):
    listed = images or [{"id": 11, "file_name": "a.png", "width": 64, "height": 48}]
    return json.dumps(
        {"images": listed, "annotations": list(annotations), "categories": categories}
    )


def box(category=7, image=11, **others):
    return {"image_id": image, "category_id": category, "bbox": [10, 20, 30, 5], **others}


@pytest.fixture
def coco(foreign):
    def bring_in(*annotations, images=None, categories=CATEGORIES, images_folder=None, **settings):
        text = dataset(*annotations, images=images, categories=categories)
        path = foreign.file("annotations.json", text)
        if images_folder is not None:
            settings["images"] = images_folder
        return foreign.bring_in("coco", annotations=str(path), **settings)

    return bring_in


def test_boxes_and_classes_come_in_by_the_categories_ids(foreign, coco):
    foreign.picture("a.png")
    report = coco(box(), box(category=3))
    assert foreign.imported() == [
        [
            ("instrument", pytest.approx([10, 20, 40, 25])),
            ("polyp", pytest.approx([10, 20, 40, 25])),
        ]
    ]
    assert report.lines()[-1] == "  boxes by class: instrument 1, polyp 1"


def test_a_category_without_a_name_is_an_error_that_says_which_there_are(foreign, coco):
    foreign.picture("a.png")
    with pytest.raises(UserError, match=r"category 2, which has no name.*7 polyp, 3 instrument"):
        coco(box(category=2))
    assert not foreign.output.exists()


def test_ids_that_are_there_twice_are_an_error(foreign, coco):
    foreign.picture("a.png")
    with pytest.raises(UserError, match="two category entries have the id 7"):
        coco(box(), categories=[*CATEGORIES, {"id": 7, "name": "other"}])
    twice = [{"id": 11, "file_name": "a.png"}, {"id": 11, "file_name": "b.png"}]
    with pytest.raises(UserError, match="two image entries have the id 11"):
        coco(box(), images=twice)
    same = [{"id": 11, "file_name": "a.png"}, {"id": 12, "file_name": "./a.png"}]
    with pytest.raises(UserError, match=r"a\.png and \./a\.png are both a\.png"):
        coco(box(), images=same)


TRIANGLES = [[5, 6, 9, 6, 7, 12], [20, 8, 22, 8, 22, 9]]
AROUND_TRIANGLES = [5, 6, 22, 12]
PART = np.zeros((48, 64), np.uint8, order="F")
PART[20:25, 10:40] = 1
PART[22, 5:10] = 1
AROUND_PART = [5, 20, 40, 25]


def runs(mask, size=(48, 64)):
    """COCO's run lengths, column by column, beginning with those that aren't set."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
    edges = np.flatnonzero(np.diff(flat))
    return {"size": list(size), "counts": np.diff([0, *edges]).tolist()}


def compressed(mask):
    encoded = pycocotools_mask.encode(mask)
    return {**encoded, "counts": encoded["counts"].decode()}


@pytest.mark.parametrize(
    ("annotation", "corners"),
    [
        ({"segmentation": TRIANGLES}, AROUND_TRIANGLES),
        ({"bbox": None, "segmentation": TRIANGLES}, AROUND_TRIANGLES),
        ({"bbox": [], "segmentation": TRIANGLES}, AROUND_TRIANGLES),
        ({"bbox": [0, 0, 0, 0], "segmentation": TRIANGLES}, AROUND_TRIANGLES),
        ({"bbox": [None] * 4, "segmentation": TRIANGLES}, AROUND_TRIANGLES),
        ({"segmentation": TRIANGLES[0]}, [5, 6, 9, 12]),
        ({"segmentation": [["5", "6", "9", "6", "7", "12"]]}, [5, 6, 9, 12]),
        ({"bbox": ["10", "20", "30.0", "5"]}, [10, 20, 40, 25]),
        ({"bbox": [10, 20, 30, 5], "iscrowd": None, "segmentation": None}, [10, 20, 40, 25]),
        ({"bbox": [10, 20, 30, 5], "iscrowd": "0", "segmentation": []}, [10, 20, 40, 25]),
        ({"segmentation": runs(PART)}, AROUND_PART),
        ({"segmentation": compressed(PART)}, AROUND_PART),
        ({"segmentation": [compressed(PART)]}, AROUND_PART),
        ({"bbox": [0, 0, 0, 0], "segmentation": compressed(PART)}, AROUND_PART),
    ],
)
def test_what_a_tool_may_write_of_one_box(foreign, coco, annotation, corners):
    foreign.picture("a.png")
    coco({"image_id": 11, "category_id": 7, **annotation})
    assert foreign.imported() == [[("polyp", pytest.approx(corners))]]


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_read_as_pycocotools_reads_them(foreign, coco, seed):
    foreign.picture("a.png")
    chance = np.random.default_rng(seed)
    mask = np.zeros((48, 64), np.uint8, order="F")
    x0, y0 = chance.integers(0, 40, 2)
    mask[y0:, x0:] = chance.integers(0, 2, (48 - y0, 64 - x0))
    mask[y0, x0] = 1
    x, y, width, height = pycocotools_mask.toBbox(compressed(mask))
    for number, segmentation in enumerate([runs(mask), compressed(mask)]):
        found = {"image_id": 11, "category_id": 7, "segmentation": segmentation}
        foreign.output = foreign.root / f"imported {number}"
        coco(found)
        assert foreign.imported() == [[("polyp", pytest.approx([x, y, x + width, y + height]))]]


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({}, "neither bbox nor segmentation"),
        ({"bbox": [1, 2, 3]}, "bbox isn't four numbers"),
        ({"bbox": [1, 2, "wide", 3]}, "bbox isn't numbers"),
        ({"bbox": "1 2 3 4"}, "bbox isn't numbers"),
        ({"bbox": [None, 2, 3, 5]}, "bbox with NaN or infinite numbers"),
        ({"bbox": [1, 2, float("nan"), 5]}, "bbox with NaN or infinite numbers"),
        ({"bbox": [1, 2, float("inf"), 5]}, "bbox with NaN or infinite numbers"),
        ({"bbox": [9, 2, -3, 5]}, "bbox of negative size"),
        ({"bbox": [9, 2, -3, 5], "segmentation": TRIANGLES}, "bbox of negative size"),
        ({"bbox": [1, 2, 0, 5]}, "bbox without area"),
        ({"bbox": [0.2, 0.25, 0.5, 0.75]}, "a box in 0..1 where pixels are meant"),
        ({"segmentation": [[0, 0, 0.5, 0.5, 1, 0.25]]}, "a box in 0..1 where pixels are meant"),
        ({"bbox": [70, 2, 5, 5]}, "a box with no area within the picture"),
        ({"segmentation": [[5, 6, 5, 9, 5, 12]]}, "segmentation without area"),
        ({"segmentation": [[5, 6, 9, 6, 7]]}, "polygon isn't pairs of numbers"),
        ({"segmentation": [[5, 6, None, 6, 7, 12]]}, "polygon isn't pairs of numbers"),
        ({"segmentation": "polygon"}, "polygon isn't numbers"),
        ({"segmentation": runs(PART * 0)}, "segmentation without area"),
        ({"segmentation": {"counts": "abc"}}, "run lengths without size or counts"),
        ({"segmentation": {"size": [48, 64], "counts": "ab"}}, "run lengths that don't fill"),
        ({"segmentation": {"size": [48, 64], "counts": None}}, "run lengths that don't fill"),
        ({"segmentation": {"size": [48, 64], "counts": [9, 9]}}, "run lengths that don't fill"),
        ({"segmentation": {"size": [48, 64], "counts": [9, -9]}}, "run lengths that don't fill"),
        ({"segmentation": runs(PART.T, (64, 48))}, "run lengths are of another size"),
        ({"bbox": [10, 20, 30, 5], "iscrowd": 1, "segmentation": runs(PART)}, "a crowd region"),
    ],
)
@pytest.mark.parametrize("size", [{"width": 64, "height": 48}, {"width": None}])
def test_a_picture_with_an_annotation_that_cant_be_used_is_left_out(
    foreign, coco, annotation, reason, size
):
    for name in ("a.png", "b.png"):
        foreign.picture(name)
    images = [{"id": 11, "file_name": "a.png", **size}, {"id": 12, "file_name": "b.png"}]
    faulty = {"image_id": 11, "category_id": 7, **annotation}
    report = coco(box(), faulty, box(image=12), images=images)
    assert foreign.imported() == [[("polyp", pytest.approx([10, 20, 40, 25]))]]
    ((counted, number),) = report.left_out.counts.items()
    assert counted.startswith(f"picture: {reason}")
    assert number == 1
    with pytest.raises(UserError, match=rf"a\.png.*{reason}.*--strict"):
        coco(faulty, images=images, strict=True, output_root=str(foreign.root / "strict"))


def test_which_annotation_it_was_is_said(foreign, coco):
    for name in ("a.png", "b.png"):
        foreign.picture(name)
    images = [{"id": 11, "file_name": "a.png"}, {"id": 12, "file_name": "b.png"}]
    upside = {"image_id": 11, "category_id": 7, "segmentation": runs(PART.T, (64, 48))}
    report = coco(box(image=12), upside, images=images)
    assert report.lines()[-1] == (
        "  left out: 1 x picture: run lengths are of another size, such as a.png "
        "(annotation 1: 48x64, picture 64x48)"
    )


def test_an_annotation_of_an_image_that_isnt_listed_is_counted(foreign, coco):
    foreign.picture("a.png")
    report = coco(box(), box(image=99))
    assert report.left_out.counts == {"box: of an image that isn't listed": 1}


@pytest.mark.parametrize("quoted", ["image", "category", "annotation", "all"])
def test_ids_and_sizes_in_quotes_are_the_numbers(foreign, coco, quoted):
    foreign.picture("a.png")
    image, category, annotation = (
        str if quoted in (what, "all") else int for what in ("image", "category", "annotation")
    )
    size = {"width": image(64), "height": image(48)}
    coco(
        box(image=annotation(11), category=annotation(7)),
        images=[{"id": image(11), "file_name": "a.png", **size}],
        categories=[{"id": category(7), "name": "polyp"}],
    )
    assert foreign.imported() == [[("polyp", pytest.approx([10, 20, 40, 25]))]]


def test_text_that_isnt_a_plain_number_stays_text(foreign, coco):
    for name in ("a.png", "b.png"):
        foreign.picture(name)
    images = [{"id": "007", "file_name": "a.png"}, {"id": "7.0", "file_name": "b.png"}]
    report = coco(box(image="007"), box(image=7), box(3, image=7), images=images)
    assert [len(boxes) for boxes in foreign.imported()] == [1, 2]
    assert not report.left_out.counts


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_any_unicode_encoding_is_read(foreign, encoding):
    foreign.picture("полип.png")
    images = [{"id": 11, "file_name": "полип.png", "width": 64, "height": 48}]
    path = foreign.root / "annotations.json"
    text = json.dumps(json.loads(dataset(box(), images=images)), ensure_ascii=False)
    path.write_bytes(text.encode(encoding))
    foreign.bring_in("coco", annotations=str(path))
    assert foreign.imported() == [[("polyp", pytest.approx([10, 20, 40, 25]))]]


@pytest.mark.parametrize("absent", [{}, {"annotations": None}])
def test_a_file_that_says_nothing_of_its_images_is_an_error(foreign, absent):
    foreign.picture("a.png")
    images = [{"id": 11, "file_name": "a.png"}]
    path = foreign.file("info.json", json.dumps({"images": images, "categories": None, **absent}))
    with pytest.raises(UserError, match=r"info\.json: has no annotations, so it doesn't say what"):
        foreign.bring_in("coco", annotations=str(path))


def test_pictures_are_found_by_path_or_by_a_name_that_is_unique(foreign, coco):
    for name in ("x/a.png", "y/a.png", "y/b.png"):
        foreign.picture(name)
    images = [
        {"id": 1, "file_name": "x/a.png"},
        {"id": 2, "file_name": "elsewhere/b.png"},
        {"id": 3, "file_name": "a.png"},
        {"id": 4, "file_name": "gone.png"},
    ]
    report = coco(box(image=1), box(image=2), images=images)
    assert [(run.group, run.boxes["polyp"]) for run in report.runs] == [("x", 1), ("y", 1)]
    assert report.left_out.counts == {
        "picture: several have the file name": 1,
        "picture: missing": 1,
        "picture: several labels or pictures fit its name": 1,
    }


@pytest.mark.parametrize("images", ["images", "images/x"])
def test_the_file_name_alone_says_nothing_where_folders_share_it(foreign, coco, images):
    """Frames of several videos are numbered alike, and one video is there."""
    for name in ("x/1.png", "x/2.png", "x/3.png"):
        foreign.picture(name)
    listed = ["y/1.png", "x/1.png", "y/2.png", "y/3.png", r"C:\data\x\3.png"]
    entries = [{"id": number, "file_name": name} for number, name in enumerate(listed)]
    boxes = [box(image=number, bbox=[number, 0, 5, 5]) for number in range(len(listed))]
    folder = str(foreign.root / images)
    report = coco(*boxes, images=entries, images_folder=folder, unlabelled="background")
    lefts = [[corners[0] for _, corners in frame] for frame in foreign.imported()]
    assert lefts == [[pytest.approx(1)], [pytest.approx(4)]]
    assert report.left_out.counts == {
        "picture: missing": 3,
        "picture: several labels or pictures fit its name": 1,
    }


def test_two_images_that_are_one_picture_are_an_error_that_names_them(foreign, coco):
    foreign.picture("x/a.png")
    images = [{"id": 1, "file_name": "x/a.png"}, {"id": 2, "file_name": "/data/x/a.png"}]
    with pytest.raises(UserError, match=r"json: x/a\.png and /data/x/a\.png are both x/a\.png"):
        coco(images=images)


def test_none_of_the_images_there_is_an_error_that_names_folder_and_file(foreign, coco):
    foreign.picture("other.png")
    with pytest.raises(UserError, match=r"none of the 1 image of .*json is in .*such as a\.png"):
        coco(box())


def test_a_picture_of_another_size_than_its_label_says_is_left_out(foreign, coco):
    foreign.picture("a.png", size=(32, 24))
    with pytest.raises(UserError, match=r"its label is of another size.*32x24, label 64x48"):
        coco(box())
    assert not list(foreign.output.glob("run_*"))


def test_a_field_of_the_images_can_name_the_runs(foreign, coco):
    for name in ("a.png", "b.png", "c.png"):
        foreign.picture(name)
    images = [
        {"id": n, "file_name": f"{name}.png", "video_id": video}
        for n, (name, video) in enumerate([("a", 5), ("b", 12), ("c", 5)])
    ]
    report = coco(images=images, group="field:video_id")
    assert [(run.group, run.frames) for run in report.runs] == [
        ("video_id 5", 2),
        ("video_id 12", 1),
    ]
    with pytest.raises(UserError, match=r"--group field:patient: a\.png has no patient"):
        coco(images=images, group="field:patient", output_root=str(foreign.root / "other"))


@pytest.mark.parametrize("text", ["", "3", '{"images": 3}', '{"images": [{"id": 1}]}'])
def test_another_json_is_an_error(foreign, text):
    foreign.picture("a.png")
    path = foreign.file("annotations.json", text)
    with pytest.raises(UserError, match=r"not COCO's JSON: [^ ]"):
        foreign.bring_in("coco", annotations=str(path))


def test_a_missing_file_is_an_error(foreign):
    foreign.picture("a.png")
    with pytest.raises(UserError, match=r"--annotations none\.json: No such file"):
        foreign.bring_in("coco", annotations="none.json")
