"""The slow twin of the light: what comes back from the wall and from polyps in a straight tube."""

import math

import numpy as np

from endoforge.sim.camera import Pose
from endoforge.sim.scene import Scene
from tests.sim.glare_reference import stray_stops
from tests.sim.patch_reference import Array, Hits, Patch
from tests.sim.surface_reference import finished


def radiance(scene: Scene, pose: Pose, patch: Patch, hits: Hits) -> Array:
    """(N, 3) linear light of places, before any exposure; nothing casts a shadow."""
    light, look = scene.camera.light, scene.look
    finish, t = finished(scene, patch, hits), hits.distance
    tissue, wet = _unit(hits.normals + finish.bump), _unit(hits.normals + finish.film)
    diffuse, glint = np.zeros(len(t)), np.zeros(len(t))
    # A cosine to the power that halves it at `glint_deg`; by default to that of 512.
    power = 512.0
    if not light.is_plain:
        power = math.log(0.5) / math.log(math.cos(math.radians(light.glint_deg)))
    for place in scene.camera.lamps:
        way = pose.position + np.array([*place, 0.0]) @ pose.axes - hits.places
        d = np.linalg.norm(way, axis=1)
        half = _unit(way / d[:, None] - hits.rays)
        shine = np.maximum((wet * half).sum(axis=1), 0) ** power
        lambert = np.maximum((tissue * way).sum(axis=1) / d + 0.25, 0) / 1.25
        diffuse += lambert / (d**2 + 9) / len(scene.camera.lamps)
        glint += np.where(shine > 1e-3, shine, 0) / (d**2 + 9) / len(scene.camera.lamps)
    left = 1 / (1 + light.falloff * (t / 35) ** 2)
    deep = np.clip(1 - 0.085 * patch.crevice, 0.3, 1.25)
    if not light.is_plain:
        deep = np.clip(1 - (0.085 + 0.12 * light.crevices) * patch.crevice, 0.12, 1.25)
    albedo = finish.albedo
    lit = (diffuse * left)[:, None]
    lit = lit + albedo * [0.30, 0.16, 0.12] * (look.scattered / (t**2 + 900))[:, None]
    lit = lit + albedo**2 * [0.60, 0.50, 0.45] * (light.bounces / (t**2 + 2500))[:, None]
    shine = 8 * glint * left * look.gloss * finish.gloss
    return np.asarray(albedo * lit * deep[:, None] + shine[:, None] * [1.0, 0.98, 0.94])


def metered_gain(scene: Scene, width: int, height: int, time_s: float) -> float:
    """The gain of the automatic exposure on the axis of a bare straight tube of 20 mm.

    Every sixteenth ray each way is metered, as if the only lamp were the lens.
    """
    light, lens = scene.camera.light, scene.lens(width, height)
    rays = lens.rays(height, width)[4::16, 4::16]
    rays = rays[: -(-height // 8) // 2, : -(-width // 8) // 2].reshape(-1, 3)
    if light.metered < 1:
        spot = math.radians(light.metered * scene.camera.fov_deg / 2)
        rays = rays[np.arccos(rays[:, 2]) <= spot]
    sine = np.hypot(rays[:, 0], rays[:, 1])
    back = np.minimum(sine / ((20 / sine) ** 2 + 9), 0.06)
    aimed = 1.9 * scene.camera.exposure * 2 ** stray_stops(light, time_s)
    return float(aimed / np.sqrt((back**2).mean()))


def _unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))
