"""Masks in: a box for each connected part."""

import cv2
import numpy as np
import pytest

from endoforge.core.errors import UserError
from endoforge.formats.masks import parts_of, read_mask

PART = (slice(10, 25), slice(20, 32))
IN_PIXELS = [20, 10, 32, 25]


def write(path, mask):
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), mask)
    return path


def blank(*shape):
    return np.zeros(shape or (48, 64), np.uint8)


def test_each_connected_part_is_a_box_and_small_ones_are_counted(foreign):
    foreign.picture("a.png")
    mask = blank()
    mask[PART] = 255
    mask[30:40, 2:12] = 255
    mask[40, 12] = 255  # touches by a corner
    mask[45:47, 50:53] = 255
    write(foreign.root / "masks" / "a.png", mask)
    masks = str(foreign.root / "masks")
    report = foreign.bring_in("masks", annotations=masks, min_area=100)
    assert foreign.imported() == [
        [("polyp", pytest.approx([2, 30, 13, 41])), ("polyp", pytest.approx(IN_PIXELS))]
    ]
    assert report.left_out.counts == {"box: part of a mask smaller than 100 pixels (--min-area)": 1}
    every = foreign.bring_in(
        "masks", annotations=masks, min_area=1, class_name="adenoma", output_root=f"{masks}_all"
    )
    assert every.runs[0].boxes == {"adenoma": 3}


def test_the_size_that_is_enough_is_exact():
    mask = np.zeros((9, 9), bool)
    mask[1:4, 1:4] = True
    assert parts_of(mask, 9) == ([(1, 1, 4, 4)], 0)
    assert parts_of(mask, 10) == ([], 1)


def test_masks_are_found_by_their_usual_names_and_may_be_empty(foreign):
    for name in ("a.png", "b.png", "c.png", "d.png"):
        foreign.picture(name)
    mask = blank()
    mask[PART] = 255
    for name in ("a_mask.png", "b.bmp", "odd.png"):
        write(foreign.root / "masks" / name, mask)
    write(foreign.root / "masks" / "c_segmentation.tif", blank())
    report = foreign.bring_in("masks", annotations=str(foreign.root / "masks"))
    assert (report.runs[0].frames, report.runs[0].empty) == (3, 1)
    assert report.left_out.counts == {
        "picture: no label (--unlabelled background keeps such)": 1,
        "label: no picture of its name": 1,
    }


@pytest.mark.parametrize(
    ("name", "value", "set_"),
    [
        ("ones.png", 1, True),
        ("white.png", 255, True),
        ("red.png", (0, 0, 200), True),
        ("dark red.png", (0, 0, 90), True),
        ("white.jpg", 255, True),
        ("noise.jpg", 20, False),
    ],
)
def test_what_counts_as_set(tmp_path, name, value, set_):
    mask = blank(48, 64, 3)
    mask[PART] = value
    found = read_mask(write(tmp_path / name, mask))
    assert found.shape == (48, 64)
    boxes, _ = parts_of(found, 20)
    assert len(boxes) == set_
    if set_ and name.endswith("png"):
        assert boxes == [tuple(IN_PIXELS)]


def test_a_bright_mask_has_no_noise(tmp_path):
    mask = blank()
    mask[PART] = 255
    mask[30:46, 40:60] = 60
    assert parts_of(read_mask(write(tmp_path / "m.png", mask)), 20)[0] == [tuple(IN_PIXELS)]


def test_a_mask_of_another_size_or_none_at_all_is_left_out(foreign):
    for name in ("a.png", "b.png", "c.png"):
        foreign.picture(name)
    masks = foreign.root / "masks"
    write(masks / "a.png", blank())
    write(masks / "b.png", blank(24, 32))
    (masks / "c.png").write_bytes(b"no picture")
    report = foreign.bring_in("masks", annotations=str(masks))
    assert report.left_out.counts == {
        "picture: mask unreadable": 1,
        "picture: its label is of another size": 1,
    }


def test_masks_among_the_pictures_are_refused(foreign):
    foreign.picture("a.png")
    foreign.picture("masks/a.png")
    with pytest.raises(UserError, match="would be taken for pictures"):
        foreign.bring_in("masks", annotations=str(foreign.images / "masks"))
