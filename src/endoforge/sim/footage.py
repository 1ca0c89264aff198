"""Many views of one run: which moments of its flight are shown, and all that rendering them needs.

Nothing is rendered here, and neither torch nor quadrants is needed: this runs in processes of its
own (`sim.bakery`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.sim.dressing import dressed
from endoforge.sim.flight import Flight, plan_flight
from endoforge.sim.itinerary import STEP_S
from endoforge.sim.packing import Movers, scene_arrays
from endoforge.sim.polyps import KINDS, MAX_POLYPS, Polyp
from endoforge.sim.randomization import Randomization
from endoforge.sim.scene import Optics, Scene, make_scene
from endoforge.sim.stops import Check, go_on
from endoforge.sim.streams import Stream, stream

ANYWHERE = 0.25
"""Share of the views that are drawn from the whole flight; the others show a polyp, most likely."""
LEAST_PX = 200.0
"""A view shows a polyp if its disk would have so many pixels."""
BESIDE_MM = 90.0
"""Polyps further off along the colon aren't looked for: a fold or a bend stands before them."""


@dataclass(frozen=True, eq=False)
class Footage:
    """A run that is ready to be rendered: its world, and F views in an order drawn by chance.

    `arrays` are those of `packing.scene_arrays`, and with a leading axis F the `cameras` and
    `polyps` of `packing.Movers.at`, for a scene that is number 0. `steps` (F,) are the moments of
    the flight, no two the same; `kinds` (MAX_POLYPS,) the polyps' places in `KINDS`, 0 where there
    is none.
    """

    seed: int
    arrays: dict[str, NDArray[Any]]
    steps: NDArray[np.int64]
    kinds: NDArray[np.int64]


def make_footages(
    seeds: Sequence[int],
    randomization: Randomization,
    size: tuple[int, int],
    num_views: int,
    check: Check = go_on,
) -> Iterator[Footage]:
    """Make the footage of the first seed's run, and of its colon as each other seed dresses it.

    A colon and its flight take five times as long to make as a look: `dressing.dressed` says what
    of a scene is its look. `size` is (width, height) in pixels. Raises UserError if the flight is
    too short for so many views, and Stopped once `check` does.
    """
    check()
    scene = make_scene(seeds[0], randomization)
    flight = plan_flight(scene, check)
    yield _footage(scene, flight, size, num_views)
    for seed in seeds[1:]:
        check()
        yield _footage(dressed(scene, seed), flight, size, num_views)


def _footage(scene: Scene, flight: Flight, size: tuple[int, int], num_views: int) -> Footage:
    # A stream of its own: choosing views changes nothing of the run.
    rng = stream(scene.seed, Stream.VIEWS)
    steps = choose_steps(shows_polyp(scene, flight, scene.optics(*size)), num_views, rng)
    cameras, polyps = Movers.of([scene]).at(
        np.zeros(num_views, np.intp),
        flight.rows(steps),
        np.asarray(steps * STEP_S, np.float64),
        rng.integers(0, 2**20, num_views),
    )
    arrays = {**scene_arrays(scene, *size), "cameras": cameras, "polyps": polyps}
    kinds = np.zeros(MAX_POLYPS, np.int64)
    kinds[: len(scene.polyps)] = [KINDS.index(polyp.paris) for polyp in scene.polyps]
    return Footage(scene.seed, arrays, steps, kinds)


def choose_steps(
    shows: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` different steps, in an order drawn by chance.

    A share ANYWHERE of them is of all steps, the others of those that show a polyp, as far as
    there are any. Raises UserError if there are fewer steps.
    """
    if len(shows) < count:
        raise UserError(
            f"a flight of {len(shows)} moments is too short for {count} views: lower the speeds "
            "of [motion] in --randomization"
        )
    # Most moments show no polyp; drawn evenly, a batch would teach mostly what the wall is like.
    shuffled = rng.permutation(len(shows))
    anywhere, rest = np.split(shuffled, [round(ANYWHERE * count)])
    # A stable sort keeps the order of the draw among those that show one, and among the others.
    showing_first = rest[np.argsort(~shows[rest], kind="stable")]
    return rng.permutation(np.concatenate([anywhere, showing_first[: count - len(anywhere)]]))


def shows_polyp(scene: Scene, flight: Flight, optics: Optics) -> NDArray[np.bool_]:
    """Whether each of the flight's N steps shows a polyp, as far as can be told unrendered: (N,).

    The middle of it must be in the picture and in sight past the folds, its disk large enough.
    """
    shows = np.zeros(len(flight), np.bool_)
    for polyp in scene.polyps:
        (near,) = np.nonzero(~shows & (np.abs(flight.s_mm - polyp.s_mm) < BESIDE_MM))
        near = near[_in_picture(polyp, flight, near, optics)]
        shows[near] = _in_sight(polyp, flight, near)
    return shows


def _in_picture(
    polyp: Polyp, flight: Flight, steps: NDArray[np.intp], optics: Optics
) -> NDArray[np.bool_]:
    lens, covered = optics.lens, optics.screen.pixels != 0
    away = np.asarray(polyp.centre) - flight.position[steps]
    distance = np.linalg.norm(away, axis=1)
    ahead = np.einsum("nij,nj->ni", flight.axes[steps], away)
    x, y = np.rint(lens.project(ahead)).T
    inside = (x >= 0) & (x < lens.width) & (y >= 0) & (y < lens.height)
    row, column = np.where(inside, y, 0).astype(np.intp), np.where(inside, x, 0).astype(np.intp)
    # The cheap checks first: `_in_sight` follows the way through the lumen, for those left only.
    radius_px = lens.focal_px * np.arctan2(0.5 * polyp.diameter_mm, distance)
    large = np.pi * radius_px**2 >= LEAST_PX
    return np.asarray(inside & large & ~covered[row, column], np.bool_)


def _in_sight(polyp: Polyp, flight: Flight, steps: NDArray[np.intp]) -> NDArray[np.bool_]:
    lumen = flight.lumen
    target_s, target_xy = lumen.from_world(np.asarray(polyp.centre), polyp.s_mm)
    return lumen.in_sight(flight.s_mm[steps], flight.xy_mm[steps], target_s, target_xy)
