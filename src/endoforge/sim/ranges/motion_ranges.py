"""Ranges of the scope's flight."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Range, Share, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MotionRanges:
    """The flight of the scope: in to the cecum, and back with all the looking."""

    insertion_mm_s: Annotated[Range, within(1, 1000)] = (22.0, 45.0)
    """speed on the way in"""
    withdrawal_mm_s: Annotated[Range, within(1, 1000)] = (9.0, 18.0)
    """speed on the way out, between inspections"""
    look_around_deg: Annotated[Range, within(0, 180)] = (15.0, 45.0)
    """how far it looks to the sides on the way out"""
    jitter_deg: Annotated[Range, within(0, 45)] = (0.1, 1.2)
    """tremor of the tip"""
    pauses_per_min: Annotated[Range, within(0, 60)] = (1.0, 4.0)
    """stops on the way"""
    inspected: Share = 0.9
    """share of the polyps that the scope turns to and comes close to"""
    inspection_s: Annotated[Range, within(1e-3, 120)] = (6.0, 15.0)
    """time spent on one"""
    retroflexion: Share = 0.08
    """share of the runs in which it looks back in the rectum, at its own shaft"""
    picture_share: Annotated[Range, within(1e-3, 4)] = (0.05, 1.2)
    """what its box would fill of the picture if nothing kept the scope away; 1 is all of it"""
