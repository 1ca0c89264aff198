"""What the endoscopist sets out to do: where the scope is to be at every step, looking at what.

In to the cecum with few glances, a look around there, and slowly out: past every polyp, which is
stopped at, turned to and come close to, and now and then with the tip against the wall.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.instruments import Shaft
from endoforge.sim.lumen import Lumen
from endoforge.sim.polyps import Polyp
from endoforge.sim.ranges.values import draw
from endoforge.sim.retroflexion import Turn
from endoforge.sim.scene import Scene
from endoforge.sim.stops import Check, go_on
from endoforge.sim.streams import Stream, smooth_noise, stream

STEP_S = 0.055
"""The flight's grid in time: a sixth of the capture interval."""
FIRST_MM = 25.0
"""Where along the centreline a flight begins and ends."""
MOST_RED_OUTS = 8
"""How often the tip is against the wall, at most, where red-out has its full strength."""
APPROACH_MM_S = 18.0
"""Mean speed towards a polyp and away from it."""
GLANCED_AT = 0.4
"""Share of the polyps that the scope turns to on its way in."""
INSERTION_LOOK_RAD = 0.16
"""How far it looks aside on its way in."""
LIFT_RAD = (0.4, 1.45)
"""Views of a polyp in an inspection: from along the wall (0) to straight from above."""
SPOT_TRIES = 40
"""Places drawn for each spot, of which the best is taken."""
RETROFLEXION_MM, RETROFLEXION_S = (45.0, 95.0), ((2.5, 4.0), (6.0, 14.0), (2.0, 3.5))
"""Where along the rectum the tip is bent round; how long it takes, stays so, and takes back."""
RETROFLEXION_RAD = (2.7, 3.1)
"""By how much it is bent."""
SET_OFF_MM = 8.0
"""How far off the middle the tip is then."""
MOST_SLIP_MM = 5.0
"""How far it slips back during a pause."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Leg:
    """A part of the way, at n steps of STEP_S.

    `s_mm` (n,); `xy_mm` (n, 2) off the centreline, or None: as it comes; `aim_mm` (3,) the world
    position that it looks at, or None: ahead, and up to `look_rad` aside, or as its `turn` says.
    """

    s_mm: Array
    look_rad: float = 0.0
    xy_mm: Array | None = None
    aim_mm: Array | None = None
    turn: Turn | None = None


class Planner:
    """Draws the legs of a scene's procedure, in order."""

    def __init__(
        self, scene: Scene, lumen: Lumen, rng: np.random.Generator, check: Check = go_on
    ) -> None:
        self.lumen = lumen
        self.check = check
        self.rng = rng
        self.motion = scene.ranges.motion
        self.fov_rad = math.radians(scene.camera.fov_deg)
        self.polyps = scene.polyps
        self.seed, self.shaft = scene.seed, scene.instruments.shaft
        self.look_rad = math.radians(draw(rng, self.motion.look_around_deg))
        self.deepest_mm = lumen.deepest()
        strength = scene.nuisances.red_out
        touches = max(int(rng.binomial(MOST_RED_OUTS, strength)), int(strength > 0))
        self.touches_in = int(rng.integers(0, touches + 1))
        self.touches_out = touches - self.touches_in

    def legs(self) -> list[Leg]:
        """The legs of the whole procedure: in, around the cecum, out."""
        return [*self._insertion(), *self._around_the_cecum(), *self._withdrawal()]

    def _insertion(self) -> list[Leg]:
        stops = self._touches(self.touches_in)
        stops += [self._glance(polyp) for polyp in self._some_polyps(GLANCED_AT)]
        stops.sort(key=lambda leg: leg.s_mm[0])
        return self._joined(stops, FIRST_MM, self.deepest_mm, self.motion.insertion_mm_s)

    def _some_polyps(self, share: float) -> Iterator[Polyp]:
        """Draw a share of the polyps, and of those that stand in a group no more than one."""
        groups = set()
        for polyp in self.polyps:
            if polyp.group not in groups and self.rng.random() < share:
                yield polyp
                if polyp.group:
                    groups.add(polyp.group)

    def _around_the_cecum(self) -> list[Leg]:
        num_steps = _steps(self.rng.uniform(4.0, 8.0))
        s_mm = self.deepest_mm - 3.0 * np.abs(smooth_noise(self.rng, num_steps, 20))
        return [Leg(s_mm, look_rad=max(self.look_rad, 0.6))]

    def _withdrawal(self) -> list[Leg]:
        stops = self._touches(self.touches_out)
        stops += [self._inspection(polyp) for polyp in self._some_polyps(self.motion.inspected)]
        if self.shaft:
            stops += self._retroflexion(self.shaft, stream(self.seed, Stream.RETROFLEXION))
        stops.sort(key=lambda leg: -leg.s_mm[0])
        return self._joined(stops, self.deepest_mm, FIRST_MM, self.motion.withdrawal_mm_s)

    def _joined(
        self, stops: list[Leg], start_mm: float, end_mm: float, speed: tuple[float, float]
    ) -> list[Leg]:
        """The stops and the ways between them, from `start_mm` to `end_mm`."""
        legs: list[Leg] = []
        here = start_mm
        look = INSERTION_LOOK_RAD if end_mm > start_mm else self.look_rad
        for stop in stops:
            legs += [Leg(self._cruise(here, float(stop.s_mm[0]), speed), look), stop]
            here = float(stop.s_mm[-1])
        return [*legs, Leg(self._cruise(here, end_mm, speed), look)]

    def _cruise(self, start_mm: float, end_mm: float, speed: tuple[float, float]) -> Array:
        """The way (n,) mm from place to place at changing speed, with pauses and slips back."""
        num_steps = max(_steps(abs(end_mm - start_mm) / draw(self.rng, speed)), 2)
        pace = np.exp(0.3 * smooth_noise(self.rng, num_steps + 100, 25)[:num_steps])
        slip = np.zeros(num_steps)
        minutes = num_steps * STEP_S / 60
        for _ in range(self.rng.poisson(draw(self.rng, self.motion.pauses_per_min) * minutes)):
            self.check()
            at = int(self.rng.integers(0, num_steps))
            pause = _steps(self.rng.uniform(0.6, 2.5))
            back = self.rng.uniform(0.0, MOST_SLIP_MM) * np.sin(np.linspace(0, np.pi, pause)) ** 2
            pace = np.insert(pace, at, np.zeros(pause))
            slip = np.insert(slip, at, back)
        way = end_mm - start_mm
        s_mm = start_mm + way * np.cumsum(pace) / pace.sum() - np.sign(way) * slip
        return np.asarray(np.clip(s_mm, FIRST_MM, self.deepest_mm))

    def _glance(self, polyp: Polyp) -> Leg:
        """The leg of a slower pass by a polyp that lies ahead, and a look at it."""
        ahead = self.rng.uniform(10.0, 26.0)
        num_steps = _steps(self.rng.uniform(0.6, 1.6))
        start = min(max(polyp.s_mm - ahead, FIRST_MM), self.deepest_mm)
        s_mm = start + np.linspace(0.0, 0.4 * ahead, num_steps)
        return Leg(np.minimum(s_mm, self.deepest_mm), aim_mm=np.asarray(polyp.centre))

    def _touches(self, count: int) -> list[Leg]:
        return [self._touch() for _ in range(count)]

    def _touch(self) -> Leg:
        """The leg of a red-out: the tip as close to the wall as it may be, and facing it."""
        s_mm = self.rng.uniform(FIRST_MM + 10.0, self.deepest_mm, SPOT_TRIES)
        angle = self.rng.uniform(-np.pi, np.pi, SPOT_TRIES)
        toward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        out = self.lumen.wall_radius(s_mm, toward)
        room = out + np.minimum(self.lumen.gap(s_mm, out[:, None] * toward), 0.0)
        best = int(np.argmin(out - room + 5.0 * (room < 3.0)))
        num_steps = _steps(self.rng.uniform(0.5, 1.5) + 0.6)
        place = np.full(num_steps, s_mm[best])
        wall = self.lumen.to_world(place[:1] + self.rng.uniform(0, 2), out[best] * toward[[best]])
        off = np.tile(room[best] * toward[best], (num_steps, 1))
        return Leg(place, xy_mm=off, aim_mm=wall[0])

    def _retroflexion(self, shaft: Shaft, rng: np.random.Generator) -> list[Leg]:
        """The leg in which the tip is bent round in the rectum; none where there is no room.

        The tip is set off to one side, with the shaft at the other.
        """
        s_mm = rng.uniform(*RETROFLEXION_MM, SPOT_TRIES)
        angle = rng.uniform(-np.pi, np.pi, SPOT_TRIES)
        towards = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        beside = 2 * shaft.bend_mm - SET_OFF_MM + shaft.radius_mm
        room = self.lumen.gap(s_mm, SET_OFF_MM * towards)
        for before in (0.0, 8.0, 16.0):
            room = np.minimum(room, self.lumen.wall_radius(s_mm - before, -towards) - beside)
        best = int(room.argmax())
        if room[best] < 0:
            return []
        turn_in, stay, turn_out = (_steps(draw(rng, span)) for span in RETROFLEXION_S)
        ramps = [np.linspace(0, 1, turn_in), np.ones(stay), np.linspace(1, 0, turn_out)]
        share = 0.5 - 0.5 * np.cos(np.pi * np.concatenate(ramps))
        count = len(share)
        bent = draw(rng, RETROFLEXION_RAD) + 0.06 * smooth_noise(rng, count, 1.5 / STEP_S)
        off = SET_OFF_MM * share[:, None] * towards[best]
        lane = self.lumen.lane_at(s_mm[best : best + 1])
        # In and out by some millimetres, as the shaft is moved.
        place = s_mm[best] + 2.5 * share * smooth_noise(rng, count, 2.0 / STEP_S)
        turn = Turn(np.minimum(share * bent, np.pi), towards[best])
        return [Leg(place, xy_mm=off + (1 - share[:, None]) * lane, turn=turn)]

    def _inspection(self, polyp: Polyp) -> Leg:
        """The leg that goes nearer to a polyp and further away again, from one side and another.

        The logarithm of the picture's share is drawn evenly. Mostly less comes: clearance keeps the
        scope away, and flat polyps look small.
        """
        self.check()
        number = int(self.rng.integers(2, 5))
        least, most = np.log(self.motion.picture_share)
        shares = np.exp(self.rng.uniform(least, most, number))
        spots = self._spots(polyp, shares)
        num_steps = _steps(draw(self.rng, self.motion.inspection_s))
        s_mm, *xy_mm = _dwelling(spots, num_steps).T
        aim = np.add(polyp.centre, 0.3 * polyp.half_height_mm * np.asarray(polyp.axis))
        return Leg(s_mm, xy_mm=np.stack(xy_mm, axis=1), aim_mm=aim)

    def _spots(self, polyp: Polyp, shares: Array) -> Array:
        """Places (K, 3) s, x, y where the polyp's box fills about `shares` (K,) of the picture.

        Each is the best of SPOT_TRIES: clear, with nothing in between, no further than need be.
        """
        scale = np.tile(np.linspace(1.0, 1.7, SPOT_TRIES), len(shares))
        width = self._width_mm(polyp)
        wanted = [viewing_distance(width, share, self.fov_rad) for share in shares]
        target_s, target_xy = self.lumen.from_world(np.asarray(polyp.centre), polyp.s_mm)
        distance = scale * np.repeat(wanted, SPOT_TRIES)
        s_mm, xy_mm = self._places_before(target_s, target_xy, distance)
        off = max(float(np.hypot(*target_xy)), 1e-6)
        top_xy = (1 - 0.5 * polyp.half_height_mm / off) * target_xy
        hidden = np.logical_not(self.lumen.in_sight(s_mm, xy_mm, target_s, top_xy))
        short = np.maximum(0.3 - self.lumen.gap(s_mm, xy_mm), 0)
        cost = short + 3.0 * hidden + 4.0 * np.log(scale)
        best = cost.reshape(-1, SPOT_TRIES).argmin(axis=1)
        best += np.arange(len(shares)) * SPOT_TRIES
        return np.concatenate([s_mm[best, None], xy_mm[best]], axis=1)

    def _width_mm(self, polyp: Polyp) -> float:
        """The width of a polyp, or of the group that it stands in as seen from above it."""
        if not polyp.group:
            return polyp.diameter_mm
        members = [other for other in self.polyps if other.group == polyp.group]
        ways = [np.linalg.norm(np.subtract(other.centre, polyp.centre)) for other in members]
        return float(max(ways)) + polyp.diameter_mm

    def _places_before(
        self, target_s: float, target_xy: Array, distance_mm: Array
    ) -> tuple[Array, Array]:
        """Draw s (N,) and offset (N, 2) so far from a target, above it and on the rectum's side."""
        off = max(float(np.hypot(*target_xy)), 1e-6)
        inward = -target_xy / off
        sideward = np.array([inward[1], -inward[0]])
        lift = self.rng.uniform(*LIFT_RAD, len(distance_mm))
        side = self.rng.normal(0.0, 0.4, len(distance_mm))
        across = np.cos(side)[:, None] * inward + np.sin(side)[:, None] * sideward
        xy_mm = target_xy + (distance_mm * np.sin(lift))[:, None] * across
        line = self.lumen.line
        bend = float(line.curvature[line.row(target_s)] @ target_xy)
        s_mm = target_s - distance_mm * np.cos(lift) / max(1 - bend, 0.3)
        return np.clip(s_mm, FIRST_MM, self.deepest_mm), xy_mm


def viewing_distance(diameter_mm: float, share: float, fov_rad: float) -> float:
    """The distance in mm at which a ball's box fills `share` of a 16:9 picture.

    Through an equidistant lens with the field of view `fov_rad` across the diagonal: the picture's
    area is 144/337 of its diagonal's square.
    """
    angle = min(math.sqrt(share * 144 / 337) * fov_rad, 2.6)
    return 0.5 * diameter_mm / math.sin(0.5 * angle)


def _dwelling(spots: Array, num_steps: int) -> Array:
    """The course (n, C) mm from spot to spot at APPROACH_MM_S with soft stops, and rests there.

    n is `num_steps`, or what the ways need if that is more.
    """
    ways = np.linalg.norm(np.diff(spots, axis=0), axis=1)
    moves = np.ceil(ways / (APPROACH_MM_S * STEP_S)).astype(int) + 1
    rest = max((num_steps - int(moves.sum())) // len(spots), 2)
    parts = [np.tile(spots[0], (rest, 1))]
    for start, end, move in zip(spots, spots[1:], moves.tolist(), strict=False):
        ease = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, move))[:, None]
        parts += [start + ease * (end - start), np.tile(end, (rest, 1))]
    return np.concatenate(parts)


def _steps(seconds: float) -> int:
    return max(round(seconds / STEP_S), 1)
