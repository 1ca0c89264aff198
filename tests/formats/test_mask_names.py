"""Masks are found by the namings of public data sets, or by a pattern."""

import numpy as np
import pytest

from endoforge.core.errors import UserError
from endoforge.formats.mask_names import mask_files
from endoforge.formats.source import Pictures

from .test_masks import PART, blank, write


def found(foreign, pictures, masks, pattern=None):
    """The masks of each picture, and which pictures are unclear."""
    for name in pictures:
        foreign.picture(name)
    folder = foreign.root / "masks"
    for name in masks:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, blank())
    of = Pictures(foreign.images)
    files = mask_files(of, folder, pattern)
    names = {
        picture: [path.relative_to(folder).as_posix() for path in paths]
        for picture, paths in files.items()
    }
    return names, set(of.unclear)


@pytest.mark.parametrize(
    "mask",
    [
        "1.png", "p1.png", "P1.tif", "mask_1.png", "mask1.png", "Mask-1.png", "gt_1.png",
        "1_mask.png", "1_MASK.png", "1-mask.png", "1mask.png", "1.mask.png", "1 mask.png",
        "1_GT.png", "1_label.png", "1_labels.png", "1_groundtruth.png", "1_ground_truth.png",
        "1_annotation.png", "1_seg.png", "1_segmentation.bmp", "1_mask_0.png", "1_gt_mask.png",
        "1_Corrected.tif", "1_polyp.tif", "sub/1_mask.png", "1.PNG",
    ],
)  # fmt: skip
def test_the_usual_names(foreign, mask):
    assert found(foreign, ["1.png", "2.png"], [mask]) == ({"1.png": [mask]}, set())


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("image_1.png", "mask_1.png"),
        ("img1.png", "mask1.png"),
        ("1_image.png", "1_mask.png"),
        ("1_original.png", "1_gt.png"),
        ("x/1.png", "x/p1.png"),
        ("x/images/1.png", "x/1_mask.png"),
        ("Übung.png", "u\u0308bung_mask.png"),
    ],
)
def test_pictures_may_have_a_word_too_and_be_spelt_differently(foreign, picture, mask):
    assert found(foreign, [picture, "other.png"], [mask])[0] == {picture: [mask]}


def test_several_masks_of_a_picture_all_belong_to_it(foreign):
    masks = ["1_mask_0.png", "1_mask_1.png", "1_mask_2.png", "2_mask.png"]
    assert found(foreign, ["1.png", "2.png"], masks)[0] == {
        "1.png": masks[:3], "2.png": ["2_mask.png"]
    }  # fmt: skip


def test_the_very_name_goes_before_a_name_with_a_word(foreign):
    masks = ["1.png", "p1.png", "p2.png", "x_polyp_mask.png"]
    pictures = ["1.png", "p1.png", "p2.png", "2.png", "x.png", "x_polyp.png"]
    assert found(foreign, pictures, masks)[0] == {
        "1.png": ["1.png"],
        "p1.png": ["p1.png"],
        "p2.png": ["p2.png"],
        "x_polyp.png": ["x_polyp_mask.png"],
    }


@pytest.mark.parametrize(
    "masks", [["1.png", "1_mask.png"], ["1_mask.png", "1_gt.png"], ["1.png", "1.bmp"]]
)
def test_masks_named_in_two_ways_are_unclear(foreign, masks):
    assert found(foreign, ["1.png", "2.png"], [*masks, "2.png"]) == (
        {"2.png": ["2.png"]}, {"1.png"}
    )  # fmt: skip


def test_masks_of_one_name_in_two_folders_are_unclear(foreign):
    masks = ["a/1.png", "b/1.png", "2.png"]
    assert found(foreign, ["1.png", "2.png"], masks) == ({"2.png": ["2.png"]}, {"1.png"})


def test_a_pattern_finds_other_names(foreign):
    masks = ["T-1-x.png", "T-1-y.png", "T-2-x.png"]
    assert found(foreign, ["1.png", "2.png"], masks, r"T-(\d+)-")[0] == {
        "1.png": masks[:2], "2.png": masks[2:]
    }  # fmt: skip


def test_where_none_is_found_the_known_names_and_one_that_is_there_are_told(foreign):
    with pytest.raises(UserError, match=r"1_mask, .* p1, .* there is T-1\.png, .* --mask-pattern"):
        found(foreign, ["1.png"], ["T-1.png"])
    with pytest.raises(UserError, match=r"there is T-1\.png.*first group of --mask-pattern"):
        found(foreign, ["1.png"], ["T-1.png"], "(X)")
    with pytest.raises(UserError, match="no picture in it"):
        mask_files(Pictures(foreign.images), foreign.images, None)


def test_the_pictures_are_no_masks_of_themselves(foreign):
    foreign.picture("1.png")
    write(foreign.root / "masks" / "1_mask.png", blank())
    files = mask_files(Pictures(foreign.images), foreign.root, None)
    assert [path.name for path in files["1.png"]] == ["1_mask.png"]


def test_a_picture_has_the_boxes_of_all_its_masks(foreign):
    foreign.picture("1.png")
    mask = blank()
    mask[PART] = 255
    for place, name in enumerate(("1_mask_0.png", "1_mask_1.png")):
        write(foreign.root / "masks" / name, np.roll(mask, 30 * place, axis=1))
    foreign.bring_in("masks", annotations=str(foreign.root / "masks"))
    lefts = [box[0] for _, box in foreign.imported()[0]]
    assert lefts == pytest.approx([20, 50])


def test_masks_of_two_sizes_leave_their_picture_out(foreign):
    for name in ("1.png", "2.png"):
        foreign.picture(name)
    masks = foreign.root / "masks"
    write(masks / "1_mask_0.png", blank())
    write(masks / "1_mask_1.png", blank(24, 32))
    write(masks / "2_mask.png", blank())
    report = foreign.bring_in("masks", annotations=str(masks))
    assert report.runs[0].frames == 1
    assert report.left_out.counts.total() == 1


def test_unclear_masks_make_no_background(foreign):
    for name in ("1.png", "2.png"):
        foreign.picture(name)
    masks = foreign.root / "masks"
    for name in ("1.png", "1_mask.png", "2.png"):
        write(masks / name, blank())
    report = foreign.bring_in("masks", annotations=str(masks), unlabelled="background")
    assert report.left_out.counts == {"picture: several labels or pictures fit its name": 1}
    assert report.runs[0].frames == 1
