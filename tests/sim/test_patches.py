"""Noise on the wall."""

import numpy as np
import pytest

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.centreline import NUM_ALONG
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.wall import NUM_AROUND, patches
from tests.plain_ranges import PLAIN


@pytest.mark.parametrize("columns", [9.0, 50.0, 100.0, 200.0])
def test_patches_of_any_size_cover_the_wall(columns: float) -> None:
    noise = patches(np.random.default_rng(1), 30.0, columns)
    assert noise.shape == (NUM_ALONG, NUM_AROUND)
    assert 0.3 < noise.std() < 2.5


def test_a_colon_with_dye_can_be_made() -> None:
    dyed = make_anatomy(3, PLAIN.anatomy, Nuisances(dye=0.9))
    assert dyed.deposits.stain.shape == (NUM_ALONG, NUM_AROUND)
    assert dyed.deposits.stain.max() == 1.0
