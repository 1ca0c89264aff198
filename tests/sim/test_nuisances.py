"""Which nuisances a run has, and how strong."""

from dataclasses import fields, replace

import numpy as np
import pytest

from endoforge.sim.nuisances import Nuisances, make_nuisances
from endoforge.sim.ranges.nuisances_ranges import NuisanceRanges
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.scene import make_scene
from endoforge.sim.sensor import LONGEST_EXPOSURE_S
from tests.plain_ranges import PLAIN

NAMES = [field.name for field in fields(Nuisances)]


def test_every_nuisance_has_a_range_of_its_own_and_none_is_left_over() -> None:
    assert set(NAMES) == {field.name for field in fields(NuisanceRanges)}


@pytest.mark.parametrize("name", NAMES)
def test_as_many_runs_have_it_as_is_said_and_as_strong(name: str) -> None:
    quarter = Nuisance(probability=0.25, strength=(0.3, 0.6))
    ranges = replace(PLAIN.nuisances, **{name: quarter})
    drawn = np.array([getattr(make_nuisances(seed, ranges), name) for seed in range(400)])
    there = drawn > 0
    # 100 of 400 are expected, with a standard deviation of 9.
    assert 70 <= there.sum() <= 130
    assert drawn[there].min() >= 0.3
    assert drawn[there].max() <= 0.6
    assert drawn[there].mean() == pytest.approx(0.45, abs=0.04)


def test_one_ranges_change_leaves_the_others_as_they_were() -> None:
    never = Nuisance(probability=0.0, strength=(0.5, 0.5))
    for seed in range(20):
        one = make_nuisances(seed, PLAIN.nuisances)
        other = make_nuisances(seed, replace(PLAIN.nuisances, stool=never))
        assert replace(one, stool=0.0) == other


def test_never_and_always() -> None:
    def ranges(probability: float) -> NuisanceRanges:
        each = Nuisance(probability=probability, strength=(1.0, 1.0))
        return replace(PLAIN.nuisances, **dict.fromkeys(NAMES, each))

    for seed in range(5):
        assert make_nuisances(seed, ranges(0.0)) == Nuisances()
        assert make_nuisances(seed, ranges(1.0)) == Nuisances(**dict.fromkeys(NAMES, 1.0))


def test_nuisances_of_the_camera_reach_the_camera() -> None:
    always = Nuisance(probability=1.0, strength=(0.5, 0.5))
    ranges = replace(PLAIN.nuisances, motion_blur=always, defocus=always, highlights=always)
    scene = make_scene(1, replace(PLAIN, nuisances=ranges))
    assert scene.camera.exposure_s == 0.5 * LONGEST_EXPOSURE_S
    assert scene.camera.defocus == 0.5
    assert scene.look.gloss == pytest.approx(0.45)
