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
    diminutive: Share = 0.15
    """share of Is and IIa that are of 2 to 5 mm instead"""
    share_ip: Weight = 0.14
    """Paris Ip: on a stalk"""
    share_isp: Weight = 0.13
    """Paris Isp: on a short neck"""
    share_is: Weight = 0.38
    """Paris Is: sitting on the wall"""
    share_iia: Weight = 0.21
    """Paris IIa: slightly raised"""
    share_iib: Weight = 0.01
    """Paris IIb: level with the wall, only its colour and surface show it"""
    share_iic: Weight = 0.015
    """Paris IIc: sunk behind a low rim"""
    share_iia_iic: Weight = 0.015
    """Paris IIa+IIc: raised, and sunk in the middle"""
    share_lst_g: Weight = 0.03
    """laterally spreading tumours, granular: a carpet of nodules"""
    share_lst_ng: Weight = 0.02
    """laterally spreading tumours, not granular: a smooth sheet"""
    share_mass: Weight = 0.05
    """masses of three to nine heads, one polyp each"""
    lst_mm: Annotated[Range, within(5, 40)] = (10.0, 36.0)
    """largest width of laterally spreading tumours"""
    mass_mm: Annotated[Range, within(8, 45)] = (14.0, 40.0)
    """largest width of masses"""
    uneven: ShareRange = (0.0, 0.7)
    """how stretched, tilted, egg-shaped and lobed heads are"""
    cauliflower: Share = 0.12
    """share of heads and masses that creases cut into bulges"""
    encircling: Share = 0.12
    """share of masses that go around the lumen: a third of the way and more, up to all of it"""
    ulcerated: Share = 0.08
    """share of masses, and of Is of 10 mm or more, that have a crater with slough in it"""
    clusters: Share = 0.04
    """share of the runs in which groups of 3 to 12 diminutive ones stand close together"""
    long_stalks: Share = 0.2
    """share of Ip that hang on stalks of 1.5 to 4 times the head's width"""
    behind_folds: Share = 0.25
    """share that grows in the lee of a fold"""
    on_folds: Share = 0.12
    """share that grows on the crest of a fold"""
    redness: Annotated[Range, within(-0.5, 0.5)] = (-0.05, 0.26)
    """more (or less) red than the mucosa around it"""
    paleness: Annotated[Range, within(1e-3, 4)] = (0.76, 1.08)
    """multiplies its brightness"""
    pattern: ShareRange = (0.2, 1.0)
    """of pits and gyri on the surface"""
    lobes: ShareRange = (0.2, 1.0)
    """how lobed the surface is"""
    mucus: ShareRange = (0.0, 0.55)
    """cap of yellowish mucus"""
    like_wall: Share = 0.2
    """share that has the colour and the surface of the wall around it: only its shape shows it"""

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of the kinds, in the order of `polyps.KINDS`."""
        usual = self.share_ip, self.share_isp, self.share_is, self.share_iia
        flat = self.share_iib, self.share_iic, self.share_iia_iic
        return *usual, *flat, self.share_lst_g, self.share_lst_ng, self.share_mass

    def __post_init__(self) -> None:
        if sum(self.weights) <= 0:
            raise ValueError(
                "one of share_ip, share_isp, share_is, share_iia or the other shares of kinds "
                "must be above 0"
            )
