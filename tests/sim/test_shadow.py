"""Shadows of polyps, ray by ray of the lattice, against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import Pose
from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.engine import Engine
from endoforge.sim.kernels.types import CELL
from endoforge.sim.light import LightSettings
from endoforge.sim.polyps import Polyp
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene
from tests.sim.reference import Reference
from tests.sim.scenes import along_z, still, tube
from tests.sim.test_lesions import egg, flat, mass, on_the_wall

Array = NDArray[np.float64]
WIDTH, HEIGHT = 160, 96


def shadows_of(
    cpu: Engine, scene: Scene, pose: Pose, width: int = WIDTH, height: int = HEIGHT
) -> tuple[Array, Array, Array]:
    """Of each ray of the lattice: lamps' shares (., ., 4), mm, and its direction (., ., 3)."""
    renderer = Renderer(width, height, cpu)
    renderer.load([scene])
    renderer.render([CameraShot(still(pose))])
    grid = (height // CELL + 1, width // CELL + 1)
    light = renderer.target.shadows.numpy().reshape(*grid, 4)
    depth = 1 / renderer.target.lattice.numpy().reshape(*grid, 2)[..., 0].astype(np.float64)
    rays = renderer.scenes.rays.numpy().reshape(height + 1, width + 1, 4)[::CELL, ::CELL, :3]
    return light, depth, rays


def left_of(points: Array, lamp: Array, polyp: Polyp) -> Array:
    """(N,) share of a lamp's light (3,) that a polyp leaves at places (N, 3) in mm.

    In the space in which a head is a ball of radius 1, the way to the lamp passes its middle at
    some distance: at 1.1 the shadow begins, from 0.65 on it is full.
    """
    if polyp.flat:
        return np.ones(len(points))
    if polyp.uneven.heads:
        balls = [(np.add(polyp.centre, spot), np.eye(3) / r) for *spot, r in polyp.uneven.heads]
    else:
        axis = np.asarray(polyp.axis)
        along = np.outer(axis, axis)
        squeezed = (np.eye(3) - along) / polyp.half_width_mm + along / polyp.half_height_mm
        balls = [(np.asarray(polyp.centre), squeezed)]
    left = np.ones(len(points))
    for middle, squeezed in balls:
        here, way = (points - middle) @ squeezed, (lamp - points) @ squeezed
        part = np.clip(-(here * way).sum(1) / (way**2).sum(1), 0, 1)
        off = np.linalg.norm(here + part[:, None] * way, axis=1)
        shade = np.clip((1.1 - off) / 0.45, 0, 1) * np.clip(8 * part, 0, 1)
        left = np.minimum(left, 1 - shade)
    return left


def left_by_wall(scene: Scene, pose: Pose, points: Array, lamp: Array) -> Array:
    """(N,) share of a lamp's light (3,) that the wall leaves at places (N, 3), all in camera axes.

    The wall is looked for at two stops on the way, along the camera's ray to each: where it lies
    before a stop by 4 per cent of its distance the shadow begins, and by 20 it is full.
    """
    hidden = np.zeros(len(points))
    for share in (0.18, 0.42):
        stops = points + share * (lamp - points)
        away = np.linalg.norm(stops, axis=1)
        wall, _ = Reference(scene).march(pose, stops / away[:, None])
        hidden = np.maximum(hidden, (away / wall - 1.04) / 0.16)
    return np.asarray(1 - np.clip(hidden, 0, 1))


def test_a_fold_casts_the_shadow_that_the_twin_says(cpu: Engine) -> None:
    """A ring 2.5 mm high, which hides a lamp far beside the lens from some of the wall behind it.

    In a large frame, for between its rays the lattice only guesses where the wall is.
    """
    scene, pose = tube(), along_z()
    z = np.arange(NUM_ALONG)[:, None] * ALONG_STEP_MM
    ring = scene.anatomy.radius - 2.5 * np.exp(-(((z - 118) / 4) ** 2))
    camera = replace(scene.camera, lamps=((18.0, 2.0),), light=LightSettings(shadows=1.0))
    anatomy = replace(scene.anatomy, radius=ring.astype(np.float32))
    scene = replace(scene, anatomy=anatomy, camera=camera)
    light, depth, rays = shadows_of(cpu, scene, pose, 384, 224)
    points = rays * depth[..., None]
    behind = (points[..., 2] > 19) & (points[..., 2] < 34) & (points[..., 0] > -5)
    expected = 1 - left_by_wall(scene, pose, points[behind], np.array([18.0, 2.0, 0.0]))
    hidden = 1 - light[behind][:, 0].astype(np.float64)
    partly = (expected > 0.05) & (expected < 0.95)
    assert partly.sum() > 200
    assert hidden @ expected / (expected @ expected) == pytest.approx(1, abs=0.025)
    assert np.median(np.abs(hidden - expected)[partly]) < 0.01


@pytest.mark.parametrize("shape", [on_the_wall, egg, mass, lambda: flat(1.0)])
def test_each_shape_casts_the_shadow_that_the_twin_says(cpu: Engine, shape: object) -> None:
    assert callable(shape)
    polyp = shape()
    scene = tube(polyp)
    scene = replace(scene, camera=replace(scene.camera, light=LightSettings(shadows=1.0)))
    pose = along_z()
    light, depth, rays = shadows_of(cpu, scene, pose)
    near = (depth < 150).ravel()
    points = (pose.position + rays * depth[..., None] @ pose.axes).reshape(-1, 3)[near]
    for k, place in enumerate(scene.camera.lamps):
        lamp = pose.position + np.array([*place, 0.0]) @ pose.axes
        expected = left_of(points, lamp, polyp)
        error = np.abs(light[..., k].ravel()[near] - expected)
        assert (expected < 0.2).any() != (polyp.flat is not None)
        assert np.median(error) < 1e-4
        assert (error > 0.04).mean() < 0.01
