"""Edges without teeth: of folds in bends, and of pools."""

from dataclasses import replace

import cv2
import numpy as np
import quadrants as qd
import torch

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import look_at
from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.deposits import lay_deposits
from endoforge.sim.engine import Engine, wait
from endoforge.sim.kernels.geometry import (
    locate,
)
from endoforge.sim.kernels.types import SceneArrays, Vec4Array, vec3
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.residue import MUCUS
from endoforge.sim.scene import make_scene
from endoforge.sim.wall import NUM_AROUND
from tests.plain_ranges import PLAIN
from tests.sim.scenes import still, tube
from tests.sim.test_lesions import flat


@qd.kernel
def locate_all(scenes: SceneArrays, points: Vec4Array, found: Vec4Array, count: qd.i32):
    """Locate points, given with a guess of s."""
    for i in range(count):
        c, _row = locate(scenes, 0, points[i].xyz, vec3(0.0, 0.0, 1.0), points[i].w)
        found[i] = c


def test_a_place_in_a_bend_is_found_from_8_mm_off(cpu: Engine) -> None:
    """As far as the straight guess of a ray's start is off there: a fold's edge had teeth."""
    scene = make_scene(5, PLAIN)
    line = scene.anatomy.centreline
    tightest = int(np.hypot(*line.curvature.T)[: line.row(line.length_mm - 40)].argmax())
    s = np.linspace(-20, 20, 81) + tightest * ALONG_STEP_MM
    x, y = 6 * np.cos(s), 6 * np.sin(s)
    points = line.to_world(s, x, y)
    renderer = Renderer(64, 64, cpu)
    renderer.load([scene])
    for off in (-8.0, 8.0):
        given = torch.tensor(np.column_stack([points, s + off]), dtype=torch.float32)
        found = torch.zeros_like(given)
        locate_all(renderer.scenes, given, found, len(given))
        wait(cpu)
        error = np.abs(found[:, :3].numpy() - np.column_stack([s, x, y])).max(axis=1)
        assert error.max() < 0.2


def test_a_flat_lesion_on_a_crest_has_no_holes(cpu: Engine) -> None:
    """Rays that creep along the crest for long meet the lesion, too, not the bare wall behind."""
    lesion = replace(
        flat(0.6, nodule_mm=0.6),
        centre=(0.0, 17.0, 124.0),
        half_width_mm=40.0,
        half_height_mm=14.0,
    )
    scene = tube(lesion)
    z = np.arange(NUM_ALONG, dtype=np.float32)[:, None] * ALONG_STEP_MM
    radius = scene.anatomy.radius - 5.0 * np.exp(-(((z - 124.0) / 8.0) ** 2))
    radius = np.asarray(radius, np.float32)
    renderer = Renderer(320, 180, cpu)
    renderer.load([replace(scene, anatomy=replace(scene.anatomy, radius=radius))])
    holes = 0
    for y in (4.0, 7.0, 9.0):
        here = np.array([0.0, y, 94.0])
        pose = look_at(here, np.array([0.0, 14.0, 124.0]), np.array([0.0, 1.0, 0.0]), 94.0)
        shown = renderer.render([CameraShot(still(pose))]).instance[0].numpy() == 1
        assert shown.mean() > 0.5
        around = cv2.boxFilter(shown.astype(np.float32), -1, (3, 3), normalize=False)
        holes += int((~shown & (around >= 6)).sum())
    assert holes <= 3


def test_no_pool_ends_in_a_cliff() -> None:
    """Also where it fills the colon, it gets shallow towards its ends: marches overshoot cliffs."""
    colon = make_anatomy(4, PLAIN.anatomy, Nuisances())
    ends: list[float] = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        _, deposits = lay_deposits(rng, colon.centreline, colon.radius, Nuisances(fluid=0.12))
        deepest = deposits.fluid.max(axis=1)
        ends += deepest[np.flatnonzero(deepest)[[0, -1]]].tolist() if deepest.any() else []
    assert len(ends) > 12
    assert max(ends) < 3


def test_the_edge_of_a_pool_is_as_straight_as_its_shore() -> None:
    """A shore that runs askew through the samples is met by the coat within a fifth of one."""
    scene = tube()
    rows, columns = np.mgrid[:NUM_ALONG, :NUM_AROUND]
    for slope in (0.1, 0.37, 1.0, 2.3):
        place = 1000.0 + slope * (columns - 128)
        shore = np.asarray(0.6 * np.clip(place - rows, -40, 9), np.float32)
        deposits = replace(scene.anatomy.deposits, shore=shore, fluid=np.maximum(shore, 0))
        pool = replace(scene, anatomy=replace(scene.anatomy, deposits=deposits))
        cover = pool.tables.coat.reshape(NUM_ALONG // 2, NUM_AROUND // 2, 4)[..., 2]
        middle = cover[:, 20:108]
        first = (middle < -MUCUS).sum(axis=0)
        before = np.take_along_axis(middle, first[None] - 1, 0)[0]
        after = np.take_along_axis(middle, first[None], 0)[0]
        found = first - 1 + (-MUCUS - before) / (after - before)
        at = np.arange(20, 108) * 2 + 0.5
        expected = (1000.0 + slope * (at - 128) - 0.5) / 2
        across = np.hypot(1.0, slope)
        assert np.abs(found - expected).max() < 0.2 * across
