"""Masks in: a box for each connected part."""

import cv2
import numpy as np
import pytest
from PIL import Image

from endoforge.captures.index import index_root
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.instances import around, instance_masks
from endoforge.formats.masks import instance_image, parts_of, read_mask

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
    ("name", "value"),
    [
        ("ones.png", 1),
        ("white.png", 255),
        ("red.png", (0, 0, 200)),
        ("dark red.png", (0, 0, 90)),
        ("white.jpg", 255),
    ],
)
def test_what_counts_as_set(tmp_path, name, value):
    mask = blank(48, 64, 3)
    mask[PART] = value
    found = read_mask(write(tmp_path / name, mask), 20)
    assert found.size == (64, 48)
    if name.endswith("png"):
        assert found.boxes == [tuple(IN_PIXELS)]
    else:
        assert np.allclose(found.boxes, [IN_PIXELS], atol=2)


OTHER_PART = (slice(30, 46), slice(40, 60))
OTHER_IN_PIXELS = [40, 30, 60, 46]


def boxes_of(path, min_area=20):
    return sorted(map(list, read_mask(path, min_area).boxes))


@pytest.mark.parametrize("values", [(60, 120), (1, 2), (255, 60), (200, 201)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_each_level_of_an_exact_mask_is_a_part_of_its_own(tmp_path, values, dtype):
    mask = blank().astype(dtype)
    mask[PART], mask[OTHER_PART] = values
    mask[16:25, 32:40] = values[1]  # touches the first
    path = write(tmp_path / "m.tif", mask)
    assert boxes_of(path) == [IN_PIXELS, [32, 16, 40, 25], OTHER_IN_PIXELS]


def test_more_than_two_levels_may_touch(tmp_path):
    mask = blank()
    for number in range(1, 13):
        row, column = divmod(number - 1, 4)
        mask[2 + 12 * row : 14 + 12 * row, 4 + 14 * column : 18 + 14 * column] = number
    assert len(boxes_of(write(tmp_path / "m.png", mask))) == 12


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_each_colour_of_a_palette_is_a_part_of_its_own(tmp_path, bits):
    numbers = blank()
    numbers[PART] = 1
    if bits > 1:
        numbers[OTHER_PART] = 2
    mask = Image.fromarray(numbers).convert("P")
    mask.putpalette([0, 0, 0, 0, 128, 0, 64, 0, 0])
    mask.save(tmp_path / "m.png", bits=bits)
    expected = [IN_PIXELS] if bits == 1 else [IN_PIXELS, OTHER_IN_PIXELS]
    assert boxes_of(tmp_path / "m.png") == expected


def test_a_palette_may_begin_with_white_or_say_nothing(tmp_path):
    numbers = np.ones((48, 64), np.uint8)
    numbers[PART] = 0
    mask = Image.fromarray(numbers).convert("P")
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(tmp_path / "white first.png")
    assert boxes_of(tmp_path / "white first.png") == [IN_PIXELS]
    mask = Image.fromarray(1 - numbers).convert("P")
    mask.putpalette([0, 0, 0] * 256)
    mask.save(tmp_path / "all black.png")
    assert boxes_of(tmp_path / "all black.png") == [IN_PIXELS]


def test_the_outline_that_voc_draws_around_objects_is_none(tmp_path):
    mask = blank(48, 64, 3)
    mask[5:30, 15:40] = (192, 224, 224)
    mask[PART] = (0, 0, 128)
    assert boxes_of(write(tmp_path / "m.png", mask)) == [IN_PIXELS]


@pytest.mark.parametrize("color", [255, 1, 90, (0, 0, 255), (30, 200, 0)])
@pytest.mark.parametrize("shift", [1, 3])
def test_of_a_mask_with_smooth_edges_what_is_half_bright_is_set(tmp_path, color, shift):
    sharp = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(sharp, (300, 200), 50, (255,) * 3, -1)
    smooth = cv2.GaussianBlur(sharp, (0, 0), shift) / 255
    mask = (smooth * color + 0.5).astype(np.uint8) if color != 1 else sharp // 255
    found = boxes_of(write(tmp_path / "m.png", mask if np.ndim(color) else mask[:, :, 0]))
    assert np.allclose(found, [[250, 150, 351, 251]], atol=2)


def drawn(color, centre, radius=40, into=None):
    mask = np.zeros((480, 640, 3), np.uint8) if into is None else into
    cv2.circle(mask, centre, radius, color, -1, cv2.LINE_AA)
    return mask


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_colours_apart_are_parts_though_edges_are_smooth(tmp_path, suffix):
    mask = drawn((0, 255, 0), (400, 300), into=drawn((0, 0, 255), (100, 100)))
    found = boxes_of(write(tmp_path / f"m.{suffix}", mask), 128)
    assert np.allclose(found, [[60, 60, 141, 141], [360, 260, 441, 341]], atol=1)


REFUSED = {
    "two colours touch": drawn((0, 255, 0), (160, 100), into=drawn((0, 0, 255), (100, 100))),
    "neither black nor half": drawn((60,) * 3, (400, 300), into=drawn((255,) * 3, (100, 100))),
    "neither black nor half bright, and": drawn(
        (60,) * 3, (160, 100), into=drawn((255,) * 3, (100, 100))
    ),
    "fills the whole": 255 - drawn((255,) * 3, (100, 100)),
}


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("reason", REFUSED)
def test_a_mask_with_smooth_edges_that_isnt_plain_is_unusable(tmp_path, reason, suffix):
    with pytest.raises(Unusable, match=reason):
        read_mask(write(tmp_path / f"m.{suffix}", REFUSED[reason]), 128)


@pytest.mark.parametrize("value", [1, 20, 100])
def test_a_dark_jpeg_isnt_taken_for_an_empty_mask(tmp_path, value):
    mask = blank()
    mask[PART] = value
    with pytest.raises(Unusable, match="JPEG without a bright pixel"):
        read_mask(write(tmp_path / "m.jpg", mask), 20)
    assert boxes_of(write(tmp_path / "black.jpg", blank())) == []
    assert boxes_of(write(tmp_path / "black.png", blank())) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [0, 1])
def test_an_alpha_channel_is_the_mask_where_the_colour_is_one(tmp_path, dtype, colour):
    white = np.iinfo(dtype).max
    mask = np.full((48, 64, 4), colour * white, dtype)
    mask[:, :, 3] = 0
    mask[PART][:, :, 3] = white
    assert boxes_of(write(tmp_path / "m.png", mask)) == [IN_PIXELS]


def test_a_colour_that_agrees_with_its_alpha_channel_counts_and_one_that_doesnt_is_refused(
    tmp_path,
):
    mask = blank(48, 64, 4)
    mask[PART] = (0, 0, 255, 255)
    mask[OTHER_PART] = (0, 255, 0, 255)
    mask[18:25, 32:40] = (0, 255, 0, 255)
    three = [IN_PIXELS, [32, 18, 40, 25], OTHER_IN_PIXELS]
    assert boxes_of(write(tmp_path / "agrees.png", mask)) == three
    hidden = mask.copy()
    hidden[mask[:, :, 3] == 0] = (255, 255, 255, 0)
    assert boxes_of(write(tmp_path / "on hidden white.png", hidden)) == three
    mask[OTHER_PART] = (0, 255, 0, 0)
    with pytest.raises(Unusable, match="show different things"):
        read_mask(write(tmp_path / "differs.png", mask), 20)
    mask[:, :, 3] = 7
    assert boxes_of(write(tmp_path / "constant.png", mask)) == three


@pytest.mark.parametrize("value", [np.nan, np.inf, -1])
def test_numbers_that_mean_nothing_are_refused(tmp_path, value):
    mask = blank().astype(np.float32)
    mask[PART] = value
    with pytest.raises(Unusable, match="negative or no numbers"):
        read_mask(write(tmp_path / "m.tif", mask), 20)


def test_a_mask_of_fractions_is_set_from_a_half_on(tmp_path):
    disc = cv2.GaussianBlur(drawn((255,) * 3, (300, 200), 50)[:, :, 0], (0, 0), 2)
    found = boxes_of(write(tmp_path / "m.tif", disc.astype(np.float32) / 255))
    assert np.allclose(found, [[250, 150, 351, 251]], atol=1)


def test_masks_that_fill_the_picture_are_counted_and_named(foreign):
    masks = foreign.root / "masks"
    for name in ("a.png", "b.png", "c.png"):
        foreign.picture(name)
    inverted, right = blank() + 255, blank()
    inverted[PART], right[PART] = 0, 255
    write(masks / "a.png", inverted)
    write(masks / "b.png", blank() + 1)
    write(masks / "c.png", right)
    report = foreign.bring_in("masks", annotations=str(masks))
    assert foreign.imported() == [[("polyp", pytest.approx(IN_PIXELS))]]
    assert report.lines()[-1] == (
        "  left out: 2 x picture: its mask fills the whole picture (is it inverted?), such as "
        "a.png (a.png), b.png (b.png)"
    )


def test_a_picture_with_small_parts_alone_isnt_one_without_a_polyp(foreign):
    masks = foreign.root / "masks"
    for name in ("a.png", "b.png"):
        foreign.picture(name)
    mask = blank()
    mask[3:6, 3:9] = 255
    write(masks / "a.png", mask)
    write(masks / "b.png", blank())
    report = foreign.bring_in("masks", annotations=str(masks))
    assert foreign.imported() == [[]]
    assert report.left_out.counts == {
        "picture: all parts of its mask are smaller than 128 pixels (--min-area)": 1
    }


def test_a_mask_with_a_note_to_turn_it_or_too_large_is_left_out(foreign):
    masks = foreign.root / "masks"
    masks.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        foreign.picture(name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(blank()).save(masks / "a.tif", exif=exif)
    Image.new("1", (20_000, 14_000)).save(masks / "b.png")
    write(masks / "c.png", blank())
    report = foreign.bring_in("masks", annotations=str(masks))
    assert report.left_out.counts == {
        "picture: mask turned by its EXIF note; save it upright": 1,
        "picture: larger than 134 million pixels": 1,
    }


def test_a_mask_of_several_pages_is_left_out(foreign):
    foreign.picture("a.png")
    foreign.picture("b.png")
    masks = foreign.root / "masks"
    write(masks / "b.png", blank())
    pages = [Image.fromarray(blank()), Image.fromarray(255 - blank())]
    pages[0].save(masks / "a.tif", save_all=True, append_images=pages[1:])
    report = foreign.bring_in("masks", annotations=str(masks))
    assert foreign.imported() == [[]]
    assert list(report.left_out.counts) == [
        "picture: mask of several pages (save each as a file of its own)"
    ]


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


def two_parts():
    mask = blank()
    mask[PART] = 255
    mask[30:40, 2:22] = 255
    mask[33:35, 5:7] = 0
    mask[45, 60] = 255  # too small
    return mask


def instance_of(foreign, number):
    run = index_root(foreign.output).runs[0].path
    return np.array(Image.open(run / f"instance/frame_{number:05d}.png"))


def test_parts_become_an_instance_image_whose_values_are_the_polyp_ids(foreign):
    for name in ("a.png", "b.png", "c.png"):
        foreign.picture(name)
    for name, mask in (("a.png", two_parts()), ("b.png", blank()), ("c.png", two_parts())):
        write(foreign.root / "masks" / name, mask)
    foreign.bring_in("masks", annotations=str(foreign.root / "masks"), min_area=4)
    frames = index_root(foreign.output).frames
    assert [frame.polyp_ids for frame in frames] == [(1, 2), (), (3, 4)]
    for number, frame in enumerate(frames):
        shown = instance_of(foreign, number)
        boxes = frame.boxes.astype(float) * (64, 48, 64, 48)
        masks = instance_masks(frame, boxes, (64, 48))
        for mask, box in zip(masks, boxes, strict=True):
            np.testing.assert_allclose(around(mask), box, atol=1e-4)
        many = two_parts() if number != 1 else blank()
        many[45, 60] = 0
        np.testing.assert_array_equal(shown > 0, many > 0)
    assert instance_of(foreign, 0).dtype == np.uint8


def test_a_class_map_doesnt_paint_what_it_leaves_out_and_a_second_mask_is_painted_too(foreign):
    foreign.picture("a.png")
    mask = blank()
    mask[PART] = 255
    write(foreign.root / "masks/a_mask_0.png", mask)
    write(foreign.root / "masks/a_mask_1.png", np.roll(mask, 30, axis=1))
    foreign.bring_in("masks", annotations=str(foreign.root / "masks"))
    assert sorted(set(instance_of(foreign, 0).ravel())) == [0, 1, 2]
    other = str(foreign.root / "other")
    foreign.bring_in(
        "masks",
        annotations=str(foreign.root / "masks"),
        class_map="polyp=",
        output_root=other,
    )
    foreign.output = foreign.root / "other"
    assert not instance_of(foreign, 0).any()


def test_masks_that_overlap_have_boxes_and_no_instance_image(foreign):
    foreign.picture("a.png")
    mask = blank()
    mask[PART] = 255
    write(foreign.root / "masks/a_mask_0.png", mask)
    write(foreign.root / "masks/a_mask_1.png", np.roll(mask, 5, axis=1))
    report = foreign.bring_in("masks", annotations=str(foreign.root / "masks"))
    assert report.runs[0].boxes.total() == 2
    assert report.left_out.counts == {
        "instance image (its boxes came in): its masks overlap, so a pixel is of two polyps": 1
    }
    assert not (index_root(foreign.output).runs[0].path / "instance").exists()


def test_more_polyps_than_a_byte_counts_are_of_16_bits_and_more_than_that_are_none(tmp_path):
    mask = blank()
    mask[PART] = 255
    path = write(tmp_path / "masks/a.png", mask)
    box = (20.0, 10.0, 32.0, 25.0)
    shown = instance_image([path], 1, {box: 300})
    assert shown.dtype == np.uint16
    assert (shown[PART].min(), shown.sum()) == (300, 300 * 15 * 12)
    with pytest.raises(Unusable, match="more than 65535 polyps"):
        instance_image([path], 1, {box: 65_536})


def test_masks_go_out_and_come_back_to_the_pixel(foreign, tmp_path):
    foreign.picture("a.png")
    write(foreign.root / "masks/a.png", two_parts())
    foreign.bring_in("masks", annotations=str(foreign.root / "masks"))
    out = tmp_path / "out"
    run_convert(ConvertConfig(format="masks", paths=(str(foreign.output), str(out))))
    (written,) = (out / "masks").iterdir()
    kept = two_parts()
    kept[45, 60] = 0
    np.testing.assert_array_equal(np.array(Image.open(written)), kept)
