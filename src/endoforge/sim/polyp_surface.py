"""What each polyp's surface looks like from near."""

from dataclasses import dataclass

import numpy as np

from endoforge.sim.ranges.polyp_surface_ranges import PolypSurfaceRanges
from endoforge.sim.ranges.values import draw, draw_nuisance
from endoforge.sim.streams import Stream, stream
from endoforge.sim.surfaces import FIRST_OF_LESIONS, KINDS
from endoforge.sim.texture import TILE_MM

REPEAT_MM = (9.0, 22.0)
"""Length of a polyp after which its pits repeat."""


@dataclass(frozen=True)
class PolypSurface:
    """A polyp's surface.

    `kind` in `surfaces.KINDS`, the wall's own where `pits`, a strength 0..1, is 0; `repeat_mm` the
    length after which they repeat; `wall_part` 0..1 its share of the wall's colour and `margin_mm`
    the height within which it passes into its own; `top` -1 pale to 1 red; `spots` -1 white to 1
    red; `erosion` 0..1.
    """

    kind: str = KINDS[0]
    pits: float = 0.0
    repeat_mm: float = TILE_MM
    wall_part: float = 0.0
    margin_mm: float = 0.0
    top: float = 0.0
    spots: float = 0.0
    erosion: float = 0.0

    def table_rows(self) -> list[float]:
        """Its two rows of four numbers for the kernels, one after the other."""
        return [
            KINDS.index(self.kind), self.pits, TILE_MM / self.repeat_mm, self.wall_part,
            self.margin_mm, self.top, self.spots, self.erosion,
        ]  # fmt: skip


PLAIN = PolypSurface()
"""One without anything of its own: it has the pattern and the mucus that `Polyp` says, no more."""


def draw_surfaces(seed: int, count: int, ranges: PolypSurfaceRanges) -> list[PolypSurface]:
    """Draw the surfaces of a seed's polyps, from the first along the colon to the last."""
    rng = stream(seed, Stream.LESIONS)
    return [_draw(rng, ranges) for _ in range(count)]


def _draw(rng: np.random.Generator, ranges: PolypSurfaceRanges) -> PolypSurface:
    pits = draw_nuisance(rng, ranges.own_pits)
    kind = KINDS[int(rng.integers(FIRST_OF_LESIONS, len(KINDS)))]
    repeat_mm = float(rng.uniform(*REPEAT_MM))
    red, white = (draw_nuisance(rng, each) for each in (ranges.red_spots, ranges.white_spots))
    if red + white > 0 and pits == 0:
        # Spots are the openings of round pits.
        pits, kind = 0.3, "round"
    return PolypSurface(
        kind=kind if pits > 0 else KINDS[0],
        pits=pits,
        repeat_mm=repeat_mm if pits > 0 else TILE_MM,
        wall_part=draw(rng, ranges.wall_part),
        margin_mm=draw(rng, ranges.margin_mm),
        top=draw(rng, ranges.top),
        spots=red if red > 0 else -white,
        erosion=draw_nuisance(rng, ranges.erosion),
    )
