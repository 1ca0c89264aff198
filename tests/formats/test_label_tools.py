"""Labelme, Kvasir-SEG, LDPolypVideo and imagefolder in: what can't be used is left out."""

import json

import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError

RECTANGLE = {"label": "polyp", "points": [[20, 30], [4, 6]], "shape_type": "rectangle"}
POLYGON = {"label": "IIa", "points": [[1, 2], [9, 2], [5, 12.5]], "shape_type": "polygon"}


def labelme(*shapes, **more):
    return json.dumps({"version": "5", "shapes": shapes, "imagePath": "x.png", **more})


def test_labelme_has_rectangles_of_any_two_corners_and_polygons(foreign):
    for name in ("a", "b", "c"):
        foreign.picture(f"{name}.png")
    foreign.file("images/a.json", labelme(RECTANGLE, POLYGON, imageWidth=64, imageHeight=48))
    foreign.file("images/b.json", labelme())
    report = foreign.bring_in("labelme")
    assert foreign.imported() == [
        [
            ("IIa", pytest.approx([1, 2, 9, 12.5])),
            ("polyp", pytest.approx([4, 6, 20, 30])),
        ],
        [],
    ]
    assert report.left_out.counts == {"picture: no label (--unlabelled background keeps such)": 1}


def test_labelmes_shapes_of_a_group_are_one_object(foreign):
    foreign.picture("a.png")
    other = {**RECTANGLE, "points": [[30, 2], [40, 8]]}
    grouped = [{**RECTANGLE, "group_id": 1}, {**other, "group_id": 1}, POLYGON]
    foreign.file("labels/a.json", labelme(*grouped))
    foreign.bring_in("labelme", annotations=str(foreign.root / "labels"))
    assert foreign.imported() == [
        [
            ("IIa", pytest.approx([1, 2, 9, 12.5])),
            ("polyp", pytest.approx([4, 2, 40, 30])),
        ]
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (labelme(RECTANGLE, {**POLYGON, "shape_type": "point"}), "a shape that has no box"),
        (labelme({**POLYGON, "points": [[1, 2], [3, 4]]}), "a polygon of too few points"),
        (labelme({**RECTANGLE, "points": [[1, 2], [3, float("nan")]]}), "label malformed"),
        (labelme({**RECTANGLE, "label": " "}), "a shape without a label"),
        (
            labelme({**RECTANGLE, "points": [[0.1, 0.2], [0.5, 0.6]]}),
            "a box in 0..1 where pixels are meant",
        ),
        (labelme(RECTANGLE, imageWidth=640, imageHeight=480), "its label is of another size"),
        ("{}", "label malformed"),
        ("no JSON", "label malformed"),
    ],
)
def test_labelme_that_cant_be_used_leaves_its_picture_out(foreign, text, reason):
    foreign.picture("a.png")
    foreign.picture("b.png")
    foreign.file("images/a.json", text)
    foreign.file("images/b.json", labelme(RECTANGLE))
    report = foreign.bring_in("labelme")
    assert report.left_out.counts == {f"picture: {reason}": 1}
    assert foreign.imported() == [[("polyp", pytest.approx([4, 6, 20, 30]))]]


def kvasir(**changes):
    box = {"label": "polyp", "xmin": 4, "ymin": 6, "xmax": 20, "ymax": 30}
    return {"height": 48, "width": 64, "bbox": [box], **changes}


def bring_in_kvasir(foreign, entries):
    file = foreign.file("kavsir_bboxes.json", json.dumps(entries))
    return foreign.bring_in("kvasir", annotations=str(file))


def test_kvasir_names_its_pictures_without_endings(foreign):
    for name in ("cju1.jpg", "cju2.jpg", "cju3.jpg"):
        foreign.picture(name, "JPEG")
    report = bring_in_kvasir(foreign, {"cju1": kvasir(), "cju2": kvasir(bbox=[]), "x": kvasir()})
    assert foreign.imported() == [[("polyp", pytest.approx([4, 6, 20, 30]))], []]
    assert report.left_out.counts == {
        "picture: missing": 1,
        "picture: no label (--unlabelled background keeps such)": 1,
    }


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (kvasir(width=63), "its label is of another size"),
        (kvasir(bbox=[{"label": "polyp", "xmin": 4}]), "label malformed"),
        (kvasir(bbox=None), "label malformed"),
        ([], "label malformed"),
        (
            kvasir(bbox=[{"label": "", "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}]),
            "a box without a label",
        ),
        (
            kvasir(bbox=[{"label": "a", "xmin": 9, "ymin": 2, "xmax": 3, "ymax": 4}]),
            "a box with reversed corners",
        ),
    ],
)
def test_an_entry_of_kvasir_that_cant_be_used_leaves_its_picture_out(foreign, entry, reason):
    foreign.picture("a.png")
    foreign.picture("b.png")
    report = bring_in_kvasir(foreign, {"a": entry, "b": kvasir()})
    assert report.left_out.counts == {f"picture: {reason}": 1}
    assert len(foreign.imported()) == 1


def test_a_name_of_kvasir_that_two_pictures_have_is_of_neither_and_lists_are_an_error(foreign):
    for name in ("a.png", "a.jpg", "b.png"):
        foreign.picture(name)
    report = bring_in_kvasir(foreign, {"a": kvasir(), "b": kvasir()})
    assert report.left_out.counts == {
        "picture: several have the file name": 1,
        "picture: several labels or pictures fit its name": 2,
    }
    with pytest.raises(UserError, match=r"kavsir_bboxes.json: not Kvasir-SEG's JSON"):
        bring_in_kvasir(foreign, [])


def test_ldpolyps_texts_count_their_boxes_first(foreign):
    for name in ("1/1_0001.png", "1/1_0002.png", "2/2_0001.png"):
        foreign.picture(name)
    foreign.file("Annotations/1/1_0001.txt", "2\n4 6 20 30\n1 2 9 12\n")
    foreign.file("Annotations/1/1_0002.txt", "0\n")
    foreign.file("Annotations/2/2_0001.txt", "1\r\n0 0 64 48")
    report = foreign.bring_in("ldpolyp", class_name="adenoma", fps=25)
    assert [(run.frames, run.empty) for run in report.runs] == [(2, 1), (1, 0)], "a run a video"
    assert foreign.imported() == [
        [("adenoma", pytest.approx([1, 2, 9, 12])), ("adenoma", pytest.approx([4, 6, 20, 30]))],
        [],
        [("adenoma", pytest.approx([0, 0, 64, 48]))],
    ]
    assert [frame.seconds for frame in index_root(foreign.output).frames] == [0, 0.04, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its label doesn't say first how many boxes follow"),
        ("2\n1 2 3 4", "its label doesn't say first how many boxes follow"),
        ("1 2 3 4", "its label doesn't say first how many boxes follow"),
        ("1\n1 2 3", "a box that isn't four numbers"),
        ("1\n1 2 3 inf", "a box with NaN or infinite corners"),
        ("1\n0.1 0.2 0.3 0.4", "a box in 0..1 where pixels are meant"),
        ("1\n9 2 3 4", "a box with reversed corners"),
    ],
)
def test_a_text_of_ldpolyp_that_cant_be_used_leaves_its_frame_out(foreign, text, reason):
    foreign.picture("a.png")
    foreign.picture("b.png")
    foreign.file("images/a.txt", text)
    foreign.file("images/b.txt", "0")
    report = foreign.bring_in("ldpolyp")
    assert report.left_out.counts == {f"picture: {reason}": 1}
    assert foreign.imported() == [[]]


def line(name, *boxes, categories=None, **more):
    kinds = ["polyp"] * len(boxes) if categories is None else categories
    objects = {"bbox": boxes, "categories": kinds}
    return json.dumps({"file_name": name, "objects": objects, **more}) + "\n"


def test_imagefolders_lines_name_pictures_from_their_own_folder_on(foreign):
    for name in ("train/a.png", "train/b.png", "val/a.png", "val/c.png"):
        foreign.picture(name)
    foreign.file(
        "images/train/metadata.jsonl", line("a.png", [4, 6, 16, 24.5]) + "\n" + line("b.png")
    )
    foreign.file("images/val/metadata.jsonl", line("a.png", [0, 0, 9, 9]) + line("x.png"))
    report = foreign.bring_in("imagefolder")
    assert foreign.imported() == [
        [("polyp", pytest.approx([4, 6, 20, 30.5]))],
        [],
        [("polyp", pytest.approx([0, 0, 9, 9]))],
    ]
    assert report.left_out.counts == {
        "picture: missing": 1,
        "picture: no label (--unlabelled background keeps such)": 1,
    }


def test_imagefolders_numbers_have_names_or_there_is_an_error(foreign):
    foreign.picture("a.png")
    foreign.file("images/metadata.jsonl", line("a.png", [4, 6, 16, 24], categories=[1]))
    with pytest.raises(UserError, match=r"metadata.jsonl line 1: category 1 has no name \(none\)"):
        foreign.bring_in("imagefolder")
    names = foreign.file("names.txt", "tool\npolyp\n")
    foreign.bring_in("imagefolder", names=str(names))
    assert foreign.imported() == [[("polyp", pytest.approx([4, 6, 20, 30]))]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"file_name": "a.png"}', "its line has no objects"),
        ('{"file_name": "a.png", "objects": {}}', "label malformed"),
        (line("a.png", [1, 2, "3", 4]), "label malformed"),
        (line("a.png", [1, 2, 3]), "a box that isn't four numbers"),
        (line("a.png", [1, 2, 3, -4]), "bbox of negative size"),
        (line("a.png", [0.1, 0.1, 0.5, 0.5]), "a box in 0..1 where pixels are meant"),
        (line("a.png", [1, 2, 3, 4], categories=[" "]), "a box without a category"),
        (
            line("a.png", [1, 2, 3, 4], categories=[]),
            "its line has not as many categories as boxes",
        ),
        (line("a.png") + line("a.png"), "named twice"),
    ],
)
def test_a_line_of_imagefolder_that_cant_be_used_leaves_its_picture_out(foreign, text, reason):
    foreign.picture("a.png")
    foreign.picture("b.png")
    foreign.file("images/metadata.jsonl", line("b.png", [4, 6, 16, 24]) + text)
    report = foreign.bring_in("imagefolder")
    assert report.left_out.counts == {f"picture: {reason}": 1}
    assert len(foreign.imported()) == 1


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"objects": {"bbox": [], "categories": []}}'])
def test_a_line_that_may_be_of_any_picture_ends_the_import(foreign, text):
    foreign.picture("a.png")
    foreign.file("images/metadata.jsonl", line("a.png") + text)
    with pytest.raises(UserError, match=r"metadata.jsonl line 2: may be of any picture"):
        foreign.bring_in("imagefolder")


def test_without_a_metadata_file_there_is_an_error(foreign):
    foreign.picture("a.png")
    with pytest.raises(UserError, match=r"no metadata.jsonl in .*images"):
        foreign.bring_in("imagefolder")
