"""Ranges of the colon."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Range, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AnatomyRanges:
    """The colon: from the rectum to the cecum."""

    length_mm: Annotated[Range, within(600, 1600)] = (1200.0, 1600.0)
    """rectum to cecum"""
    calibre: Annotated[Range, within(0.7, 1.2)] = (0.88, 1.1)
    """multiplies the usual calibre of each segment"""
    fold_height: ShareRange = (0.5, 1.0)
    """of the haustral folds: 1 is as high as they get"""
    fold_spacing_mm: Annotated[Range, within(8, 80)] = (12.0, 32.0)
    """between neighbouring folds, drawn for every fold"""
    fold_thickness: Annotated[Range, within(0.5, 3)] = (0.95, 1.7)
    """multiplies how thick the folds of a run are, each of them more or less"""
    fold_roundness: ShareRange = (0.0, 0.6)
    """from narrow crests to thick round ones"""
    extra_folds: ShareRange = (0.0, 0.3)
    """share of the folds that have a double, a branch or a part of a fold beside them"""
    wrinkles: ShareRange = (0.0, 0.35)
    """small ridges across the wall where it isn't stretched"""
    collapse: ShareRange = (0.0, 0.3)
    """how far stretches of the colon close for want of air, in pleats"""
    peristalsis: Annotated[Range, within(0, 0.1)] = (0.0, 0.05)
    """waves of contraction: share of the calibre by which they narrow and widen it"""
    breathing_mm: Annotated[Range, within(0, 3)] = (0.2, 1.5)
    """how far breathing moves the colon against the scope"""
