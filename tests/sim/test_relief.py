"""Folds as they are, wrinkles, and stretches that close: each from nothing to much."""

from dataclasses import replace

import numpy as np
import pytest

from endoforge.sim.anatomy import Anatomy, make_anatomy
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.wall import COLUMN_ANGLES, MIN_RADIUS_MM, FoldStyle, _Crescent
from tests.plain_ranges import PLAIN

CHANGES = {
    "fold_thickness": (2.0, 2.0),
    "fold_roundness": (1.0, 1.0),
    "extra_folds": (1.0, 1.0),
    "wrinkles": (1.0, 1.0),
    "collapse": (1.0, 1.0),
}


def colon(**changes: tuple[float, float]) -> Anatomy:
    return make_anatomy(5, replace(PLAIN.anatomy, **changes), Nuisances())


@pytest.mark.parametrize("name", CHANGES)
def test_each_changes_the_wall_alone_and_a_scope_still_gets_through(name: str) -> None:
    plain, changed = colon(), colon(**{name: CHANGES[name]})
    assert (plain.centreline.points == changed.centreline.points).all()
    assert plain.peristalsis == changed.peristalsis
    assert np.abs(changed.radius - plain.radius).mean() > 0.05
    inside = plain.radius >= MIN_RADIUS_MM
    assert changed.radius[inside].min() >= MIN_RADIUS_MM - 2.0
    assert (changed.radius[plain.radius == 0] == 0).all()


def test_a_collapsed_colon_is_narrower_and_a_wrinkled_one_rougher() -> None:
    plain, closed, rough = colon(), colon(collapse=(1.0, 1.0)), colon(wrinkles=(1.0, 1.0))
    assert np.median(closed.radius) < 0.9 * np.median(plain.radius)

    def roughness(wall: Anatomy) -> float:
        return float(np.median(np.abs(np.diff(wall.radius[100:1500], 2, axis=0))))

    assert roughness(rough) > 1.5 * roughness(plain)


def raised(roundness: float) -> np.ndarray:
    """The height in mm of one fold of 6 mm and a half-width of 3 mm, along its middle."""
    height = np.zeros((2176, 256), np.float32)
    fold = _Crescent(0.0, 0.0, 6.0, 3.0, 1.0, 0.0, 0.0, roundness)
    fold.raise_on(height, 300.0, 0.0)
    return height[:, np.abs(COLUMN_ANGLES).argmin()]


def test_a_round_fold_is_as_high_thicker_above_and_steeper_below() -> None:
    """By hand, 3 mm (4 rows) off the crest: 6 / (1 + 1.25) - 0.024 mm if narrow, 6 exp(-0.37) mm
    if round; 9 mm off: 6 / (1 + 9 * 3.25) - 0.024 mm, and nothing."""
    narrow, thick = raised(0.0), raised(1.0)
    assert narrow[400] == pytest.approx(6.0, abs=0.03)
    assert thick[400] == pytest.approx(6.0, abs=0.03)
    assert narrow[404] == pytest.approx(6 / 2.25 - 0.024, abs=1e-3)
    assert thick[404] == pytest.approx(6 * np.exp(-0.37), abs=1e-3)
    assert narrow[412] == pytest.approx(6 / 30.25 - 0.024, abs=1e-3)
    assert thick[412] == pytest.approx(0, abs=1e-3)


def test_at_its_default_the_style_of_folds_is_none() -> None:
    style = FoldStyle(1.0, 0.0, 0.0, np.random.default_rng(0))
    assert all(style.thickness ** style.rng.uniform(0.6, 1.3) == 1 for _ in range(9))
