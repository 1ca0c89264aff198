"""Ranges of what fools detectors."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NuisanceRanges:
    """What fools detectors."""

    highlights: Nuisance = Nuisance(probability=1.0, strength=(0.2, 0.9))
    """specular glints on wet mucosa"""
    bubbles: Nuisance = Nuisance(probability=0.5, strength=(0.1, 0.9))
    """bubbles and foam on the wall"""
    stool: Nuisance = Nuisance(probability=0.4, strength=(0.05, 0.6))
    """residue that sticks to the wall"""
    fluid: Nuisance = Nuisance(probability=0.45, strength=(0.1, 0.9))
    """pools on the lower side"""
    blood: Nuisance = Nuisance(probability=0.12, strength=(0.1, 0.8))
    """streaks and stains"""
    dye: Nuisance = Nuisance(probability=0.1, strength=(0.2, 0.9))
    """indigo carmine in the grooves: a bluish tint"""
    diverticula: Nuisance = Nuisance(probability=0.3, strength=(0.1, 1.0))
    """pouches of the wall, most in the sigmoid"""
    red_out: Nuisance = Nuisance(probability=0.7, strength=(0.1, 0.6))
    """the tip against the wall: how often"""
    defocus: Nuisance = Nuisance(probability=0.6, strength=(0.1, 0.8))
    """what is near or far is out of focus"""
    motion_blur: Nuisance = Nuisance(probability=0.9, strength=(0.1, 0.8))
    """from the scope's motion during the exposure: 1 is 1/25 s"""
    overlay: Nuisance = Nuisance(probability=0.75, strength=(0.2, 1.0))
    """black mask around an octagonal or round picture, burned-in text, a coloured inset"""
    haze: Nuisance = Nuisance(probability=0.15, strength=(0.05, 0.5))
    """a veil of vapour or smoke before the lens"""
    narrow_band: Nuisance = Nuisance(probability=0.03, strength=(0.7, 1.0))
    """lit by narrow bands of green and blue, shown as brown and teal"""
