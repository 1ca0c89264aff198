"""Our pictures against Pillow's."""

import io

import numpy as np
import pytest
from PIL import Image

from endoforge.captures.pictures import encode_png, picture_size, read_picture
from endoforge.captures.tally import Unusable

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
TURNED_LEFT = 6  # the Exif note of a camera held upright


def test_png_is_rgb_for_others_too(tmp_path):
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(PIXELS)))), PIXELS)
    Image.fromarray(PIXELS).save(tmp_path / "x.png")
    assert np.array_equal(read_picture(tmp_path / "x.png"), PIXELS)


def test_alpha_is_left_out_and_grey_becomes_rgb(tmp_path):
    rgba = np.dstack([PIXELS, np.arange(60, dtype=np.uint8).reshape(6, 10)])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    assert np.array_equal(read_picture(tmp_path / "rgba.png"), PIXELS)
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_picture(tmp_path / "grey.png"), PIXELS[:, :, :1].repeat(3, 2))


def test_a_note_to_turn_the_picture_is_ignored_as_boxes_are_of_stored_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = TURNED_LEFT
    Image.fromarray(PIXELS).save(tmp_path / "x.jpg", exif=exif)
    assert read_picture(tmp_path / "x.jpg").shape == (6, 10, 3)
    assert picture_size(tmp_path / "x.jpg") == (10, 6)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_cut_short_is_unusable(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.tile(PIXELS, (20, 20, 1))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable, match="image unreadable"):
        read_picture(path)
