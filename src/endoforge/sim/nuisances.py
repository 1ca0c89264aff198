"""How much a run has of each thing that fools detectors."""

from dataclasses import dataclass, fields

from endoforge.sim.ranges.nuisances_ranges import NuisanceRanges
from endoforge.sim.ranges.values import draw_nuisance
from endoforge.sim.streams import Stream, stream


@dataclass(frozen=True)
class Nuisances:
    """Strengths from 0 (none) to 1 (as much as is ever seen); `NuisanceRanges` says of what."""

    highlights: float = 0.0
    bubbles: float = 0.0
    stool: float = 0.0
    fluid: float = 0.0
    blood: float = 0.0
    dye: float = 0.0
    diverticula: float = 0.0
    red_out: float = 0.0
    defocus: float = 0.0
    motion_blur: float = 0.0
    overlay: float = 0.0
    haze: float = 0.0
    narrow_band: float = 0.0


def make_nuisances(seed: int, ranges: NuisanceRanges) -> Nuisances:
    """Draw the nuisances of a seed from the ranges, 0 for those that the run is spared."""
    rng = stream(seed, Stream.NUISANCES)
    return Nuisances(
        **{
            field.name: draw_nuisance(rng, getattr(ranges, field.name))
            for field in fields(Nuisances)
        }
    )
