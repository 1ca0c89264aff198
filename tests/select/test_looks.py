"""Looks: near for what looks alike, by colours and by edges."""

import cv2
import numpy as np
import pytest

from endoforge.select.looks import LOOK_LENGTH, look_of, squared_distances, usual_scale


def picture(seed, size=(90, 120)):
    """Large smooth patches, as a wall has."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def distance(one, other):
    return float(np.linalg.norm(look_of(one) - look_of(other)))


def test_a_look_has_its_length_for_any_size():
    for size in ((90, 120), (1, 1), (700, 300)):
        look = look_of(picture(0, size))
        assert look.shape == (LOOK_LENGTH,)
        assert look.dtype == np.float32
        assert np.isfinite(look).all()


def test_a_little_moved_or_lighter_is_nearer_than_another_picture():
    one, other = picture(0), picture(1)
    moved = np.roll(one, 2, axis=1)
    lighter = cv2.convertScaleAbs(one, alpha=1.05, beta=4)
    apart = distance(one, other)
    assert distance(one, moved) < apart / 3
    assert distance(one, lighter) < apart / 3
    assert distance(one, cv2.resize(one, (240, 180))) < apart / 5


def test_colours_alone_and_directions_alone_tell_apart():
    red, green = (np.full((64, 64, 3), color, np.uint8) for color in ((200, 0, 0), (0, 200, 0)))
    assert distance(red, green) > 0.5
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::8] = stripes[1::8] = stripes[2::8] = stripes[3::8] = 255
    assert distance(stripes, np.ascontiguousarray(stripes.swapaxes(0, 1))) > 1.0


def test_edges_of_one_direction_fill_one_bin_of_every_cell():
    """Level stripes: all of a cell's edges have one direction, and every cell an equal share."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[np.arange(64) // 4 % 2 == 0] = 255
    edges = look_of(stripes)[48:].reshape(4, 4, 8)
    assert (np.count_nonzero(edges > 1e-3, axis=2) == 1).all()
    assert (edges**2).sum() == pytest.approx(1.0, abs=1e-4)


def test_distances_are_those_of_the_formula():
    looks = np.array([[0, 0], [3, 4], [3, 4]], np.float32)
    assert squared_distances(looks, looks[:2]).tolist() == [[0, 25], [25, 0], [25, 0]]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.0, 2.0], 1.0), ([0.0, 1.0, 3.0], 1.0), ([5.0, 5.0], 1.0), ([1.0], 1.0)],
)
def test_the_scale_is_half_the_median_distance(values, scale):
    assert usual_scale(np.array(values, np.float32)[:, None]) == pytest.approx(scale)


def test_the_scale_of_many_is_told_by_some():
    looks = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    assert usual_scale(looks) == pytest.approx(usual_scale(looks[:400]), rel=0.1)
