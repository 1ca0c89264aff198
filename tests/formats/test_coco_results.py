"""COCO's results in: what a detector found, which is no truth."""

import json

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from endoforge.captures.index import index_root
from endoforge.captures.run_frames import AWAITS_REVIEW
from endoforge.core.errors import UserError

NAMING = {
    "images": [{"id": 4, "file_name": "a.png"}, {"id": 5, "file_name": "b.png"}],
    "annotations": [{"id": 1, "image_id": 4, "category_id": 7, "bbox": [0, 0, 9, 9]}],
    "categories": [{"id": 7, "name": "polyp"}, {"id": 8, "name": "tool"}],
}


def result(score, image=4, category=7, **others):
    found = {"image_id": image, "category_id": category, "bbox": [10, 20, 30, 5], "score": score}
    return found | others


@pytest.fixture
def results(foreign):
    """Brings results in, of two pictures that `naming` names beside them."""
    for name in ("a.png", "b.png"):
        foreign.picture(name)

    def bring_in(*found, naming=NAMING, **settings):
        if naming is not None:
            foreign.file("coco_images.json", json.dumps(naming))
        path = foreign.file("coco_results.json", " \n" + json.dumps(list(found)))
        return foreign.bring_in("coco", annotations=str(path), **settings)

    return bring_in


def labels(root):
    return [json.loads(path.read_text()) for path in sorted(root.glob("run_*/labels/*.json"))]


def test_they_are_a_detectors_word_also_where_it_found_nothing(foreign, results):
    weaker = result(0.31, category=8, bbox=[1, 2, 3, 4])
    report = results(result(0.875, track_id=3), weaker, result(0.29, image=5))
    found, nothing = labels(foreign.output)
    assert [
        (one["label"], one["score"], one["source"], one["bbox_px"], one.get("polyp_id"))
        for one in found["polyp_labels"]
    ] == [
        ("polyp", 0.875, "predicted", [10, 20, 40, 25], 3),
        ("tool", 0.31, "predicted", [1, 2, 4, 6], None),
    ]
    assert (found["source"], nothing["source"]) == ("predicted", "predicted")
    assert nothing["polyp_labels"] == []
    index = index_root(foreign.output)
    assert (index.frames, index.dropped) == ([], {f"frame: {AWAITS_REVIEW}": 2})
    reason = "detection: of a score below --infer-obj-thresh 0.3"
    assert report.left_out.counts == {reason: 1}
    assert any("nothing learns from these frames" in line for line in report.lines())


def test_the_threshold_can_be_another_and_is_part_of_what_the_run_is(foreign, results):
    found = [result(0.6), result(0.4, image=5)]
    results(*found, infer_obj_thresh=0.5)
    assert [len(label["polyp_labels"]) for label in labels(foreign.output)] == [1, 0]
    assert results(*found, infer_obj_thresh=0.5).runs[0].there == 2
    with pytest.raises(UserError, match="with other pictures, labels or settings"):
        results(*found)
    with pytest.raises(UserError, match="with other pictures, labels or settings"):
        results(result(0.7), found[1], infer_obj_thresh=0.5)


def test_what_cant_be_matched_is_counted(foreign, results):
    missing = {"id": 6, "file_name": "clip.mp4#12"}
    foreign.picture("c.png")
    naming = NAMING | {"images": [*NAMING["images"], missing]}
    report = results(result(0.9), result(0.9, image=99), result(0.9, image=6), naming=naming)
    assert report.left_out.counts == {
        "box: of an image that isn't listed": 1,
        "picture: missing": 1,
        "picture: no label (--unlabelled background keeps such)": 1,
    }
    assert len(labels(foreign.output)) == 2


def test_another_file_can_name_the_images(foreign, results):
    named = foreign.file("instances.json", json.dumps(NAMING))
    results(result(0.9), naming=None, names=str(named))
    assert [len(label["polyp_labels"]) for label in labels(foreign.output)] == [1, 0]


def test_outlines_of_results_give_boxes_and_no_pixels(foreign, results):
    pixels = np.zeros((48, 64), np.uint8)
    pixels[20:25, 10:40] = 1
    outline = pycocotools_mask.encode(np.asfortranarray(pixels))
    outline["counts"] = outline["counts"].decode()
    found = result(0.9, segmentation=outline)
    del found["bbox"]
    results(found)
    assert labels(foreign.output)[0]["polyp_labels"][0]["bbox_px"] == [10, 20, 40, 25]
    assert not list(foreign.output.glob("run_*/instance"))


@pytest.mark.parametrize(
    ("found", "settings", "words"),
    [
        ([result(0.9)], {"naming": None}, "names no image, and no coco_images.json lies beside"),
        ([result(87)], {}, r"not COCO's results: 0.score Input should be less than or equal to 1"),
        ([{"image_id": 4, "category_id": 7, "bbox": [1, 1, 2, 2]}], {}, r"0.score Field required"),
        ([result(0.9, category=1)], {}, "category 1, which has no name"),
        ([result(0.9)], {"names": "nowhere.json"}, "--names nowhere.json: No such file"),
    ],
)
def test_what_is_no_list_of_results_is_an_error(foreign, results, found, settings, words):
    with pytest.raises(UserError, match=words):
        results(*found, **settings)
    assert not foreign.output.exists()


def test_flags_of_results_say_nothing_of_annotations(foreign):
    foreign.picture("a.png")
    path = foreign.file("annotations.json", json.dumps(NAMING))
    with pytest.raises(UserError, match=r"--names x\.json: is for COCO's results"):
        foreign.bring_in("coco", annotations=str(path), names="x.json")
    with pytest.raises(UserError, match="--infer-obj-thresh: --format yolo has no detections"):
        foreign.bring_in("yolo", infer_obj_thresh=0.5)
