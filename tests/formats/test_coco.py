"""COCO in: by names and ids, never by places."""

import json

import pytest

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
    def bring_in(*annotations, images=None, categories=CATEGORIES, **settings):
        text = dataset(*annotations, images=images, categories=categories)
        path = foreign.file("annotations.json", text)
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
    with pytest.raises(UserError, match=r"two images are a\.png"):
        coco(box(), images=same)


def test_a_polygon_does_without_a_box_and_what_has_neither_is_counted(foreign, coco):
    foreign.picture("a.png")
    polygon = box(bbox=None, segmentation=[[5, 6, 9, 6, 7, 12], [20, 8, 22, 8, 22, 9]])
    report = coco(
        polygon,
        box(bbox=None),
        box(bbox=[1, 2, 3]),
        box(bbox=None, segmentation={"counts": "abc", "size": [48, 64]}),
        box(iscrowd=1),
        box(image=99),
        box(bbox=[1, 2, 0, 5]),
        box(bbox=[None, 2, 3, 5]),
    )
    assert foreign.imported() == [[("polyp", pytest.approx([5, 6, 22, 12]))]]
    assert report.left_out.counts == {
        "box: neither bbox nor polygons": 2,
        "box: bbox doesn't have four numbers": 1,
        "box: a crowd region, which isn't one object": 1,
        "box: of an image that isn't listed": 1,
        "box: no area within the picture": 1,
        "box: NaN or infinite": 1,
    }


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


def test_none_of_the_images_there_is_an_error_that_names_folder_and_file(foreign, coco):
    foreign.picture("other.png")
    with pytest.raises(UserError, match=r"none of the 1 images of .*json is in .*such as a\.png"):
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


@pytest.mark.parametrize("text", ["", "[]", '{"images": 3}', '{"images": [{"id": 1}]}'])
def test_another_json_is_an_error(foreign, text):
    foreign.picture("a.png")
    path = foreign.file("annotations.json", text)
    with pytest.raises(UserError, match="not COCO's JSON"):
        foreign.bring_in("coco", annotations=str(path))


def test_a_missing_file_is_an_error(foreign):
    foreign.picture("a.png")
    with pytest.raises(UserError, match=r"--annotations none\.json: No such file"):
        foreign.bring_in("coco", annotations="none.json")
