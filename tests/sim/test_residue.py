"""Soft residue: clumps, films, threads, and what the kernel makes of them."""

from dataclasses import replace

import numpy as np
import pytest

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.engine import Engine
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.residue import CLEAN, FILM, MUCUS, MUCUS_MM, Residue, make_residue
from endoforge.sim.scene import Scene, make_scene
from tests.plain_ranges import PLAIN
from tests.sim.scenes import along_z, still, tube
from tests.sim.surface_reference import soft_residue

SOFT = Residue(soft=True, bile=0.8, mucus=0.8, clarity=0.5)
NEVER = Nuisance(probability=0.0, strength=(1.0, 1.0))
SIZE = (96, 64)


def test_without_strength_residue_is_as_it_was() -> None:
    one = make_anatomy(4, PLAIN.anatomy, Nuisances(stool=0.6, fluid=0.5))
    other = make_anatomy(4, PLAIN.anatomy, Nuisances(stool=0.6, fluid=0.5), residue=CLEAN)
    assert (one.radius == other.radius).all()
    assert (one.deposits.stool == other.deposits.stool).all()
    assert (one.deposits.mucus == 0).all()


def test_runs_are_soft_as_often_as_the_ranges_say() -> None:
    ranges = replace(PLAIN.residue, soft=0.4, bile=NEVER, mucus=NEVER)
    soft = [make_residue(seed, ranges).soft for seed in range(300)]
    assert np.mean(soft) == pytest.approx(0.4, abs=0.1)
    none = replace(PLAIN.residue, soft=0.0, bile=NEVER, mucus=NEVER)
    assert not any(make_residue(seed, none).soft for seed in range(50))
    always = Nuisance(probability=1.0, strength=(0.5, 0.5))
    assert all(make_residue(seed, replace(none, bile=always)).soft for seed in range(9))


def test_amounts_are_shares_and_keep_off_the_fluid() -> None:
    colon = make_anatomy(4, PLAIN.anatomy, Nuisances(stool=0.6, fluid=0.8), residue=SOFT)
    clean = make_anatomy(4, PLAIN.anatomy, Nuisances(fluid=0.8))
    deposits = colon.deposits
    for amount in (deposits.stool, deposits.mucus):
        assert amount.min() >= 0
        assert amount.max() <= 1
        assert (amount > 0.1).mean() > 0.005
        assert (deposits.fluid[amount > 0] < 0.2).all()
    assert not ((deposits.mucus > 0) & (deposits.stool >= FILM)).any()
    only_mucus = (deposits.mucus > 0) & (clean.radius > 10)
    risen = (clean.radius - colon.radius)[only_mucus]
    assert (risen >= MUCUS_MM * deposits.mucus[only_mucus] - 2e-5).all()


def test_bile_only_tints() -> None:
    bile = replace(SOFT, mucus=0.0)
    colon = make_anatomy(4, PLAIN.anatomy, Nuisances(), residue=bile)
    assert 0.05 < (colon.deposits.stool > 0.1).mean() < 0.8
    assert colon.deposits.stool.max() < FILM
    assert (colon.radius == make_anatomy(4, PLAIN.anatomy, Nuisances()).radius).all()


def test_more_stool_covers_more() -> None:
    shares = [
        float(
            (
                make_anatomy(
                    4, PLAIN.anatomy, Nuisances(stool=strength), residue=SOFT
                ).deposits.stool
                > FILM
            ).mean()
        )
        for strength in (0.1, 0.5, 1.0)
    ]
    assert shares == sorted(shares)
    assert shares[2] < 0.8


def covered(cover: float, clarity: float = 0.0) -> Scene:
    """A tube all of whose wall has that cover: stool or, below 0, mucus; below -0.15 fluid."""
    scene = tube()
    deposits = scene.anatomy.deposits
    amount = np.ones_like(deposits.stool)
    deposits = replace(
        deposits,
        stool=amount * max(cover, 0.0),
        mucus=amount * max(-cover / MUCUS, 0.0) * (cover >= -MUCUS),
        fluid=amount * max(-cover - MUCUS, 0.0) * 7.0,
    )
    look = replace(
        scene.look, soft_residue=1.0, fluid=(0.3, 0.2, 0.05), clarity=clarity, scattered=0.0,
        vessels=0.0, gloss=0.0, bump=0.0, tone=0.0, stool=(0.7, 0.35, 0.05),
    )  # fmt: skip
    return replace(scene, anatomy=replace(scene.anatomy, deposits=deposits), look=look)


def light_of(renderer: Renderer, scene: Scene) -> np.ndarray:
    renderer.load([scene])
    renderer.render([CameraShot(still(along_z()))])
    radiance = renderer.target.radiance.view(SIZE[1], SIZE[0], 4)[..., :3]
    return np.asarray(radiance.numpy(), np.float64)


@pytest.mark.parametrize("cover", [-1.05, -0.35, -0.12, -0.05, 0.1, 0.3, 0.45, 0.9])
@pytest.mark.parametrize("clarity", [0.0, 0.7])
def test_the_kernel_lays_residue_as_the_twin_does(
    cpu: Engine, cover: float, clarity: float
) -> None:
    """The light of a covered wall over that of the bare one, against NumPy's albedo.

    The detail's tone and the patches of the wall differ from place to place: the twin is asked for
    the least and the most that they allow, and for the mean.
    """
    renderer = Renderer(*SIZE, cpu)
    scene = covered(cover, clarity)
    bare, over = light_of(renderer, covered(0.0)), light_of(renderer, scene)
    lit = bare[..., 1] > 1e-6
    mucosa = np.array(scene.look.mucosa)
    albedo = over[lit] / bare[lit] * mucosa
    grain, tone = (
        part.ravel() for part in np.meshgrid(np.linspace(-2, 2, 81), np.linspace(-3, 3, 61))
    )

    def twin(tone: np.ndarray, grain: np.ndarray) -> np.ndarray:
        bare = np.broadcast_to(mucosa, (len(grain), 3))
        return soft_residue(bare, np.full(len(grain), cover), tone, grain, scene.look)[0]

    possible = twin(tone, grain)
    assert (albedo.min(axis=0) >= possible.min(axis=0) - 2e-3).all()
    assert (albedo.max(axis=0) <= possible.max(axis=0) + 2e-3).all()
    middle = twin(np.zeros(1), np.zeros(1))[0]
    np.testing.assert_allclose(np.median(albedo, axis=0), middle, atol=0.06)


def test_soft_residue_changes_no_label() -> None:
    """The polyps of a seed are where they are, whatever lies beside them."""
    always = Nuisance(probability=1.0, strength=(1.0, 1.0))
    ranges = replace(
        PLAIN, residue=replace(PLAIN.residue, soft=1.0, bile=always, mucus=always, clarity=(1, 1))
    )
    soft = make_scene(2, ranges)
    assert soft.look.soft_residue == 1.0
    assert soft.look.clarity == 1.0
    assert soft.parameters()["residue"]["mucus"] == 1.0
    assert len(soft.polyps) == len(make_scene(2, PLAIN).polyps)
