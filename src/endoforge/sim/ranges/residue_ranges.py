"""Ranges of what is left of the bowel's contents; how much of it the nuisances say."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance, Share, ShareRange


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ResidueRanges:
    """How stool and fluid look, and what else the bowel leaves on its wall."""

    soft: Share = 0.7
    """share of the runs in which stool lies in soft clumps of many colours, with a film around"""
    bile: Nuisance = Nuisance(probability=0.2, strength=(0.1, 0.7))
    """a yellow film on parts of the wall"""
    mucus: Nuisance = Nuisance(probability=0.2, strength=(0.1, 0.7))
    """whitish strands and flakes, half transparent"""
    clarity: ShareRange = (0.0, 0.8)
    """of the fluid in runs with soft stool, bile or mucus: 0 is turbid, 1 only tints"""
