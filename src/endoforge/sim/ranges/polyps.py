"""Ranges of the polyps."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, IntRange, Range, Share, ShareRange, Weight, within

MOST_POLYPS = 24
"""Polyps of a scene at most: a mask of 24 bits is exact in a float, an instance id fits a byte."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PolypRanges:
    """Polyps. Sizes are drawn so that most are small."""

    count: Annotated[IntRange, within(0, MOST_POLYPS)] = (12, 20)
    """of a run"""
    diameter_mm: Annotated[Range, within(1, 30)] = (3.0, 25.0)
    """largest width of the head"""
    share_ip: Weight = 0.14
    """Paris Ip: on a stalk"""
    share_isp: Weight = 0.14
    """Paris Isp: on a short neck"""
    share_is: Weight = 0.46
    """Paris Is: sitting on the wall"""
    share_iia: Weight = 0.26
    """Paris IIa: slightly raised"""
    behind_folds: Share = 0.25
    """share that grows in the lee of a fold"""
    redness: Annotated[Range, within(-0.5, 0.5)] = (-0.03, 0.28)
    """more (or less) red than the mucosa around it"""
    paleness: Annotated[Range, within(1e-3, 4)] = (0.72, 1.02)
    """multiplies its brightness"""
    pattern: ShareRange = (0.2, 1.0)
    """of pits and gyri on the surface"""
    lobes: ShareRange = (0.1, 1.0)
    """how lobed the surface is"""
    mucus: ShareRange = (0.0, 0.55)
    """cap of yellowish mucus"""
    like_wall: Share = 0.2
    """share that has the colour and the surface of the wall around it: only its shape shows it"""

    def __post_init__(self) -> None:
        if self.share_ip + self.share_isp + self.share_is + self.share_iia <= 0:
            raise ValueError("one of share_ip, share_isp, share_is, share_iia must be above 0")
