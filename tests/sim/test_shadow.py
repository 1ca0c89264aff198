"""Shadows of polyps, ray by ray of the lattice, against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.engine import Engine
from endoforge.sim.kernels.types import CELL
from endoforge.sim.light import LightSettings
from endoforge.sim.polyps import Polyp
from endoforge.sim.renderer import CameraShot, Renderer
from tests.sim.scenes import along_z, still, tube
from tests.sim.test_lesions import egg, flat, mass, on_the_wall

Array = NDArray[np.float64]
WIDTH, HEIGHT = 160, 96


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


@pytest.mark.parametrize("shape", [on_the_wall, egg, mass, lambda: flat(1.0)])
def test_each_shape_casts_the_shadow_that_the_twin_says(cpu: Engine, shape: object) -> None:
    assert callable(shape)
    polyp = shape()
    scene = tube(polyp)
    scene = replace(scene, camera=replace(scene.camera, light=LightSettings(shadows=1.0)))
    pose = along_z()
    renderer = Renderer(WIDTH, HEIGHT, cpu)
    renderer.load([scene])
    renderer.render([CameraShot(still(pose))])
    grid = (HEIGHT // CELL + 1, WIDTH // CELL + 1)
    light = renderer.target.shadows.numpy().reshape(*grid, 4)
    depth = 1 / renderer.target.lattice.numpy().reshape(*grid, 2)[..., 0].astype(np.float64)
    rays = renderer.scenes.rays.numpy().reshape(HEIGHT + 1, WIDTH + 1, 4)[::CELL, ::CELL, :3]
    near = (depth < 150).ravel()
    points = (pose.position + rays * depth[..., None] @ pose.axes).reshape(-1, 3)[near]
    for k, place in enumerate(scene.camera.lamps):
        lamp = pose.position + np.array([*place, 0.0]) @ pose.axes
        expected = left_of(points, lamp, polyp)
        error = np.abs(light[..., k].ravel()[near] - expected)
        assert (expected < 0.2).any() != (polyp.flat is not None)
        assert np.median(error) < 1e-4
        assert (error > 0.04).mean() < 0.01
