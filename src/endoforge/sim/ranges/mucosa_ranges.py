"""Ranges of the wall's look."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance, Range, Share, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MucosaRanges:
    """How the wall looks."""

    red: ShareRange = (0.66, 0.9)
    """albedo"""
    green_of_red: ShareRange = (0.32, 0.5)
    """the lower, the redder"""
    blue_of_green: ShareRange = (0.5, 0.85)
    """the lower, the more yellow"""
    vessels: ShareRange = (0.15, 1.0)
    """strength of the vascular pattern"""
    tone: ShareRange = (0.08, 0.26)
    """patchiness of the colour"""
    bump: ShareRange = (0.05, 0.14)
    """roughness of the surface"""
    capillaries: ShareRange = (0.0, 0.7)
    """strength of the net of the finest vessels, which covers most of the wall"""
    mottling: ShareRange = (0.0, 0.5)
    """patches of redness and pallor of all sizes, down to a third of a millimetre"""
    pits: ShareRange = (0.0, 0.4)
    """depth of pits and grooves, on which many small glints lie"""
    surface_repeat_mm: Annotated[Range, within(8, 100)] = (14.0, 50.0)
    """length of the wall after which net, mottling and pits repeat: the less, the finer"""
    branching: Share = 0.0
    """share whose vessels branch from stems, and whose pits are grooves around the colon"""
    vessel_patches: ShareRange = (0.0, 0.0)
    """how much vessels differ by segment and patch: at 1 some have none"""
    hue: ShareRange = (0.0, 0.0)
    """how much the colour differs within a run: redder folds and patches, yellower flat parts"""
    inflamed: Nuisance = Nuisance(probability=0.0, strength=(0.2, 1.0))
    """patches of swollen, red mucosa that hides its vessels, with red spots, as of colitis"""
    melanosis: Nuisance = Nuisance(probability=0.0, strength=(0.2, 1.0))
    """brown, as a leopard is"""
    film: Nuisance = Nuisance(probability=0.0, strength=(0.2, 1.0))
    """thin mucus, which bile tints yellow, in patches"""
    dye_in_pits: ShareRange = (0.0, 0.0)
    """how much of a dye gathers in the finest pits, and there is opaque"""
