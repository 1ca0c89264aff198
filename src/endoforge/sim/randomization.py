"""What differs from run to run: one dataclass of ranges, each drawn from anew for every run.

`endoforge datagen --print-randomization` prints it as TOML; a file with some of it replaces those
parts (`--randomization file.toml`), and `ranges/` has files that go by name (`--randomization
real`); every manifest holds the whole of it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from importlib import resources
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
from endoforge.sim.ranges.range_faults import first_fault
from endoforge.sim.ranges.residue_ranges import ResidueRanges
from endoforge.sim.ranges.screen_ranges import RecordingRanges, ScreenRanges
from endoforge.sim.ranges.values import STRICT

NAMED = ("plain", "real")
"""What can be written in place of a file's name, for ranges that come with EndoForge."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Randomization:
    """All ranges that runs are drawn from: `Randomization()` is what `datagen` takes by default.

    Units stand in the names; shares are 0..1. A range that a run couldn't bear is a ValueError
    (pydantic's ValidationError) that names it. `load_randomization` reads one from TOML, or gets
    one that comes with EndoForge: `load_randomization("plain")`.
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


def ranges_file(given: str | os.PathLike[str]) -> Path:
    """The file that `given` names: itself, or the one of the package for a word of `NAMED`."""
    if given in NAMED:
        return Path(str(resources.files("endoforge") / "sim" / "ranges" / f"{given}.toml"))
    return Path(given)


def chosen_randomization(given: str | os.PathLike[str] | None) -> Randomization:
    """Follow the one rule of `--randomization`: the default ranges where nothing is given."""
    return Randomization() if given is None else load_randomization(given)


def load_randomization(given: str | os.PathLike[str]) -> Randomization:
    """Read the default ranges with what a TOML file says in their place.

    `given` is a word of `NAMED`, or the file's path: a file that happens to have such a name is
    meant by "./plain". Raises UserError, which names the file and the first thing that is wrong.
    """
    path = ranges_file(given)
    try:
        text = decode_text(read_regular(path, MOST_NAMES_BYTES))
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: can't be read ({error.strerror}); ranges that come with EndoForge, and need "
            f"no file: {', '.join(NAMED)}"
        ) from error
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
    defaults = asdict(Randomization())
    try:
        given = _over(defaults, values) if isinstance(values, dict) else values
        return TypeAdapter(Randomization).validate_python(given)
    except ValidationError as error:
        raise ValueError(first_fault(error, defaults)) from error


def _over(defaults: Any, values: Any) -> Any:
    """`values` with the defaults of what they lack, or have null for, table by table."""
    if values is None:
        return defaults
    if not (isinstance(values, dict) and isinstance(defaults, dict)):
        return values
    there = {name: value for name, value in values.items() if value is not None}
    return there | {name: _over(default, values.get(name)) for name, default in defaults.items()}


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
