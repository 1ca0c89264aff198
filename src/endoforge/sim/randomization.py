"""What differs from run to run: one dataclass of ranges, each drawn from anew for every run.

`endoforge datagen --print-randomization` prints it as TOML; a file with some of it replaces those
parts (`--randomization file.toml`); every manifest holds the whole of it.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_toml
from endoforge.core.reading import MOST_NAMES_BYTES, read_regular
from endoforge.core.text import decode_text

MOST_POLYPS = 24
"""Polyps of a scene at most: a mask of 24 bits is exact in a float, an instance id fits a byte."""

Span = TypeVar("Span", tuple[float, float], tuple[int, int])


def within(least: float, most: float) -> AfterValidator:
    """Make the check of a range [a, b]: least <= a <= b <= most, or it is a ValueError.

    `most` is what a run can bear: more than is ever seen, less than takes hours or all memory.
    """

    def check(span: Span) -> Span:
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

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class AnatomyRanges:
    """The colon: from the rectum to the cecum."""

    length_mm: Annotated[Range, within(600, 1600)] = (1200.0, 1600.0)
    """rectum to cecum"""
    calibre: Annotated[Range, within(0.7, 1.2)] = (0.88, 1.1)
    """multiplies the usual calibre of each segment"""
    fold_height: ShareRange = (0.55, 1.0)
    """of the haustral folds: 1 is as high as they get"""
    fold_spacing_mm: Annotated[Range, within(8, 80)] = (15.0, 32.0)
    """between neighbouring folds, drawn for every fold"""
    peristalsis: Annotated[Range, within(0, 0.1)] = (0.0, 0.05)
    """waves of contraction: share of the calibre by which they narrow and widen it"""
    breathing_mm: Annotated[Range, within(0, 3)] = (0.2, 1.5)
    """how far breathing moves the colon against the scope"""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PolypRanges:
    """Polyps. Sizes are drawn so that most are small."""

    count: Annotated[IntRange, within(0, MOST_POLYPS)] = (12, 20)
    """of a run"""
    diameter_mm: Annotated[Range, within(1, 30)] = (3.0, 25.0)
    """largest width of the head"""
    share_ip: Weight = 0.14
    """Paris Ip: on a stalk"""
    share_isp: Weight = 0.14
    """Paris Isp: on a short neck"""
    share_is: Weight = 0.46
    """Paris Is: sitting on the wall"""
    share_iia: Weight = 0.26
    """Paris IIa: slightly raised"""
    behind_folds: Share = 0.25
    """share that grows in the lee of a fold"""
    redness: Annotated[Range, within(-0.5, 0.5)] = (-0.03, 0.28)
    """more (or less) red than the mucosa around it"""
    paleness: Annotated[Range, within(1e-3, 4)] = (0.72, 1.02)
    """multiplies its brightness"""
    pattern: ShareRange = (0.2, 1.0)
    """of pits and gyri on the surface"""
    lobes: ShareRange = (0.1, 1.0)
    """how lobed the surface is"""
    mucus: ShareRange = (0.0, 0.55)
    """cap of yellowish mucus"""
    like_wall: Share = 0.2
    """share that has the colour and the surface of the wall around it: only its shape shows it"""

    def __post_init__(self) -> None:
        if self.share_ip + self.share_isp + self.share_is + self.share_iia <= 0:
            raise ValueError("one of share_ip, share_isp, share_is, share_iia must be above 0")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Nuisance:
    """One of the things that fool detectors."""

    probability: Share
    """share of the runs that have it"""
    strength: ShareRange
    """in those: from 0, nothing, to 1, as much as is ever seen"""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class NuisanceRanges:
    """What fools detectors."""

    highlights: Nuisance = Nuisance(probability=1.0, strength=(0.1, 0.8))
    """specular glints on wet mucosa"""
    bubbles: Nuisance = Nuisance(probability=0.5, strength=(0.1, 0.9))
    """bubbles and foam on the wall"""
    stool: Nuisance = Nuisance(probability=0.5, strength=(0.05, 0.7))
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
    haze: Nuisance = Nuisance(probability=0.25, strength=(0.05, 0.6))
    """a veil of vapour or smoke before the lens"""
    narrow_band: Nuisance = Nuisance(probability=0.06, strength=(0.7, 1.0))
    """lit by narrow bands of green and blue, shown as brown and teal"""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CameraRanges:
    """Lens, lamps and sensor."""

    fov_deg: Annotated[Range, within(60, 170)] = (100.0, 170.0)
    """across the diagonal of the picture"""
    distortion: Annotated[Range, within(-0.05, 0.05)] = (-0.03, 0.02)
    """k1 of OpenCV's fisheye model: below 0 squeezes the rim"""
    lamps: Annotated[IntRange, within(2, 3)] = (2, 3)
    """beside the lens"""
    lamp_offset_mm: Annotated[Range, within(1e-3, 20)] = (2.5, 4.2)
    """from the lens"""
    exposure: Annotated[Range, within(1e-3, 10)] = (0.7, 1.2)
    """brightness that the automatic exposure aims at; 1 is usual"""
    exposure_lag_s: Annotated[Range, within(0, 10)] = (0.05, 0.5)
    """the automatic exposure answers to what was seen this long ago"""
    temperature: Annotated[Range, within(-0.5, 0.5)] = (-0.12, 0.12)
    """white balance: below 0 bluish, above 0 yellowish"""
    tint: Annotated[Range, within(-0.5, 0.5)] = (-0.05, 0.05)
    """white balance: below 0 greenish, above 0 magenta"""
    saturation: Annotated[Range, within(1e-3, 10)] = (0.8, 1.2)
    """1 leaves colours as they are"""
    contrast: ShareRange = (0.0, 0.4)
    """what is bright burns out and what is dark sinks into black: 0 is the light as it falls"""
    scattered: ShareRange = (0.5, 1.0)
    """light that the walls pass on into what the lamps don't reach: 1 is all of it"""
    shot_noise: Annotated[Range, within(0, 1)] = (0.0, 0.012)
    """standard deviation at full brightness, grows with the root of the light"""
    read_noise: Annotated[Range, within(0, 1)] = (0.0, 0.007)
    """standard deviation in the dark"""
    vignette: ShareRange = (0.0, 0.6)
    """share of the light that is missing in the corners"""
    sharpening: ShareRange = (0.0, 0.9)
    """unsharp mask of the video processor"""
    jpeg: Nuisance = Nuisance(probability=0.5, strength=(0.1, 0.8))
    """block and chroma artefacts: 0 none, 1 quality 20"""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MotionRanges:
    """The flight of the scope: in to the cecum, and back with all the looking."""

    insertion_mm_s: Annotated[Range, within(1, 1000)] = (22.0, 45.0)
    """speed on the way in"""
    withdrawal_mm_s: Annotated[Range, within(1, 1000)] = (9.0, 18.0)
    """speed on the way out, between inspections"""
    look_around_deg: Annotated[Range, within(0, 180)] = (15.0, 45.0)
    """how far it looks to the sides on the way out"""
    jitter_deg: Annotated[Range, within(0, 45)] = (0.1, 1.2)
    """tremor of the tip"""
    pauses_per_min: Annotated[Range, within(0, 60)] = (1.0, 4.0)
    """stops on the way"""
    inspected: Share = 0.9
    """share of the polyps that the scope turns to and comes close to"""
    inspection_s: Annotated[Range, within(1e-3, 120)] = (6.0, 15.0)
    """time spent on one"""
    picture_share: Annotated[Range, within(1e-3, 4)] = (0.08, 2.2)
    """what its box would fill of the picture if nothing kept the scope away; 1 is all of it"""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Randomization:
    """All ranges that runs are drawn from: `Randomization()` is what `datagen` takes by default.

    Units stand in the names; shares are 0..1. A range that a run couldn't bear is a ValueError
    (pydantic's ValidationError) that names it. `load_randomization` reads one from TOML.
    """

    anatomy: AnatomyRanges = AnatomyRanges()
    polyps: PolypRanges = PolypRanges()
    mucosa: MucosaRanges = MucosaRanges()
    nuisances: NuisanceRanges = NuisanceRanges()
    camera: CameraRanges = CameraRanges()
    motion: MotionRanges = MotionRanges()


def load_randomization(path: Path) -> Randomization:
    """Read the default ranges with what the TOML file `path` says in their place.

    Raises UserError, which names the file and the first thing that is wrong.
    """
    try:
        text = decode_text(read_regular(path, MOST_NAMES_BYTES))
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: can't be read as UTF-8 or UTF-16 ({error.reason})") from error
    try:
        return parse_randomization(parse_toml(text))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def parse_randomization(values: Any) -> Randomization:
    """Make ranges from nested dicts, as of TOML or JSON; what they lack is the default.

    Raises ValueError, which names the first thing that is wrong. What is null is taken for absent:
    the default stands.
    """
    try:
        return TypeAdapter(Randomization).validate_python(_without_nulls(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{place}: {first['msg']}") from error


def _without_nulls(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {name: _without_nulls(value) for name, value in values.items() if value is not None}


def randomization_toml(randomization: Randomization) -> str:
    """Write ranges as TOML, every line with what it means; `load_randomization` reads it back."""
    return "\n".join(_toml_lines(asdict(randomization), type(randomization), ""))


def _toml_lines(values: dict[str, Any], kind: Any, table: str) -> Iterator[str]:
    described = kind.__pydantic_fields__
    for name, value in values.items():
        about = described[name].description
        if not isinstance(value, dict):
            line = f"{name} = {json.dumps(value)}"
            yield f"{line:<32} # {about}" if about else line
    for name, value in values.items():
        if isinstance(value, dict):
            about = described[name].description or described[name].annotation.__doc__
            yield ""
            yield f"# {about}".rstrip()
            yield f"[{table}{name}]"
            yield from _toml_lines(value, described[name].annotation, f"{table}{name}.")


def draw(rng: np.random.Generator, value_range: tuple[float, float]) -> float:
    """Draw a number evenly from the range [least, most]."""
    return float(rng.uniform(*value_range))


def draw_nuisance(rng: np.random.Generator, nuisance: Nuisance) -> float:
    """Draw a strength, 0 where the run is spared; either way it takes two numbers of `rng`."""
    chance, strength = rng.random(), draw(rng, nuisance.strength)
    return strength if chance < nuisance.probability else 0.0
