"""What looks like a polyp but is none: on the wall, without a label."""

from dataclasses import fields, replace

import numpy as np
import pytest

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import look_at
from endoforge.sim.engine import Engine
from endoforge.sim.lookalikes import NO_LOOKALIKES, Lookalikes, Relief, make_lookalikes
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import make_scene
from endoforge.sim.wall import COLUMN_ANGLES, MIN_RADIUS_MM, Grid
from tests.plain_ranges import PLAIN
from tests.sim.scenes import ball, still, tube

NAMES = [field.name for field in fields(Lookalikes)]


def wall_with(lookalikes: Lookalikes, seed: int = 4) -> tuple[Grid, Grid]:
    colon = make_anatomy(seed, PLAIN.anatomy, Nuisances(), lookalikes)
    return colon.radius, colon.blush


def test_without_strength_the_wall_is_as_it_was() -> None:
    radius, blush = wall_with(NO_LOOKALIKES)
    assert (radius == make_anatomy(4, PLAIN.anatomy, Nuisances()).radius).all()
    assert (blush == 0).all()


def test_by_default_ranges_of_probability_0_there_are_none() -> None:
    never = Nuisance(probability=0.0, strength=(1.0, 1.0))
    ranges = replace(PLAIN.lookalikes, **dict.fromkeys(NAMES, never))
    assert all(make_lookalikes(seed, ranges) == NO_LOOKALIKES for seed in range(20))


@pytest.mark.parametrize("name", NAMES)
def test_each_raises_the_wall_and_leaves_the_rest(name: str) -> None:
    bare, _ = wall_with(NO_LOOKALIKES)
    radius, _ = wall_with(Lookalikes(**{name: 1.0}))
    raised = bare - radius
    there = np.abs(raised) > 0.1
    assert 0.00005 < there.mean() < 0.4
    assert raised.max() > 0.4
    assert radius[bare > MIN_RADIUS_MM].min() >= MIN_RADIUS_MM - 2.0 - 1e-4
    assert (radius[bare == 0] == 0).all()


@pytest.mark.parametrize("name", ["knobs", "suction"])
def test_more_strength_is_more_of_them(name: str) -> None:
    bare, _ = wall_with(NO_LOOKALIKES)
    shares = [
        float((np.abs(bare - wall_with(Lookalikes(**{name: strength}))[0]) > 0.1).mean())
        for strength in (0.2, 0.5, 1.0)
    ]
    assert shares == sorted(shares)
    assert shares[2] > 2 * shares[0]


def test_suction_marks_are_redder_and_follicles_paler() -> None:
    assert wall_with(Lookalikes(suction=1.0))[1].min() < -0.15
    assert wall_with(Lookalikes(follicles=1.0))[1].max() > 0.03


def test_a_lump_is_as_high_and_wide_as_it_says() -> None:
    """By hand: a Gaussian of power 1 falls to 1/e of its height at its half-width."""
    relief = Relief(np.full((2176, 256), 20.0, np.float32))
    angle = float(COLUMN_ANGLES[60])
    relief.raise_lump(300.0, angle, (3.0, 6.0), 4.0, steep=1.0, blush=-0.2)
    assert relief.radius_at(300.0, angle) == pytest.approx(16.0)
    assert relief.radius_at(303.0, angle) == pytest.approx(20.0 - 4.0 / np.e)
    column = int(np.abs(COLUMN_ANGLES - (angle + 6.0 / 20.0)).argmin())
    d = (COLUMN_ANGLES[column] - angle) * 20.0 / 6.0
    assert relief.radius[400, column] == pytest.approx(20.0 - 4.0 * np.exp(-d * d), abs=1e-4)
    assert relief.blush[400, 60] == pytest.approx(-0.2)
    assert relief.blush[404, 60] == pytest.approx(-0.2 / np.e)


def test_turned_by_a_quarter_its_sides_change_places() -> None:
    relief = Relief(np.full((2176, 256), 20.0, np.float32))
    relief.raise_lump(300.0, 0.0, (3.0, 6.0), 4.0, turn=np.pi / 2, steep=1.0)
    assert relief.radius_at(306.0, 0.0) == pytest.approx(20.0 - 4.0 / np.e)


def test_a_blush_colours_the_wall_as_much_as_it_says(cpu: Engine) -> None:
    """Its green falls by its share, whatever the strength of the tone; labels stay."""
    renderer = Renderer(96, 64, cpu)
    plain = tube(ball(130.0, y=8.0))
    red = np.full_like(plain.anatomy.blush, -0.3)
    flushed = replace(plain, anatomy=replace(plain.anatomy, blush=red))
    here = np.array([0.0, 0.0, 100.0])
    state = still(look_at(here, np.array([0.0, 20.0, 110.0]), np.array([0.0, 0.0, 1.0]), 100.0))
    lights, instances = [], []
    for scene in (plain, flushed):
        bare = replace(
            scene, look=replace(scene.look, scattered=0.0, vessels=0.0, gloss=0.0, tone=0.1)
        )
        renderer.load([bare])
        frames = renderer.render([CameraShot(state)])
        lights.append(renderer.target.radiance.view(64, 96, 4).numpy()[..., 1].copy())
        instances.append(frames.instance.clone())
    assert (instances[0] == instances[1]).all()
    ratio = np.median(lights[1][lights[0] > 1e-6] / lights[0][lights[0] > 1e-6])
    assert ratio == pytest.approx(0.7, abs=0.05)


def test_lookalikes_have_no_label() -> None:
    """A scene with all of them has the polyps of one without, and no other."""
    always = Nuisance(probability=1.0, strength=(1.0, 1.0))
    ranges = replace(PLAIN, lookalikes=replace(PLAIN.lookalikes, **dict.fromkeys(NAMES, always)))
    scene, plain = make_scene(3, ranges), make_scene(3, PLAIN)
    assert len(scene.polyps) == len(plain.polyps)
    assert scene.parameters()["lookalikes"] == dict.fromkeys(NAMES, 1.0)
    assert (scene.anatomy.centreline.points == plain.anatomy.centreline.points).all()
