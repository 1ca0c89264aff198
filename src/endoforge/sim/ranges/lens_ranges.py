"""Ranges of what is on the lens, and of light that goes astray in it."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Range, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LensRanges:
    """The lens: water and dirt on it, and light that it scatters."""

    bloom: ShareRange = (0.0, 0.6)
    """glow around what burns out"""
    ghosts: ShareRange = (0.0, 0.2)
    """reflections of what burns out on the other side of the picture's middle"""
    drops: ShareRange = (0.0, 0.2)
    """drops and smudges: blurred patches that stay for some seconds; 1 is six of them, mostly"""
    fog: ShareRange = (0.0, 0.15)
    """mist that creeps in from the rim"""
    film_blur_deg: Annotated[Range, within(0.1, 5)] = (1.0, 2.0)
    """radius of the blur behind drops and fog"""
    film_change_s: Annotated[Range, within(0.2, 120)] = (2.0, 8.0)
    """how long drops and fog stay as they are"""
