"""Where polyps grow, how large, and of which kind: the draws behind `polyps`.

What is smooth and of the four usual kinds comes from one random stream; all that is uneven, flat or
of several heads from another, so that it leaves the others as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from endoforge.sim.anatomy import Anatomy
from endoforge.sim.encircling import grow_around
from endoforge.sim.lesion_growth import (
    FLAT_KINDS,
    grow_flat,
    grow_mass,
    made_uneven,
    off_wall,
    on_long_stalk,
    passable,
    tinted,
)
from endoforge.sim.polyps import KINDS, MAX_POLYPS, Paris, Polyp
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.shapes import triple
from endoforge.sim.streams import Stream, stream

LEAST_MM: dict[Paris, float] = {"Ip": 6.0, "Isp": 5.0, "Is": 3.0, "IIa": 4.0}
"""Smaller ones of a kind aren't told apart from Is."""
DIMINUTIVE_MM = (2.0, 5.0)
MOST_BLEND_MM = 2.0
"""Width over which a polyp merges into the wall at most, flat ones aside."""
PLACE_TRIES = 200
"""Places that a polyp is tried at before it is left out: a colon may have no room for it."""
MOST_GROUPS, GROUP_SIZE, GROUP_TRIES = 3, (3, 12), 60
"""Groups of small ones of a run at most; how many are in one; places tried for one of them."""
GROUP_MM = (5.0, 13.0)
"""Standard deviation of their places about the middle of their group."""
APART_MM, APART_IN_GROUP_MM = 2.0, 0.2
"""What polyps leave free between them."""
LEE_TRIES = 24
"""Places of which the one with the steepest wall counts as the lee of a fold."""
MARGIN_MM = 35.0
"""No polyp grows closer to either end of the colon."""


@dataclass(frozen=True)
class _Chance:
    """The two random streams: of the usual shapes, and of the others."""

    usual: np.random.Generator
    shapes: np.random.Generator


def make_polyps(seed: int, anatomy: Anatomy, ranges: PolypRanges) -> tuple[Polyp, ...]:
    """Draw the polyps of a seed's colon, sorted along it; no two touch.

    Those that no place is found for are left out.
    """
    chance = _Chance(stream(seed, Stream.POLYPS), stream(seed, Stream.POLYP_SHAPES))
    rng = chance.usual
    wanted = int(rng.integers(ranges.count[0], ranges.count[1] + 1))
    shares = np.array(ranges.weights)
    placed: list[Polyp] = []
    for kind in rng.choice(len(KINDS), size=wanted, p=shares / shares.sum()):
        diameter = _diameter(chance, KINDS[kind], ranges)
        around = KINDS[kind] == "mass" and _happens(chance.shapes, ranges.encircling)
        for _ in range(PLACE_TRIES):
            place = _place(chance, anatomy, ranges)
            polyp = _grow_at(chance, KINDS[kind], diameter, place, anatomy, ranges, around=around)
            if polyp is not None and _apart(polyp, placed, APART_MM):
                placed.append(polyp)
                break
    _add_clusters(seed, placed, anatomy, ranges)
    placed.sort(key=lambda polyp: polyp.s_mm)
    return _some_like_wall(seed, placed, ranges.like_wall)


def _some_like_wall(seed: int, polyps: Sequence[Polyp], share: float) -> tuple[Polyp, ...]:
    alike = stream(seed, Stream.POLYP_SURFACE).random(len(polyps)) < share
    # What is level with the wall would be nothing at all.
    return tuple(
        replace(polyp, like_wall=bool(like) and polyp.paris not in ("IIb", "IIc"))
        for polyp, like in zip(polyps, alike, strict=True)
    )


def _add_clusters(seed: int, placed: list[Polyp], anatomy: Anatomy, ranges: PolypRanges) -> None:
    """Add the groups of small ones of a seed, as many as there is room for."""
    rng = stream(seed, Stream.CLUSTERS)
    if not _happens(rng, ranges.clusters):
        return
    for number in range(1, int(rng.integers(1, MOST_GROUPS + 1)) + 1):
        group = _cluster(rng, placed, anatomy, ranges)
        if len(group) >= GROUP_SIZE[0]:
            placed += [replace(polyp, group=number) for polyp in group]


def _cluster(
    rng: np.random.Generator, placed: Sequence[Polyp], anatomy: Anatomy, ranges: PolypRanges
) -> list[Polyp]:
    """Draw small polyps of one look around one place, at most as many as a scene has room for."""
    middle, turn = _anywhere(rng, anatomy)
    spread, look = draw(rng, GROUP_MM), appearance(rng, ranges)
    wanted = min(int(rng.integers(GROUP_SIZE[0], GROUP_SIZE[1] + 1)), MAX_POLYPS - len(placed))
    group: list[Polyp] = []
    for _ in range(wanted):
        diameter = draw(rng, DIMINUTIVE_MM)
        for _ in range(GROUP_TRIES):
            along, around = rng.normal(0.0, spread, 2)
            angle = turn + around / anatomy.radius_at(middle, turn)
            place = middle + along, (angle + np.pi) % (2 * np.pi) - np.pi
            polyp = _grow_at(_Chance(rng, rng), "Is", diameter, place, anatomy, ranges)
            if (
                polyp is not None
                and _apart(polyp, placed, APART_MM)
                and _apart(polyp, group, APART_IN_GROUP_MM)
            ):
                group.append(replace(polyp, **look))
                break
    return group


def _apart(polyp: Polyp, others: Sequence[Polyp], free_mm: float) -> bool:
    return all(
        float(np.linalg.norm(polyp.bound_centre - other.bound_centre))
        > polyp.bound_mm + other.bound_mm + free_mm
        for other in others
    )


def _happens(rng: np.random.Generator, share: float) -> bool:
    """Whether what so many have is so here; nothing is drawn where none has it."""
    return share > 0 and bool(rng.random() < share)


def _diameter(chance: _Chance, paris: Paris, ranges: PolypRanges) -> float:
    """Draw the largest width of a polyp of a kind."""
    if paris == "mass":
        return draw(chance.shapes, ranges.mass_mm)
    if paris in ("LST-G", "LST-NG"):
        return draw(chance.shapes, ranges.lst_mm)
    diameter = _skewed(chance.usual, *ranges.diameter_mm, LEAST_MM.get(paris, 4.0))
    small = paris in ("Is", "IIa") and chance.shapes.random() < ranges.diminutive
    return draw(chance.shapes, DIMINUTIVE_MM) if small else diameter


def _skewed(rng: np.random.Generator, least: float, most: float, least_of_kind: float) -> float:
    """Draw a diameter, mostly a small one as polyps have: of 3 to 25 mm, half below about 7."""
    diameter = least + (most - least) * float(rng.beta(0.85, 3.3))
    return min(max(diameter, least_of_kind), max(most, least))


def _place(chance: _Chance, anatomy: Anatomy, ranges: PolypRanges) -> tuple[float, float]:
    """Draw a position and an angle: anywhere, on a fold's crest, or in the lee of one.

    In the lee the wall falls away behind the crest; on it the wall stands out farthest.
    """
    rng = chance.usual
    in_lee = rng.random() < ranges.behind_folds

    if chance.shapes.random() < ranges.on_folds:
        tries = [_anywhere(rng, anatomy) for _ in range(LEE_TRIES)]
        return max(tries, key=lambda place: anatomy.crest_at(*place))
    if not in_lee:
        return _anywhere(rng, anatomy)
    tries = [_anywhere(rng, anatomy) for _ in range(LEE_TRIES)]
    return max(tries, key=lambda place: anatomy.slopes_at(*place)[0])


def _anywhere(rng: np.random.Generator, anatomy: Anatomy) -> tuple[float, float]:
    return rng.uniform(MARGIN_MM, anatomy.length_mm - MARGIN_MM), rng.uniform(-np.pi, np.pi)


def _grow_at(
    chance: _Chance,
    paris: Paris,
    diameter: float,
    place: tuple[float, float],
    anatomy: Anatomy,
    ranges: PolypRanges,
    *,
    around: bool = False,
) -> Polyp | None:
    """Draw a polyp at a place, or None if it would fill the lumen there or drown in a pool.

    `around`: a mass that goes around the lumen.
    """
    rng = chance.usual
    s_mm, angle = place
    wall, away, along = anatomy.wall_at(s_mm, angle)
    half_width, stalk, base = diameter / 2, 0.0, wall
    half_height, centre, blend = half_width, wall, MOST_BLEND_MM
    if paris == "Is":
        half_height = half_width * rng.uniform(0.5, 1.0)
        centre = wall + rng.uniform(-0.1, 0.35) * half_height * away
        blend = min(rng.uniform(0.35, 0.9) * half_width, MOST_BLEND_MM)
    elif paris == "IIa":
        half_height = min(rng.uniform(0.22, 0.36) * half_width + 0.4, 2.8)
        centre = wall + 0.3 * half_height * away
        blend = rng.uniform(0.5, 1.0) * half_height + 0.3
    elif paris in ("Ip", "Isp"):
        half_height = half_width * rng.uniform(0.85, 1.15)
        long = (0.7, 1.5) if paris == "Ip" else (0.05, 0.3)
        length = rng.uniform(*long) * half_width + 0.6
        lean = rng.uniform(-0.5, 0.5) * length
        centre = wall + (length + 0.55 * half_height) * away + lean * along
        stalk = half_width * (rng.uniform(0.28, 0.42) if paris == "Ip" else rng.uniform(0.5, 0.7))
        base = wall - away
        blend = min(0.25 * half_width + 0.6, MOST_BLEND_MM)
    polyp = Polyp(
        paris=paris,
        s_mm=s_mm,
        angle=angle,
        centre=triple(centre),
        axis=triple(away),
        base=triple(base),
        half_width_mm=half_width,
        half_height_mm=half_height,
        stalk_mm=stalk,
        blend_mm=blend,
        **appearance(rng, ranges),
    )
    drowned = anatomy.fluid_at(s_mm, angle) > 0.3
    shape = grow_around if around else _shaped
    shaped = shape(chance.shapes, polyp, anatomy, ranges)
    if drowned or shaped is None or _is_buried(shaped, anatomy) or _fills_lumen(shaped, anatomy):
        return None
    return shaped


def _shaped(
    rng: np.random.Generator, plain: Polyp, anatomy: Anatomy, ranges: PolypRanges
) -> Polyp | None:
    """Give a polyp the shape of its kind, where that isn't smooth; None if that has no room."""
    if plain.paris in FLAT_KINDS:
        return grow_flat(rng, plain, anatomy, ranges)
    if plain.paris == "mass":
        return grow_mass(rng, plain, anatomy, ranges)
    long = plain.paris == "Ip" and rng.random() < ranges.long_stalks
    polyp = on_long_stalk(rng, plain, anatomy) if long else plain
    return None if polyp is None else made_uneven(rng, polyp, ranges)


def appearance(rng: np.random.Generator, ranges: PolypRanges) -> dict[str, Any]:
    """Draw a polyp's colour and surface, by their names in `Polyp`."""
    redness, paleness = draw(rng, ranges.redness), draw(rng, ranges.paleness)
    return {
        "tint": tinted(redness, paleness),
        "pattern": draw(rng, ranges.pattern),
        "lobes": draw(rng, ranges.lobes),
        "mucus": draw(rng, ranges.mucus),
        "vessels": rng.uniform(0.1, 0.8),
    }


def _is_buried(polyp: Polyp, anatomy: Anatomy) -> bool:
    """Whether the top of a head lies in the wall across, as in a cleft between folds."""
    top = np.add(polyp.centre, polyp.half_height_mm * np.asarray(polyp.axis))
    return polyp.flat is None and off_wall(anatomy, top, polyp.s_mm) < 0.5


def _fills_lumen(polyp: Polyp, anatomy: Anatomy) -> bool:
    """Whether a scope of 10 mm couldn't pass beside a polyp; beside a mass, a thinner one."""
    if polyp.flat:
        return False
    if polyp.uneven.heads:
        return not passable(polyp, anatomy)
    line, row = anatomy.centreline, anatomy.centreline.row(polyp.s_mm)
    offset = np.subtract(polyp.centre, line.points[row])
    offset = offset - offset @ line.tangents[row] * line.tangents[row]
    reach = polyp.diameter_mm / 2 - float(np.linalg.norm(offset))
    across = anatomy.radius_at(polyp.s_mm, polyp.angle + np.pi)
    return across - reach < 11.0
