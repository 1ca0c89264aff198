"""Our pictures against Pillow's."""

import io
import subprocess
import sys
import warnings
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from endoforge.captures import pictures
from endoforge.captures.pictures import (
    MOST_PIXELS,
    decode_picture,
    encode_png,
    is_upright,
    picture_size,
    read_picture,
)
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


def saved(path, kind="PNG", turned=None, **options):
    if turned is not None:
        exif = Image.Exif()
        exif[0x0112] = turned
        options["exif"] = exif
    Image.fromarray(PIXELS).save(path, kind, **options)
    return path


KINDS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "TIFF big": {"big_tiff": True},
    "TIFF deflated": {"compression": "tiff_adobe_deflate"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turned", [2, 3, TURNED_LEFT, 8])
def test_a_note_to_turn_the_picture_is_ignored_as_boxes_are_of_stored_pixels(
    tmp_path, kind, turned
):
    name = kind.partition(" ")[0]
    upright = saved(tmp_path / "upright", name, **KINDS[kind])
    noted = saved(tmp_path / "noted", name, turned, **KINDS[kind])
    assert np.array_equal(read_picture(noted), read_picture(upright))
    if name != "JPEG":
        assert np.array_equal(read_picture(noted), PIXELS)
    assert picture_size(noted) == (10, 6)
    assert is_upright(upright.read_bytes())
    assert not is_upright(noted.read_bytes())


def test_a_tiff_of_the_other_byte_order_is_as_stored_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = TURNED_LEFT
    grey = PIXELS[:, :, 0]
    wide = Image.frombytes("I;16B", (10, 6), (grey.astype("u2") * 256).astype(">u2").tobytes())
    wide.save(tmp_path / "x.tif", exif=exif)
    data = (tmp_path / "x.tif").read_bytes()
    assert data.startswith(b"MM")
    assert np.array_equal(decode_picture(data), grey[:, :, None].repeat(3, 2))
    assert picture_size(tmp_path / "x.tif") == (10, 6)
    assert not is_upright(data)


def test_a_picture_within_the_limit_is_measured_without_a_word(tmp_path):
    Image.new("1", (12_000, 8_000)).save(tmp_path / "x.png")
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS < 12_000 * 8_000 < MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert picture_size(tmp_path / "x.png") == (12_000, 8_000)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_larger_picture_is_unusable_in_words_before_it_is_decoded(tmp_path, kind, monkeypatch):
    path = tmp_path / "x"
    Image.new("1", (20_000, 14_000)).save(path, kind)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    for read in (picture_size, read_picture, lambda path: decode_picture(path.read_bytes())):
        with pytest.raises(Unusable, match="larger than 134 million pixels") as caught:
            read(path)
        assert caught.value.detail == "20000x14000"
    assert is_upright(path.read_bytes())


def test_the_limit_holds_for_kinds_whose_header_we_dont_know(tmp_path, monkeypatch):
    (tmp_path / "x.ppm").write_bytes(b"P6 10 6 255 " + PIXELS.tobytes())
    assert np.array_equal(read_picture(tmp_path / "x.ppm"), PIXELS)
    assert picture_size(tmp_path / "x.ppm") == (10, 6)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 59)
    for read in (picture_size, read_picture):
        with pytest.raises(Unusable, match="larger than"):
            read(tmp_path / "x.ppm")


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from endoforge.captures.pictures import read_picture
from endoforge.captures.tally import Unusable
import cv2
cv2.setNumThreads(1)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 50_000_000,) * 2)
try:
    read_picture(Path(sys.argv[1]))
except Unusable as unusable:
    print(unusable.reason, unusable.detail, sep=": ")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of Linux")
def test_a_picture_for_which_there_is_no_memory_is_unusable(tmp_path):
    Image.new("L", (8_000, 8_000)).save(tmp_path / "x.png")
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, tmp_path / "x.png"], capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("image unreadable: not enough memory\n", 0)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(Unusable) as caught:
        read_picture(tmp_path / "x.png")
    assert (caught.value.reason, caught.value.detail) == ("image unreadable", "an empty file")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_cut_short_is_unusable(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.tile(PIXELS, (20, 20, 1))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable, match="image unreadable"):
        read_picture(path)
