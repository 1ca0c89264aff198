"""Ranges of what looks like a polyp but is none."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance

NONE = Nuisance(probability=0.0, strength=(0.2, 1.0))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LookalikeRanges:
    """What looks like a polyp but is none, and has no label: parts of the wall itself."""

    knobs: Nuisance = NONE
    """short thick pieces of folds, and thick ends of folds"""
    follicles: Nuisance = NONE
    """lymphoid follicles: patches of many small pale domes"""
    suction: Nuisance = NONE
    """red raised spots and rings where the scope has sucked the wall in"""
    valve: Nuisance = NONE
    """an ileocecal valve with thick, smooth lips, or that of a fatty or a papillary form"""
    appendix: Nuisance = NONE
    """an appendix's orifice that bulges, or is turned inside out"""
    cushions: Nuisance = NONE
    """haemorrhoids in the rectum"""
    inverted: Nuisance = NONE
    """diverticula turned inside out: a dome with a dimple"""
    villi: Nuisance = NONE
    """fine bumps in the cecum, as of the ileum"""
