"""The kernels' slow, readable twin: NumPy in float64, every ray marched in small steps.

It shares the scene's numbers with the kernels and none of their code or shortcuts: the centreline
is interpolated and searched until it converges, the wall's slopes are measured, there are no
tiles, no lattice, no culling and no safe-step table.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import WAVE_MM, WAVE_S
from endoforge.sim.camera import Pose
from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.optics import Lens
from endoforge.sim.polyps import LABELLED_STALK, Polyp
from endoforge.sim.scene import Scene
from endoforge.sim.shapes import SMOOTH
from endoforge.sim.wall import NUM_AROUND

FAR_MM = 280.0
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceFrame:
    """(H, W) depth in mm along the ray, and instance (0 wall, k polyp k - 1)."""

    depth: Array
    instance: NDArray[np.int64]

    def box(self, instance: int) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the pixels of an instance, right and bottom exclusive."""
        y, x = np.nonzero(self.instance == instance)
        return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


class Reference:
    """Distances of one scene at one time, at (N, 3) points with (N,) first guesses of s."""

    def __init__(self, scene: Scene, time_s: float = 0.0) -> None:
        self.scene = scene
        self.time_s = time_s
        self.line = scene.anatomy.centreline
        self.radius = scene.anatomy.radius
        self.polyps = [self._carried(polyp) for polyp in scene.polyps]

    def curve_coordinates(self, p: Array, s: Array) -> tuple[Array, Array, Array]:
        """(s, x, y) of points, by Newton's method on the interpolated centreline."""
        for _ in range(4):
            point, tangent, normal, binormal, k1, k2 = self._row(s)
            q = p - point
            x, y = _dot(q, normal), _dot(q, binormal)
            stretch = np.maximum(1 - k1 * x - k2 * y, 0.2)
            s = s + _dot(q, tangent) / stretch
        return s, x, y

    def wall_radius(self, s: Array, angle: Array) -> Array:
        """Bilinear in s and in the diamond angle, wrapped around."""
        along = np.clip(s / ALONG_STEP_MM, 0, NUM_ALONG - 1.001)
        c, d = np.cos(angle), np.sin(angle)
        a = d / (np.abs(c) + np.abs(d))
        around = np.mod(np.where(c < 0, 2 - a, a), 4.0) * NUM_AROUND / 4
        i, j = along.astype(int), np.floor(around).astype(int)
        u, v = along - i, around - j
        j0, j1 = j % NUM_AROUND, (j + 1) % NUM_AROUND
        low = self.radius[i, j0] * (1 - v) + self.radius[i, j1] * v
        high = self.radius[i + 1, j0] * (1 - v) + self.radius[i + 1, j1] * v
        radius: Array = (low * (1 - u) + high * u) * (1 + self._wave(s))
        return radius

    def wall_distance(self, s: Array, x: Array, y: Array) -> Array:
        """First-order distance to the wall: the radial gap over the measured slope."""
        r, angle = np.hypot(x, y), np.arctan2(y, x)
        radius = self.wall_radius(s, angle)
        step_s, step_a = ALONG_STEP_MM, 2 * np.pi / NUM_AROUND
        along = self.wall_radius(s + step_s, angle) - self.wall_radius(s - step_s, angle)
        around = self.wall_radius(s, angle + step_a) - self.wall_radius(s, angle - step_a)
        slope = np.hypot(along / (2 * step_s), around / (2 * step_a) / radius)
        distance: Array = (radius - r) / np.sqrt(1 + slope**2)
        return distance

    def distances(self, p: Array, s: Array) -> tuple[Array, Array, Array]:
        """(N,) blended distance, (P + 1, N) unblended distances (wall first), (N,) refined s."""
        s, x, y = self.curve_coordinates(p, s)
        parts = [self.wall_distance(s, x, y)]
        blended = parts[0]
        for polyp in self.polyps:
            distance = polyp_distance(polyp, p)
            if polyp.flat:
                # One around the lumen is the wall.
                height = 1e-6 if polyp.band else flat_height(polyp, p, distance)
                distance = np.where(distance < 0, parts[0] - height, 1e6)
            h = np.maximum(polyp.blend_mm - np.abs(blended - distance), 0)
            blended = np.minimum(blended, distance) - h**2 / (4 * polyp.blend_mm)
            parts.append(distance)
        return blended, np.stack(parts), s

    def render(self, pose: Pose, lens: Lens) -> ReferenceFrame:
        """All pixels of the picture."""
        shape = (lens.height, lens.width)
        depth, instance = self.march(pose, lens.rays(*shape).reshape(-1, 3))
        return ReferenceFrame(depth.reshape(shape), instance.reshape(shape))

    def march(self, pose: Pose, rays: Array) -> tuple[Array, NDArray[np.int64]]:
        """(N,) depths and instances of what rays (N, 3) in the camera's axes meet."""
        rays = rays @ pose.axes
        t = np.full(len(rays), 0.1)
        s = np.full(len(rays), pose.s_mm)
        marching = np.ones(len(rays), bool)
        for _ in range(3000):
            points = pose.position + rays[marching] * t[marching, None]
            distance, _, s[marching] = self.distances(points, s[marching])
            t[marching] += np.clip(0.3 * distance, 0.004, 3.0)
            marching[marching] = (distance > 0.004) & (t[marching] < FAR_MM)
            if not marching.any():
                break
        points = pose.position + rays * t[:, None]
        _, parts, _ = self.distances(points, s)
        instance = np.where(t < FAR_MM, parts.argmin(axis=0), 0)
        for k, polyp in enumerate(map(self._carried, self.scene.polyps), start=1):
            if polyp.stalk_mm > 0:
                beyond = head_distance(polyp, points) > LABELLED_STALK * polyp.half_width_mm
                instance[(instance == k) & beyond] = 0
        return t, instance

    def _wave(self, s: Array) -> Array:
        """Peristalsis: the share by which the wall is wider."""
        turns = s / WAVE_MM + self.time_s / WAVE_S
        return self.scene.anatomy.peristalsis * np.sin(2 * np.pi * turns)

    def _carried(self, polyp: Polyp) -> Polyp:
        """The polyp, moved outwards with the wall under it."""
        row = self.line.row(polyp.s_mm)
        across = self.line.normals[row], self.line.binormals[row]
        outward = np.cos(polyp.angle) * across[0] + np.sin(polyp.angle) * across[1]
        wave = float(self._wave(np.array(polyp.s_mm)))
        shift = wave * self.scene.anatomy.radius_at(polyp.s_mm, polyp.angle) * outward
        x, y, z = np.add(polyp.centre, shift)
        u, v, w = np.add(polyp.base, shift)
        return replace(polyp, centre=(x, y, z), base=(u, v, w))

    def _row(self, s: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
        place = np.clip(s / ALONG_STEP_MM, 0, NUM_ALONG - 1.001)
        i = place.astype(int)
        u = (place - i)[:, None]

        def between(rows: Array) -> Array:
            row: Array = rows[i] * (1 - u) + rows[i + 1] * u
            return row

        tangent = between(self.line.tangents)
        curvature = between(self.line.curvature)
        return (
            between(self.line.points),
            tangent / np.linalg.norm(tangent, axis=1, keepdims=True),
            between(self.line.normals),
            between(self.line.binormals),
            curvature[:, 0],
            curvature[:, 1],
        )


def polyp_distance(polyp: Polyp, p: Array) -> Array:
    """(N,) distance to a polyp: its head, and its stalk."""
    distance = head_distance(polyp, p)
    if polyp.stalk_mm > 0:
        distance = _with_stalk(polyp, p, distance)
    return distance


def head_distance(polyp: Polyp, p: Array) -> Array:
    """(N,) distance to a polyp's head."""
    q = p - np.asarray(polyp.centre)
    return _smooth_head(polyp, q) if polyp.uneven == SMOOTH else _uneven_head(polyp, q)


def _smooth_head(polyp: Polyp, q: Array) -> Array:
    """An ellipsoid of revolution with lobes."""
    along = q @ np.asarray(polyp.axis)
    across2 = np.maximum(_dot(q, q) - along**2, 0)
    width, height = polyp.half_width_mm, polyp.half_height_mm
    k0 = np.sqrt(across2 / width**2 + along**2 / height**2)
    k1 = np.sqrt(across2 / width**4 + along**2 / height**4)
    distance: Array = k0 * (k0 - 1) / (k1 + 1e-6)
    root = np.asarray(polyp.centre) - np.asarray(polyp.base)
    turns = q * 0.67 / width * np.array([1, 1, 1.2]) + root
    wave = np.sin(2 * np.pi * turns)
    lobes = wave[:, 0] * wave[:, 1] + wave[:, 2]
    return distance + np.where(distance < 1, polyp.lobe_mm * lobes, 0)


def _uneven_head(polyp: Polyp, q: Array) -> Array:
    """A stretched egg, or merged balls; with lobes and creases; less a crater."""
    uneven = polyp.uneven
    bare = _balls(polyp, q) if uneven.heads else _egg(polyp, q)
    if polyp.band:
        bare = band_distance(polyp, q)
    per_mm = 0.67 * uneven.crowded / polyp.half_width_mm
    turns = q * per_mm + np.asarray(polyp.centre) - np.asarray(polyp.base)
    x, y, z = np.sin(2 * np.pi * (turns + q * [[0, 0, 0.2 * per_mm]])).T
    uneven_one = bare + polyp.lobe_mm * (x * y + z)
    uneven_one = uneven_one - uneven.crease_mm * (bulges(turns) - 0.5)
    steep = 1 + 5 * per_mm * (polyp.lobe_mm + uneven.crease_mm)
    uneven_one = uneven_one / steep
    reach = 2 * polyp.lobe_mm + uneven.crease_mm
    distance: Array = np.where(bare < reach + steep * polyp.blend_mm, uneven_one, bare - reach)
    radius = uneven.crater_mm
    if radius > 0:
        top = np.asarray(polyp.axis) * (polyp.half_height_mm + 0.3 * radius)
        cut = radius - np.linalg.norm(q - top, axis=1)
        rim = 0.4 * radius
        distance = np.maximum(distance, cut) + np.maximum(rim - np.abs(distance - cut), 0) ** 2 / (
            4 * rim
        )
    return distance


def _egg(polyp: Polyp, q: Array) -> Array:
    """An ellipsoid of three half-axes that is wider towards one end."""
    uneven, axis = polyp.uneven, np.asarray(polyp.axis)
    first = np.asarray(uneven.along)
    axes = np.stack([first, np.cross(axis, first), axis])
    height = polyp.half_height_mm
    taper = 1 + uneven.egg * np.clip(q @ axis / height, -1.2, 1.2)
    wide = polyp.half_width_mm * taper
    half = np.stack([wide * uneven.stretch, wide, np.full(len(q), height)], axis=1)
    k0 = np.linalg.norm(q @ axes.T / half, axis=1)
    k1 = np.linalg.norm(q @ axes.T / half**2, axis=1)
    distance: Array = k0 * (k0 - 1) / (k1 + 1e-6) * (1 - 0.4 * abs(uneven.egg))
    return distance


def _balls(polyp: Polyp, q: Array) -> Array:
    """Balls, merged one after another."""
    merged = np.full(len(q), 1e6)
    join = polyp.uneven.join_mm
    for *spot, radius in polyp.uneven.heads:
        ball = np.linalg.norm(q - np.array(spot), axis=1) - radius
        h = np.maximum(join - np.abs(merged - ball), 0)
        merged = np.minimum(merged, ball) - h**2 / (4 * join)
    return merged


def band_distance(polyp: Polyp, q: Array) -> Array:
    """A tube's wall from one angle to another, over so much of its length, with round corners."""
    band, axis, along = polyp.band, np.asarray(polyp.axis), np.asarray(polyp.uneven.along)
    assert band is not None
    frame = np.stack([axis, np.cross(along, axis), along], axis=1)
    x, y, ahead = ((q - band.middle_mm * axis) @ frame).T
    off, angle = np.hypot(x, y), np.arctan2(y, x)
    length = np.abs(ahead) - band.half_length_mm
    side = off * (np.cos(angle) - band.turn)
    corner = np.maximum(band.round_mm - np.abs(length - side), 0)
    within = np.maximum(length, side) + corner**2 / (4 * band.round_mm)
    distance: Array = np.maximum(within, off - 1.5 * band.radius_mm)
    return distance


def bulges(turns: Array) -> Array:
    """(N,) 0..1.4 at (N, 3) turns: a gyroid folded over, with its creases a little rounded."""
    sine, cosine = np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)
    gyroid = _dot(sine, np.roll(cosine, -1, axis=1))
    folded: Array = gyroid**2 / (np.abs(gyroid) + 0.15)
    return folded


def flat_height(polyp: Polyp, p: Array, outline: Array) -> Array:
    """(N,) how high a flat lesion stands off the wall, `outline` (N,) mm off its outline."""
    flat = polyp.flat
    assert flat is not None

    def smooth(share: Array) -> Array:
        share = np.clip(share, 0, 1)
        return np.asarray(share**2 * (3 - 2 * share))

    inside = -outline / flat.margin_mm
    height = flat.height_mm * smooth(inside) * (1 - flat.hollow * smooth(inside - 0.8))
    turns = (p - np.asarray(polyp.centre)) * flat.nodules_per_mm + np.asarray(polyp.axis)
    carpet: Array = height + flat.nodule_mm * smooth(inside) * bulges(turns)
    return carpet


def _with_stalk(polyp: Polyp, p: Array, head: Array) -> Array:
    base = np.asarray(polyp.base)
    stalk = np.asarray(polyp.centre) - base
    h = np.clip((p - base) @ stalk / (stalk @ stalk), 0, 1)
    thickness = polyp.stalk_mm * (1 + 0.5 * (1 - h) ** 2)
    distance = np.linalg.norm(p - base - h[:, None] * stalk, axis=1) - thickness
    neck = 0.6 * polyp.stalk_mm + 0.4
    join = np.maximum(neck - np.abs(head - distance), 0)
    joined: Array = np.minimum(head, distance) - join**2 / (4 * neck)
    return joined


def _dot(a: Array, b: Array) -> Array:
    product: Array = (a * b).sum(axis=-1)
    return product
