"""What can't be meant is said before anything is read."""

from typing import Any

import pytest

from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig, ImportConfig

PICTURES: dict[str, Any] = {"format": "yolo", "images": "images"}
MASKS = {"format": "masks", "images": "images", "annotations": "masks"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "either --images"),
        ({**PICTURES, "video": "clip.mp4"}, "either --images"),
        (
            {"images": "images"},
            "--format: one of coco, yolo, voc, masks, cvat, mot, labelme, kvasir, ldpolyp, "
            "imagefolder, webdataset is needed",
        ),
        ({**PICTURES, "format": "coco"}, "--annotations: --format coco needs the JSON file"),
        ({**PICTURES, "format": "masks"}, "--annotations: --format masks needs the folder"),
        ({**PICTURES, "format": "kvasir"}, "--annotations: --format kvasir needs the JSON file"),
        ({**PICTURES, "format": "imagefolder", "annotations": "x"}, "leave it out"),
        ({**PICTURES, "format": "webdataset", "annotations": "x"}, "leave it out"),
        (
            {**PICTURES, "format": "voc", "names": "x"},
            "--names is for YOLO, MOT, imagefolder",
        ),
        ({**PICTURES, "fps": 0}, "--fps 0: must be a number greater than 0; try 25"),
        (
            {**PICTURES, "format": "mot", "annotations": "x"},
            "--annotations: --format mot has labels",
        ),
        ({**PICTURES, "min_area": 0}, "--min-area 0"),
        ({**PICTURES, "class_name": " "}, "--class-name"),
        ({**PICTURES, "mask_pattern": "(.+)"}, "--mask-pattern goes with --format masks"),
        ({**MASKS, "mask_pattern": "("}, r"--mask-pattern \(: not a pattern"),
        ({**MASKS, "mask_pattern": "x"}, "--mask-pattern x: needs a group"),
        ({"video": "clip.mp4", "mask_pattern": "(x)"}, "--mask-pattern: frames of a --video"),
        ({**PICTURES, "class_map": "polyp"}, "--class-map polyp: must be OLD=NEW"),
        ({**PICTURES, "group": "video"}, "--group video: must be folder, one"),
        ({**PICTURES, "group": "name:("}, "not a pattern"),
        ({**PICTURES, "group": "field:video"}, "only COCO's images have fields"),
        ({"video": "clip.mp4", "fps": 0}, "--fps 0"),
        ({"video": "clip.mp4", "fps": float("nan")}, "--fps nan"),
        ({"video": "clip.mp4", "format": "coco"}, "--format: frames of a --video have no labels"),
        ({"video": "clip.mp4", "annotations": "x"}, "--annotations: frames of a --video"),
    ],
)
def test_import_settings_that_cant_be_meant(settings, words):
    with pytest.raises(UserError, match=words):
        ImportConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"paths": ("run", "out")},
            "--format: one of coco, yolo, yolo-seg, voc, masks, cvat, label-studio, mot, "
            "webdataset, parquet, c3vd, simcol3d is needed",
        ),
        ({"format": "coco", "paths": ("run",)}, "name at least one run"),
        (
            {"format": "coco", "paths": ("a", "b", "out"), "split_manifest": "s.json"},
            "--split-manifest is of one folder",
        ),
    ],
)
def test_convert_settings_that_cant_be_meant(settings, words):
    with pytest.raises(UserError, match=words):
        ConvertConfig(**settings)


def test_the_class_map_is_by_name():
    config = ImportConfig(**PICTURES, class_map="adenoma=polyp, a b = c,tool=,")
    assert config.renamed == {"adenoma": "polyp", "a b": "c", "tool": ""}
