"""What differs from run to run: one dataclass of ranges, each drawn from anew for every run.

`endoforge datagen --print-randomization` prints it as TOML; a file with some of it replaces those
parts (`--randomization file.toml`); every manifest holds the whole of it.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_toml
from endoforge.core.reading import MOST_NAMES_BYTES, read_regular
from endoforge.core.text import decode_text
from endoforge.sim.ranges.anatomy_ranges import AnatomyRanges
from endoforge.sim.ranges.camera_ranges import CameraRanges
from endoforge.sim.ranges.instruments_ranges import InstrumentRanges
from endoforge.sim.ranges.lens_ranges import LensRanges
from endoforge.sim.ranges.light_ranges import LightRanges
from endoforge.sim.ranges.lookalikes_ranges import LookalikeRanges
from endoforge.sim.ranges.motion_ranges import MotionRanges
from endoforge.sim.ranges.mucosa_ranges import MucosaRanges
from endoforge.sim.ranges.nuisances_ranges import NuisanceRanges
from endoforge.sim.ranges.polyp_surface_ranges import PolypSurfaceRanges
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.ranges.residue_ranges import ResidueRanges
from endoforge.sim.ranges.screen_ranges import RecordingRanges, ScreenRanges
from endoforge.sim.ranges.values import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Randomization:
    """All ranges that runs are drawn from: `Randomization()` is what `datagen` takes by default.

    Units stand in the names; shares are 0..1. A range that a run couldn't bear is a ValueError
    (pydantic's ValidationError) that names it. `load_randomization` reads one from TOML.
    """

    anatomy: AnatomyRanges = AnatomyRanges()
    polyps: PolypRanges = PolypRanges()
    polyp_surface: PolypSurfaceRanges = PolypSurfaceRanges()
    mucosa: MucosaRanges = MucosaRanges()
    nuisances: NuisanceRanges = NuisanceRanges()
    lookalikes: LookalikeRanges = LookalikeRanges()
    residue: ResidueRanges = ResidueRanges()
    camera: CameraRanges = CameraRanges()
    screen: ScreenRanges = ScreenRanges()
    recording: RecordingRanges = RecordingRanges()
    motion: MotionRanges = MotionRanges()
    instruments: InstrumentRanges = InstrumentRanges()
    light: LightRanges = LightRanges()
    lens: LensRanges = LensRanges()


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
