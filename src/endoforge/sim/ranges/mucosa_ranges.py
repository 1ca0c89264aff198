"""Ranges of the wall's look."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance, Range, Share, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MucosaRanges:
    """How the wall looks."""

    red: Annotated[Range, within(0.05, 1)] = (0.63, 0.94)
    """albedo"""
    green_of_red: ShareRange = (0.29, 0.52)
    """the lower, the redder"""
    blue_of_green: ShareRange = (0.44, 0.87)
    """the lower, the more yellow"""
    vessels: ShareRange = (0.2, 1.0)
    """strength of the vascular pattern"""
    tone: ShareRange = (0.06, 0.3)
    """patchiness of the colour"""
    bump: ShareRange = (0.05, 0.17)
    """roughness of the surface"""
    capillaries: ShareRange = (0.0, 0.85)
    """strength of the net of the finest vessels, which covers most of the wall"""
    mottling: ShareRange = (0.0, 0.5)
    """patches of redness and pallor of all sizes, down to a third of a millimetre"""
    pits: ShareRange = (0.0, 0.4)
    """depth of pits and grooves, on which many small glints lie"""
    surface_repeat_mm: Annotated[Range, within(8, 100)] = (15.0, 55.0)
    """length of the wall after which net, mottling and pits repeat: the less, the finer"""
    branching: Share = 0.7
    """share whose vessels branch from stems, and whose pits are grooves around the colon"""
    vessel_patches: ShareRange = (0.0, 0.8)
    """how much vessels differ by segment and patch: at 1 some have none"""
    hue: ShareRange = (0.0, 0.6)
    """how much the colour differs within a run: redder folds and patches, yellower flat parts"""
    inflamed: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.7))
    """patches of swollen, red mucosa that hides its vessels, with red spots, as of colitis"""
    melanosis: Nuisance = Nuisance(probability=0.02, strength=(0.2, 0.7))
    """brown, as a leopard is"""
    film: Nuisance = Nuisance(probability=0.2, strength=(0.1, 0.6))
    """thin mucus, which bile tints yellow, in patches"""
    dye_in_pits: ShareRange = (0.2, 0.8)
    """how much of a dye gathers in the finest pits, and there is opaque"""
