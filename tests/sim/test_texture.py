"""The fine surface's texture: what its channels hold, and that it can be laid out without seams."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.texture import FINE_SCALE, FINE_ZERO, LEVELS, SIZE, fine_texture

CHANNELS = ("net", "mottling", "slope_u", "slope_v")


@pytest.fixture(scope="module")
def levels() -> list[NDArray[np.float64]]:
    """(n, n, 4) values of each mip level."""
    packed = fine_texture().view(np.uint8).reshape(-1, 4) / 255.0
    values = (packed - np.array(FINE_ZERO)) * np.array(FINE_SCALE)
    sizes = [SIZE >> level for level in range(LEVELS)]
    ends = np.cumsum([size * size for size in sizes])
    assert ends[-1] == len(values)
    parts = np.split(values, ends[:-1])
    return [part.reshape(n, n, 4) for part, n in zip(parts, sizes, strict=True)]


def test_the_channels_have_the_ranges_that_are_promised(levels: Any) -> None:
    net, mottling, *slopes = np.moveaxis(levels[0], -1, 0)
    assert net.min() == 0
    assert net.max() > 0.9
    # Thin lines: much of the wall lies between them.
    assert (net < 0.05).mean() > 0.3
    assert 0.05 < (net > 0.4).mean() < 0.35
    assert abs(mottling.mean()) < 0.02
    assert 0.6 < mottling.std() < 1.2
    for slope in slopes:
        assert abs(slope.mean()) < 0.01
        assert slope.std() == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("channel", range(4), ids=CHANNELS)
@pytest.mark.parametrize("axis", [0, 1])
def test_its_edges_meet(levels: Any, channel: int, axis: int) -> None:
    """The step over the edge is no larger than steps within."""
    values = levels[0][..., channel]
    steps = np.abs(values - np.roll(values, 1, axis)).mean(axis=1 - axis)
    assert steps[0] < 1.3 * steps[1:].mean()
    # The last and the first line differ by less than lines far apart, or this would say nothing.
    far = np.abs(values - np.roll(values, SIZE // 2, axis)).mean()
    assert steps[0] < 0.8 * far


def test_a_mip_level_is_the_mean_of_four_of_the_one_before(levels: Any) -> None:
    for fine, coarse in pairwise(levels):
        n = len(coarse)
        mean = fine.reshape(n, 2, n, 2, 4).mean(axis=(1, 3))
        step = np.array(FINE_SCALE) / 255
        # All but where a byte has cut the few strongest off.
        assert (np.abs(coarse - mean) <= 1.01 * step).mean() > 0.99


def test_pits_go_up_and_down_again(levels: Any) -> None:
    """The slopes are those of one relief: along a line around the tile they add up to nothing."""
    slope_u, slope_v = levels[0][..., 2], levels[0][..., 3]
    assert np.abs(slope_u.mean(axis=1)).max() < 0.05
    assert np.abs(slope_v.mean(axis=0)).max() < 0.05
    assert np.abs(slope_u.mean(axis=0)).max() > 0.05, "across them they need not"
