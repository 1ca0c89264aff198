"""What lies on the wall: level pools, stool, foam, blood, dye."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.anatomy import Anatomy, make_anatomy
from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.deposits import STOOL_FROM, STOOL_MM, Deposits, lay_deposits
from endoforge.sim.deposits import _down as gravity
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.scene import make_scene
from endoforge.sim.wall import COLUMN_ANGLES, NUM_AROUND, Array, Grid
from tests.plain_ranges import PLAIN

SEEDS = range(6)


@pytest.fixture(scope="module")
def clean() -> Anatomy:
    return make_anatomy(4, PLAIN.anatomy, Nuisances())


def laid(colon: Anatomy, nuisances: Nuisances, seed: int = 0) -> tuple[Grid, Deposits]:
    rng = np.random.default_rng(seed)
    return lay_deposits(rng, colon.centreline, colon.radius, nuisances)


def test_without_strength_the_wall_is_untouched_and_clean(clean: Anatomy) -> None:
    radius, deposits = laid(clean, Nuisances())
    assert (radius == clean.radius).all()
    for amount in (deposits.fluid, deposits.stool, deposits.foam, deposits.stain):
        assert (amount == 0).all()


def test_what_is_only_a_colour_or_foam_does_not_move_the_wall(clean: Anatomy) -> None:
    radius, _ = laid(clean, Nuisances(bubbles=1.0, blood=1.0, dye=0.5))
    assert (radius == clean.radius).all()


def test_a_nuisance_of_the_wall_leaves_the_polyps_colon_as_it_is() -> None:
    """Deposits have their own random stream: the mucosa below is the same colon's."""
    one = make_anatomy(3, PLAIN.anatomy, Nuisances())
    other = make_anatomy(3, PLAIN.anatomy, Nuisances(stool=1.0, fluid=1.0))
    assert (one.centreline.points == other.centreline.points).all()
    assert (other.radius <= one.radius).all()
    assert (other.radius < one.radius - 0.5).mean() > 0.01


AMOUNTS = [("fluid", "fluid"), ("stool", "stool"), ("bubbles", "foam"), ("blood", "stain")]


@pytest.mark.parametrize(("nuisance", "amount"), [*AMOUNTS, ("dye", "stain")])
def test_more_strength_covers_more(clean: Anatomy, nuisance: str, amount: str) -> None:
    def covered(strength: float) -> float:
        parts = [
            getattr(laid(clean, Nuisances(**{nuisance: strength}), seed)[1], amount) > 0.1
            for seed in SEEDS
        ]
        return float(np.mean(parts))

    shares = [covered(strength) for strength in (0.0, 0.3, 0.6, 1.0)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[3] > shares[1] + 0.02
    assert shares[3] < 0.95


@pytest.mark.parametrize(("nuisance", "amount"), AMOUNTS[1:])
def test_amounts_are_shares(clean: Anatomy, nuisance: str, amount: str) -> None:
    grid = getattr(laid(clean, Nuisances(**{nuisance: 1.0}))[1], amount)
    assert grid.shape == (NUM_ALONG, NUM_AROUND)
    assert grid.dtype == np.float32
    assert grid.min() == 0
    assert 0.9 < grid.max() <= 1


def test_stool_lies_on_the_wall_and_not_on_fluid(clean: Anatomy) -> None:
    radius, deposits = laid(clean, Nuisances(stool=0.9, fluid=0.9))
    on_stool = deposits.stool > 0
    assert on_stool.mean() > 0.02
    assert (deposits.fluid[on_stool] < 0.2).all()
    risen = clean.radius - deposits.fluid - radius
    body = clean.radius > 10
    thick = np.maximum(deposits.stool - STOOL_FROM, 0) / (1 - STOOL_FROM)
    np.testing.assert_allclose(risen[body], STOOL_MM * thick[body], atol=2e-5)


def pool_heights(colon: Anatomy, radius: Grid, wet: NDArray[np.bool_], down: Array) -> Array:
    """(rows, columns) mm that each place of the surface lies down; nan where there's no pool."""
    s_mm = np.arange(NUM_ALONG, dtype=np.float64)[:, None] * ALONG_STEP_MM
    wide = radius.astype(np.float64)
    x, y = wide * np.cos(COLUMN_ANGLES), wide * np.sin(COLUMN_ANGLES)
    points = colon.centreline.to_world(s_mm + 0 * x, x, y)
    return np.asarray(np.where(wet, points @ down, np.nan))


def test_the_middle_of_a_pool_is_a_level_plane() -> None:
    """All its points are as far down, within 0.1 mm, over 15 mm and more along the colon.

    Its ends rise, so that none runs through the whole colon.
    """
    pools = 0
    for seed in range(12):
        colon = make_anatomy(seed, PLAIN.anatomy, Nuisances())
        radius, deposits = laid(colon, Nuisances(fluid=0.12), seed)  # one pool, if it stays
        wet = deposits.fluid > 0.05
        if not wet.any():
            continue
        down = gravity(np.random.default_rng(seed))
        height = pool_heights(colon, radius, wet, down)
        rows = np.flatnonzero(wet.sum(axis=1) > 1)
        across = np.nanmax(height[rows], axis=1) - np.nanmin(height[rows], axis=1)
        assert across.max() < 0.02, "level across, everywhere"
        level = np.nanmin(height)
        middle = rows[np.nanmax(height[rows], axis=1) < level + 0.1]
        pools += np.ptp(middle) * ALONG_STEP_MM > 15
    assert pools >= 5


def test_pools_of_a_real_colon_are_level_across_and_deepest_where_it_is_lowest() -> None:
    colon = make_anatomy(4, PLAIN.anatomy, Nuisances())
    radius, deposits = laid(colon, Nuisances(fluid=1.0), 2)
    wet = deposits.fluid > 0.05
    assert 0.01 < wet.mean() < 0.4
    # What is down in each row: the direction to the middle of its pool, so that the plane is flat.
    flat = 0
    for row in np.flatnonzero(wet.sum(axis=1) > 20):
        angle, r = COLUMN_ANGLES[wet[row]], radius[row, wet[row]]
        across = np.stack([np.cos(angle), np.sin(angle)], axis=1) * r[:, None]
        off = across - across.mean(axis=0)
        spread = np.linalg.svd(off, compute_uv=False)
        assert spread[1] / np.sqrt(len(r)) < 0.05, "the surface is a straight line in a section"
        flat += 1
    assert flat > 50


def test_a_pool_is_no_island(clean: Anatomy) -> None:
    """One pool is one piece, but for folds that stand out of it."""
    found = 0
    for seed in range(10):
        _, deposits = laid(clean, Nuisances(fluid=0.12), seed)
        wet = (deposits.fluid > 0.05).astype(np.uint8)
        if wet.any():
            rows = np.flatnonzero(wet.any(axis=1)) * ALONG_STEP_MM
            assert np.ptp(rows) <= 2 * 75 + 1
            joined = cv2.dilate(np.concatenate([wet, wet], axis=1), np.ones((25, 5), np.uint8))
            assert cv2.connectedComponents(joined)[0] - 1 <= 6
            found += 1
    assert found >= 3


def test_blood_is_red_and_dye_is_blue_and_gathers_in_grooves(clean: Anatomy) -> None:
    blood, dye = (
        laid(clean, nuisances)[1] for nuisances in (Nuisances(blood=0.8), Nuisances(dye=0.8))
    )
    assert blood.stain_colour[0] > 3 * blood.stain_colour[2]
    assert dye.stain_colour[2] > 3 * dye.stain_colour[0]
    assert (blood.in_grooves, dye.in_grooves) == (0.0, 1.0)


def test_the_coat_says_what_lies_where() -> None:
    """Cover: under fluid its depth over 7 mm below -0.15; stain below 0 where there is foam."""
    scene = make_scene(1, PLAIN)
    fluid = np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    foam, stool = fluid.copy(), fluid.copy()
    fluid[400:500, 20:60], foam[600:700, 20:60], stool[800:900, 20:60] = 3.5, 0.7, 0.4
    deposits = Deposits(fluid, stool, foam, 0 * fluid, (1, 1, 1), 0.0, (1, 1, 1))
    scene = replace(scene, anatomy=replace(scene.anatomy, deposits=deposits))
    coat = scene.tables.coat.reshape(NUM_ALONG // 2, NUM_AROUND // 2, 4)
    np.testing.assert_allclose(coat[205:245, 12:28, 2], -0.65)
    np.testing.assert_allclose(coat[305:345, 12:28, 3], -0.7)
    np.testing.assert_allclose(coat[405:445, 12:28, 2], 0.4)
    assert (coat[:190, :, 2:] == 0).all()
