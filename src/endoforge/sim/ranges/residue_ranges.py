"""Ranges of what is left of the bowel's contents; how much of it the nuisances say."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance, Share, ShareRange


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ResidueRanges:
    """How stool and fluid look, and what else the bowel leaves on its wall."""

    soft: Share = 0.0
    """share of the runs in which stool lies in soft clumps of many colours, with a film around"""
    bile: Nuisance = Nuisance(probability=0.0, strength=(0.1, 1.0))
    """a yellow film on parts of the wall"""
    mucus: Nuisance = Nuisance(probability=0.0, strength=(0.1, 1.0))
    """whitish strands and flakes, half transparent"""
    clarity: ShareRange = (0.0, 0.0)
    """of the fluid in runs with soft stool, bile or mucus: 0 is turbid, 1 only tints"""
