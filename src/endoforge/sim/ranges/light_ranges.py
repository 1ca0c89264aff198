"""Ranges of the light: how it falls off, what it passes over, and how wet walls glint."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Range, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LightRanges:
    """Light between lamps, wall and lens."""

    falloff: ShareRange = (0.0, 0.5)
    """how much faster than by the inverse square what is far darkens: at 1, half at 35 mm"""
    bounces: ShareRange = (0.1, 0.6)
    """red light that has met the wall several times, and reaches farther than the lamps'"""
    crevices: ShareRange = (0.1, 0.8)
    """how much darker what lies between folds is than the first bounce alone makes it"""
    shadows: ShareRange = (0.2, 0.8)
    """of folds and polyps, for the lamps stand beside the lens: at 1 no light of a lamp is left"""
    foot: ShareRange = (0.0, 0.4)
    """how much darker the wall is at the foot of a polyp"""
    ripples: ShareRange = (0.3, 0.9)
    """share of the glints that lie on ripples of the film of mucus, not on the tissue's grain"""
    ripple_mm: Annotated[Range, within(0.5, 20)] = (1.0, 3.5)
    """from one ripple to the next"""
    glint_deg: Annotated[Range, within(0.5, 20)] = (1.2, 4.0)
    """half angle over which a wet surface glints: the more, the larger each glint"""
    wet_patches: ShareRange = (0.1, 0.8)
    """how much glints keep to patches of the wall, the rest being dry"""
