import numpy as np
import pytest

from endoforge.data.letterbox import Placement, letterbox, resize_picture


@pytest.mark.parametrize(
    ("size_from", "size_to", "expected"),
    [
        ((640, 360), (320, 192), Placement(0, 6, 320, 180, (320, 192))),
        ((100, 200), (320, 192), Placement(112, 0, 96, 192, (320, 192))),
        ((320, 192), (320, 192), Placement(0, 0, 320, 192, (320, 192))),
        ((16, 8), (64, 64), Placement(0, 16, 64, 32, (64, 64))),  # enlarges too
        ((1000, 1), (64, 64), Placement(0, 31, 64, 1, (64, 64))),  # never without a pixel
    ],
)
def test_the_picture_fills_the_input_and_keeps_its_aspect(size_from, size_to, expected):
    assert letterbox(size_from, size_to) == expected


def test_boxes_are_placed_with_the_picture():
    place = letterbox((640, 360), (320, 192))  # 320x180 of 320x192, 6 pixels below the top
    boxes = np.array([[0, 0, 1, 1], [0.5, 0.5, 0.75, 1]], np.float32)
    expected = [[0, 6 / 192, 1, 186 / 192], [0.5, 0.5, 0.75, 186 / 192]]
    assert np.allclose(place.to_input(boxes), expected)
    assert place.to_input(boxes).dtype == np.float32


@pytest.mark.parametrize("size_from", [(640, 360), (37, 211), (320, 192), (5, 3)])
def test_boxes_come_back_as_they_went(size_from):
    corners = np.sort(np.random.default_rng(0).random((50, 2, 2)), axis=1)
    boxes = corners.reshape(-1, 4).astype(np.float32)
    place = letterbox(size_from, (320, 192))
    assert np.allclose(place.to_picture(place.to_input(boxes)), boxes, atol=1e-5)


def test_boxes_in_the_padding_are_clipped_to_the_picture():
    place = letterbox((640, 360), (320, 192))
    whole_input = np.array([[0, 0, 1, 1]], np.float32)
    assert place.to_picture(whole_input).tolist() == [[0, 0, 1, 1]]
    assert place.to_picture(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_the_padding_is_black_and_the_picture_where_its_placement_says():
    image = np.full((30, 20, 3), (10, 200, 90), np.uint8)
    resized, place = resize_picture(image, (60, 60), "letterbox")
    assert place == Placement(10, 0, 40, 60, (60, 60))
    assert (resized[:, 10:50] == (10, 200, 90)).all()
    assert not resized[:, :10].any()
    assert not resized[:, 50:].any()


def test_force_stretches_and_leaves_boxes_alone():
    image = np.full((30, 20, 3), 77, np.uint8)
    resized, place = resize_picture(image, (64, 32), "force")
    assert resized.shape == (32, 64, 3)
    assert (resized == 77).all()
    boxes = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    assert np.array_equal(place.to_input(boxes), boxes)


def test_shrinking_averages():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, ::2] = 200
    assert (resize_picture(image, (2, 2), "force")[0] == 100).all()
