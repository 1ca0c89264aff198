"""Kinds of ranges, their checks, and how numbers are drawn from them."""

from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

Span = TypeVar("Span", tuple[float, float], tuple[int, int])


def within(least: float, most: float) -> AfterValidator:
    """Make the check of a range [a, b]: least <= a <= b <= most, or it is a ValueError.

    `most` is what a run can bear: more than is ever seen, less than takes hours or all memory.
    """

    def check(span: Span) -> Span:
        if span[0] > span[1]:
            raise ValueError(f"{list(span)} begins above its end; try [{span[1]}, {span[0]}]")
        if not least <= span[0] <= span[1] <= most:
            raise ValueError(
                f"{list(span)} is not a range [a, b] with {least:g} <= a <= b <= {most:g}"
            )
        return span

    return AfterValidator(check)


Range = tuple[float, float]
"""A range [least, most]: numbers are drawn evenly between the two."""
IntRange = tuple[int, int]
ShareRange = Annotated[Range, within(0, 1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
"""How often one kind is drawn, against the weights of the others."""

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
"""Of every dataclass of ranges: names that aren't known are refused, docstrings explain fields."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Nuisance:
    """One of the things that fool detectors."""

    probability: Share
    """share of the runs that have it"""
    strength: ShareRange
    """in those: from 0, nothing, to 1, as much as is ever seen"""


def draw(rng: np.random.Generator, value_range: tuple[float, float]) -> float:
    """Draw a number evenly from the range [least, most]."""
    return float(rng.uniform(*value_range))


def draw_nuisance(rng: np.random.Generator, nuisance: Nuisance) -> float:
    """Draw a strength, 0 where the run is spared; either way it takes two numbers of `rng`."""
    chance, strength = rng.random(), draw(rng, nuisance.strength)
    return strength if chance < nuisance.probability else 0.0
