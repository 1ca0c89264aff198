"""Moments at which the renderer is compared with its slow twin, and what the twin sees at them.

The twin takes a second a picture and the search for a moment several, so both are kept in
`moments.npz`. `make golden` searches and marches again: where scenes, flights or the twin are
meant to change.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import CameraState, Pose
from endoforge.sim.engine import start_engine
from endoforge.sim.flight import fly
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.wall import COLUMN_ANGLES
from tests.plain_ranges import PLAIN
from tests.sim.reference import Reference, ReferenceFrame
from tests.sim.scenes import along_z, ball, still, tube, without_overlay

WIDTH, HEIGHT = 96, 56
PIXELS = WIDTH * HEIGHT
FILE = Path(__file__).with_name("moments.npz")
KINDS = ("Ip", "Isp", "Is", "IIa")
WAVE_TIMES = (1.0, 5.0, 100.0)
EDGE_SEEDS = (9, 11, 12)
NEAREST_MM, FARTHEST_MM, LEVELS = 0.05, 300.0, 65535
"""Depths are kept as 16 bits of their logarithm, which rounds them by 0.007 % at most."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """A scene, the camera in it, and what the twin sees there."""

    scene: Scene
    state: CameraState
    truth: ReferenceFrame


@cache
def _file() -> dict[str, NDArray[np.generic]]:
    with np.load(FILE) as arrays:
        return dict(arrays)


def names() -> list[str]:
    """All moments that are kept."""
    return [name.removesuffix("/seed") for name in _file() if name.endswith("/seed")]


def pinned(name: str) -> Moment:
    """The moment of that name."""
    seed, pose, depth, instance = (
        _file()[f"{name}/{part}"] for part in ("seed", "pose", "depth", "instance")
    )
    time_s, s_mm, *rest = pose.tolist()
    place = Pose(np.array(rest[:3]), np.array(rest[3:]).reshape(3, 3), s_mm)
    per_level = np.log(FARTHEST_MM / NEAREST_MM) / LEVELS
    truth = ReferenceFrame(NEAREST_MM * np.exp(depth * per_level), instance.astype(np.int64))
    return Moment(scene_of(name, int(seed)), still(place, time_s), truth)


def scene_of(name: str, seed: int) -> Scene:
    """The scene that a moment of that name shows."""
    if name == "balls":
        # One hangs free, one half in the wall, one mostly hidden behind the first.
        return tube(ball(125.0, y=2.0), ball(130.0, y=18.0, radius=6.0), ball(160.0, y=14.0))
    scene = without_overlay(make_scene(seed, PLAIN))
    if name.startswith("wave"):
        return replace(scene, anatomy=replace(scene.anatomy, peristalsis=0.05))
    if name in ("diverticulum", "pool"):
        strange = {"diverticulum": Nuisances(diverticula=1.0), "pool": Nuisances(fluid=0.8)}[name]
        anatomy = make_anatomy(seed, scene.ranges.anatomy, strange)
        return replace(scene, anatomy=anatomy, polyps=())
    return scene


def near_an_edge(truth: ReferenceFrame) -> NDArray[np.bool_]:
    """(H, W): pixels with a neighbour at another depth (by 10 %) or of another instance."""
    kernel = np.ones((3, 3), np.uint8)
    depth, instance = truth.depth, truth.instance.astype(np.float64)
    jump = cv2.dilate(depth, kernel) > 1.1 * cv2.erode(depth, kernel)
    border = cv2.dilate(instance, kernel) != cv2.erode(instance, kernel)
    return np.asarray(jump | border)


def pits(scene: Scene) -> tuple[Array, Array]:
    """Places (N, 3) in the diverticula of the scene of that moment, and their s."""
    plain = make_anatomy(scene.seed, scene.ranges.anatomy, Nuisances(diverticula=0.0))
    rows, columns = np.nonzero(scene.anatomy.radius - plain.radius > 2.5)
    early = rows * 0.75 < 700  # well before the cecum, whose draw the pits change
    return _cells(scene, rows[early][::5], columns[early][::5])


def pools(scene: Scene) -> tuple[Array, Array]:
    """Places (N, 3) in the fluid of the scene of that moment, and their s."""
    rows, columns = np.nonzero(scene.anatomy.deposits.fluid > 1.5)
    return _cells(scene, rows[::13], columns[::13])


def _cells(scene: Scene, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Array, Array]:
    """World positions of cells of the wall's table, and their s."""
    s_mm, angle = rows * np.float64(0.75), COLUMN_ANGLES[columns]
    radius = scene.anatomy.radius[rows, columns].astype(np.float64)
    line = scene.anatomy.centreline
    return line.to_world(s_mm, radius * np.cos(angle), radius * np.sin(angle)), s_mm


def pixels_on(places: Array, scene: Scene, state: CameraState, depth: Array) -> int:
    """How many pixels well inside the picture show a point within 1 mm of one of the places."""
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH)
    hits = state.pose.position + depth[..., None] * (rays @ state.pose.axes)
    middle = hits[HEIGHT // 5 : -HEIGHT // 5, WIDTH // 5 : -WIDTH // 5].reshape(-1, 1, 3)
    return int((np.linalg.norm(middle - places, axis=2).min(axis=1) < 1.0).sum())


def _found(renderer: Renderer) -> Iterator[tuple[str, int, CameraState]]:
    """Each moment's name, seed and camera."""
    for kind in KINDS:
        yield kind, *next(_well_seen(renderer, kind))
    yield "half behind a fold", *next(_half_hidden(renderer))
    state = next(
        state
        for state, stats in _pictures(renderer, scene_of("wave", 22))
        if ((stats[:, 0] > 200) & (stats[:, 0] < 2000)).any()
    )
    for time_s in WAVE_TIMES:
        yield f"wave at {time_s:g} s", 22, replace(state, time_s=time_s)
    for name, seed, places_of in (("diverticulum", 7, pits), ("pool", 8, pools)):
        scene = scene_of(name, seed)
        yield name, seed, next(_showing(renderer, scene, *places_of(scene)))
    for seed in EDGE_SEEDS:
        yield f"edge {seed}", seed, next(_edges(renderer, scene_of("edge", seed)))
    yield "balls", 0, still(along_z())


def _pictures(renderer: Renderer, scene: Scene) -> Iterator[tuple[CameraState, NDArray[np.int32]]]:
    """Every third capture on the way, with its (MAX_POLYPS, 6) pixel counts."""
    renderer.load([scene])
    for state in fly(scene)[::3]:
        yield state, renderer.render([CameraShot(state)]).stats[0].numpy()


def _well_seen(renderer: Renderer, kind: str) -> Iterator[tuple[int, CameraState]]:
    """A polyp of that kind, all but whole, is a good part of the picture."""
    for seed in range(20, 26):
        scene = scene_of(kind, seed)
        of_kind = [k for k, polyp in enumerate(scene.polyps) if polyp.paris == kind]
        for state, stats in _pictures(renderer, scene):
            share, whole = stats[of_kind, 0] / PIXELS, stats[of_kind, 0] > 0.8 * stats[of_kind, 1]
            if ((share > 0.03) & (share < 0.4) & whole).any():
                yield seed, state


def _half_hidden(renderer: Renderer) -> Iterator[tuple[int, CameraState]]:
    """The wall hides a good part of the only polyp."""
    for seed in (12, 10, 13):
        for state, stats in _pictures(renderer, scene_of("half behind a fold", seed)):
            (shown,) = np.nonzero(stats[:, 0])
            if len(shown) == 1 and 40 < stats[shown[0], 0] < 0.6 * stats[shown[0], 1]:
                yield seed, state


def _showing(renderer: Renderer, scene: Scene, places: Array, s_mm: Array) -> Iterator[CameraState]:
    """One of the places is near the middle, close by, and nothing hides it."""
    lens = scene.lens(WIDTH, HEIGHT)
    margin = np.array([WIDTH, HEIGHT]) / 5
    renderer.load([scene])
    for state in fly(scene):
        seen = (places - state.pose.position) @ state.pose.axes.T
        distance = np.linalg.norm(seen, axis=1)
        pixel = lens.project(seen)
        framed = ((pixel > margin) & (pixel < np.array([WIDTH, HEIGHT]) - margin)).all(axis=1)
        near = (distance < 35) & (np.abs(s_mm - state.pose.s_mm) < 40) & (seen[:, 2] > 0)
        if (framed & near).any():
            depth = renderer.render([CameraShot(state)]).depth[0].numpy().astype(np.float64)
            if pixels_on(places, scene, state, depth) >= 12:
                yield state


def _edges(renderer: Renderer, scene: Scene) -> Iterator[CameraState]:
    """Behind a fold the colon goes on, across a good part of the picture; there is no polyp."""
    kernel = np.ones((3, 3), np.uint8)
    for state, stats in _pictures(renderer, scene):
        depth = renderer.render([CameraShot(state)]).depth[0].numpy()
        edge = cv2.dilate(depth, kernel) > 1.3 * cv2.erode(depth, kernel)
        if not stats[:, 0].any() and edge.mean() > 0.08:
            yield state


def renew() -> None:
    """Look for every moment, have the twin render it, and write them all."""
    arrays: dict[str, Any] = {}
    for name, seed, state in _found(Renderer(WIDTH, HEIGHT, start_engine("cpu"))):
        scene, pose = scene_of(name, seed), state.pose
        truth = Reference(scene, state.time_s).render(pose, scene.lens(WIDTH, HEIGHT))
        share = np.log(truth.depth / NEAREST_MM) / np.log(FARTHEST_MM / NEAREST_MM)
        numbers = [state.time_s, pose.s_mm, *pose.position, *pose.axes.ravel()]
        arrays[f"{name}/seed"] = np.array(seed)
        arrays[f"{name}/pose"] = np.array(numbers)
        arrays[f"{name}/depth"] = np.round(share * LEVELS).astype(np.uint16)
        arrays[f"{name}/instance"] = truth.instance.astype(np.uint8)
        print(f"{name}: seed {seed}, {state.time_s:.1f} s", file=sys.stderr)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    renew()
