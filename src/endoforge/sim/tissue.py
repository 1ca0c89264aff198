"""The mucosa's colour from place to place: blood, vessels, film and pigment, on a coarse table."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import Anatomy
from endoforge.sim.centreline import NUM_ALONG, SEGMENTS
from endoforge.sim.ranges.mucosa_ranges import MucosaRanges
from endoforge.sim.ranges.values import draw, draw_nuisance
from endoforge.sim.streams import Stream, stream
from endoforge.sim.wall import NUM_AROUND, Array, Grid, along_segments, no_patches, patches

TISSUE_STEP = 8
"""The table has every eighth row and column of the wall's: 6 mm along, 4 mm around."""


@dataclass(frozen=True)
class Tissue:
    """How the mucosa differs from place to place: strengths 0..1 but for `branching`.

    `vessel_patches`, `hue`, `inflamed`, `melanosis`, `film` and `dye_in_pits` are as in
    `MucosaRanges`.
    """

    branching: bool = False
    vessel_patches: float = 0.0
    hue: float = 0.0
    inflamed: float = 0.0
    melanosis: float = 0.0
    film: float = 0.0
    dye_in_pits: float = 0.0

    @property
    def differs(self) -> bool:
        """Whether it isn't the same everywhere."""
        strengths = self.vessel_patches, self.hue, self.inflamed, self.melanosis, self.film
        return max(strengths) > 0

    @property
    def is_plain(self) -> bool:
        """Whether the surface is that of `texture.fine_texture` alone."""
        return not (self.branching or self.differs or self.dye_in_pits > 0)


def draw_tissue(seed: int, ranges: MucosaRanges) -> Tissue:
    """Draw the strengths of a seed's colon."""
    rng = stream(seed, Stream.TISSUE)
    return Tissue(
        branching=bool(rng.random() < ranges.branching),
        vessel_patches=draw(rng, ranges.vessel_patches),
        hue=draw(rng, ranges.hue),
        inflamed=draw_nuisance(rng, ranges.inflamed),
        melanosis=draw_nuisance(rng, ranges.melanosis),
        film=draw_nuisance(rng, ranges.film),
        dye_in_pits=draw(rng, ranges.dye_in_pits),
    )


def tissue_table(seed: int, tissue: Tissue, anatomy: Anatomy) -> NDArray[np.float32]:
    """Make the rows of `kernels.types.SceneArrays.tissue`: blood, vessels, film, pigment.

    Blood is about 0, where the mucosa is as its `Look` says, -1 pale to 2 inflamed; vessels a
    factor 0..1.5 on their strength; film and pigment 0..1.
    """
    if not tissue.differs:
        samples = (NUM_AROUND // TISSUE_STEP) * (NUM_ALONG // TISSUE_STEP)
        return np.tile(np.array([0, 1, 0, 0], np.float32), (samples, 1))
    rng = stream(seed, Stream.TISSUE_MAP)
    usual = {name: float(rng.normal()) for name in SEGMENTS}
    segment = along_segments(usual, anatomy.segment_ends)[:, None].astype(np.float32)
    broad, finer = patches(rng, 40.0, 42.0), patches(rng, 14.0, 16.0)
    blood = tissue.hue * (0.3 * segment + 0.45 * broad + 0.25 * finer)
    sore = _spread(rng, [(45.0, 60.0, 1.0), (12.0, 14.0, 0.5)], tissue.inflamed)
    seen = 0.35 - 0.6 * segment + 0.8 * patches(rng, 50.0, 52.0) + 0.4 * patches(rng, 18.0, 20.0)
    vessels = 1 + tissue.vessel_patches * (np.clip(0.5 + 0.6 * seen, 0, 1.5) - 1)
    film = _spread(rng, [(24.0, 26.0, 1.0)], tissue.film, 0.7 * finer)
    table = np.zeros((NUM_ALONG // TISSUE_STEP, NUM_AROUND // TISSUE_STEP, 4), np.float32)
    if sore is not None:
        blood += 2.0 * sore
        vessels *= 1 - 0.85 * np.minimum(sore, 1)
    table[..., 0], table[..., 1] = _coarse(blood), _coarse(vessels)
    if film is not None:
        table[..., 2] = _coarse(film)
    if tissue.melanosis > 0:
        share = np.clip(0.7 + 0.3 * segment + 0.25 * broad, 0, 1)
        table[..., 3] = _coarse(tissue.melanosis * share)
    return table.reshape(-1, 4)


def _coarse(grid: Grid | Array) -> Grid:
    size = (NUM_AROUND // TISSUE_STEP, NUM_ALONG // TISSUE_STEP)
    fine = np.asarray(grid, np.float32)
    return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), np.float32)


def _spread(
    rng: np.random.Generator,
    sizes: list[tuple[float, float, float]],
    strength: float,
    besides: Grid | float = 0.0,
) -> Grid | None:
    """Amounts 0..1 where noise passes a bar: the lower, the more of it there is.

    The noise is that of patches (mm along, columns, share), and `besides`. None if the strength
    is 0: most runs have none, and a colon's looks each make a table.
    """
    if strength == 0:
        for along_mm, columns, _share in sizes:
            no_patches(rng, along_mm, columns)
        return None
    noise = sum((share * patches(rng, *size) for *size, share in sizes), start=besides)
    return np.asarray(np.clip(0.8 * (noise - 1.5 + 2.2 * strength), 0, 1) * (0.4 + 0.6 * strength))
