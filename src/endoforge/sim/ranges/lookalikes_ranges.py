"""Ranges of what looks like a polyp but is none."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LookalikeRanges:
    """What looks like a polyp but is none, and has no label: parts of the wall itself."""

    knobs: Nuisance = Nuisance(probability=0.3, strength=(0.1, 0.7))
    """short thick pieces of folds, and thick ends of folds"""
    follicles: Nuisance = Nuisance(probability=0.1, strength=(0.1, 0.7))
    """lymphoid follicles: patches of many small pale domes"""
    suction: Nuisance = Nuisance(probability=0.12, strength=(0.1, 0.7))
    """red raised spots and rings where the scope has sucked the wall in"""
    valve: Nuisance = Nuisance(probability=0.5, strength=(0.2, 0.8))
    """an ileocecal valve with thick, smooth lips, or that of a fatty or a papillary form"""
    appendix: Nuisance = Nuisance(probability=0.2, strength=(0.2, 0.8))
    """an appendix's orifice that bulges, or is turned inside out"""
    cushions: Nuisance = Nuisance(probability=0.25, strength=(0.2, 0.8))
    """haemorrhoids in the rectum"""
    inverted: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.8))
    """diverticula turned inside out: a dome with a dimple"""
    villi: Nuisance = Nuisance(probability=0.1, strength=(0.2, 0.8))
    """fine bumps in the cecum, as of the ileum"""
