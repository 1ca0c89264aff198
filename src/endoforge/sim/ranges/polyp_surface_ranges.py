"""Ranges of the polyps' surface."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance, Range, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PolypSurfaceRanges:
    """What polyps look like from near; those that are like the wall have none of it."""

    own_pits: Nuisance = Nuisance(probability=0.3, strength=(0.1, 0.6))
    """pits of a kind of its own: round, stellar, gyri or villi"""
    wall_part: ShareRange = (0.0, 0.6)
    """how much of the wall's colour it has: at 1 all of it, and none of its own"""
    margin_mm: Annotated[Range, within(0, 5)] = (0.0, 1.2)
    """height over the wall within which the wall's colour passes into its own"""
    top: Annotated[Range, within(-1, 1)] = (-0.3, 0.5)
    """how much redder and darker its top is; below 0 how much paler"""
    red_spots: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.7))
    """red dots, as a strawberry has seeds"""
    white_spots: Nuisance = Nuisance(probability=0.04, strength=(0.2, 0.7))
    """white dots in place of dark pits"""
    erosion: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.7))
    """raw, bleeding spots with whitish slough"""
