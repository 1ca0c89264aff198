"""What a job is to make: from flags, or from the manifest of a run that is to be made again.

Nothing here needs torch or a renderer.
"""

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import ValidationError

from endoforge import __version__
from endoforge.captures.schema import PICTURE_EXTRAS, RunManifest
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.datagen.config import SAVED, DatagenConfig
from endoforge.sim.clock import CAPTURES, Clock
from endoforge.sim.randomization import Randomization, chosen_randomization, parse_randomization
from endoforge.sim.streams import run_seed

log = logging.getLogger(__name__)

REPEATABLE = "repeatable"
"""The manifest's field, under `endoforge`, that is false where somebody steered the camera."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """All that the pixels and labels of a data set follow from, but for the renderer."""

    base_seed: int
    size: tuple[int, int]
    """(width, height) in pixels."""
    max_frames: int | None
    saved: tuple[str, ...]
    clock: Clock = CAPTURES
    randomization: Randomization = field(default_factory=Randomization)

    def seed_of(self, run_index: int) -> int:
        """The seed of a run by its number from 0, whichever job makes it."""
        return run_seed(self.base_seed, run_index)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The kinds of `saved` that are pictures, one a frame."""
        return tuple(kind for kind in self.saved if kind in PICTURE_EXTRAS)

    def settings(self, renderer: str) -> dict[str, Any]:
        """The settings as a manifest keeps them, under `endoforge`; equal ones make equal runs."""
        return {
            "version": __version__,
            "renderer": renderer,
            "resolution": list(self.size),
            "save": list(self.saved),
            "fps": self.clock.fps,
            "from_s": self.clock.start_s,
            "to_s": self.clock.end_s,
            "base_seed": self.base_seed,
            "randomization": as_json(self.randomization),
        }


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """What a job is to do: which runs of which data set to make, where, and by what."""

    data_set: DataSet
    run_indices: range
    renderer: RendererName
    output_root: str
    """A folder or an address, as it was given."""
    workers: int
    resume: bool
    resume_flags: str
    """What to add to the command line so that it goes on where this job stopped."""


def make_job(config: DatagenConfig) -> RunJob:
    """Make the job of flags whose seed is chosen.

    Raises UserError for a file that can't be used, and ValueError if no seed is chosen.
    """
    if config.from_manifest is not None:
        return _again(config, Path(config.from_manifest))
    if config.seed is None:
        raise ValueError("the seed must be chosen before a job is made")
    data_set = DataSet(
        base_seed=config.seed,
        size=config.size,
        max_frames=config.max_frames,
        saved=config.saved,
        clock=_clock(config),
        randomization=randomization_of(config),
    )
    return _job(config, data_set, config.run_indices, config.renderer)


def randomization_of(config: DatagenConfig) -> Randomization:
    """The ranges in effect: the manifest's, or those chosen or the defaults with `--polyps`."""
    if config.from_manifest is not None:
        return _again(config, Path(config.from_manifest)).data_set.randomization
    ranges = chosen_randomization(config.randomization)
    if config.polyp_count is None:
        return ranges
    try:
        return parse_randomization(
            asdict(ranges) | {"polyps": asdict(ranges.polyps) | {"count": config.polyp_count}}
        )
    except ValueError as error:
        raise UserError(f"--polyps {config.polyps}: {error}") from error


def as_json(randomization: Randomization) -> dict[str, Any]:
    """The ranges as nested dicts and lists, as JSON gives them back."""
    values: dict[str, Any] = _listed(asdict(randomization))
    return values


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _job(
    config: DatagenConfig, data_set: DataSet, run_indices: range, renderer: RendererName
) -> RunJob:
    again = config.from_manifest is not None
    return RunJob(
        resume_flags="--resume" if again else f"--seed {data_set.base_seed} --resume",
        data_set=data_set,
        run_indices=run_indices,
        renderer=renderer,
        output_root=str(config.output_root),
        workers=config.num_workers,
        resume=config.resume,
    )


def _again(config: DatagenConfig, path: Path) -> RunJob:
    """Make the job of one run as its manifest tells; UserError if it can't be made again."""
    try:
        manifest = RunManifest.model_validate_json(as_utf8(read_regular(path, MOST_LABEL_BYTES)))
    except OSError as error:
        raise UserError(f"--from-manifest {path}: can't be read ({error.strerror})") from error
    except ValidationError as error:
        raise UserError(f"--from-manifest {path}: isn't a run's manifest") from error
    # A null is taken for absent, and means what absence means.
    ours = {name: value for name, value in (manifest.endoforge or {}).items() if value is not None}
    if ours.get(REPEATABLE) is False:
        raise UserError(
            f"--from-manifest {path}: was recorded in sim-view along a path that no seed gives, so "
            "it can't be made again; its frames and the camera's poses are in its own folder"
        )
    try:
        width, height = map(int, ours["resolution"])
        run_index, renderer, version = int(ours["run_index"]), ours["renderer"], ours["version"]
        flags = DatagenConfig(  # whose bounds it keeps
            seed=int(ours["base_seed"]),
            resolution=f"{width}x{height}",
            max_frames=manifest.max_frames,
            fps=_number(ours.get("fps")),
            from_s=_number(ours.get("from_s")) or 0.0,
            to_s=_number(ours.get("to_s")),
            run_range=f"{run_index}:{run_index + 1}",
            save=",".join(kind for kind in SAVED if kind in ours.get("save", ())) or None,
            renderer=_known_renderer(renderer),
        )
        assert flags.seed is not None
        data_set = DataSet(
            base_seed=flags.seed,
            size=flags.size,
            max_frames=flags.max_frames,
            saved=flags.saved,
            clock=_clock(flags),
            randomization=parse_randomization(ours["randomization"]),
        )
    except UserError as error:
        raise UserError(f"--from-manifest {path}: {error}") from error
    except KeyError as error:
        raise UserError(
            f"--from-manifest {path}: lacks endoforge.{error.args[0]}; it was written by another "
            "tool or an older version, and can't be made again from it"
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"--from-manifest {path}: {error}") from error
    if data_set.seed_of(run_index) != manifest.seed:
        raise UserError(f"--from-manifest {path}: its seed isn't that of run {run_index}")
    if version != __version__:
        raise UserError(
            f"--from-manifest {path}: made by version {version}, this is {__version__}, which "
            f"draws other pixels; install endoforge {version}"
        )
    chosen = renderer if config.renderer == "auto" else config.renderer
    if chosen != renderer:
        log.warning(
            "%s was made with %s: with %s pixels may differ a little", path, renderer, chosen
        )
    return _job(config, data_set, flags.run_indices, chosen)


def _clock(config: DatagenConfig) -> Clock:
    return Clock(config.fps, config.from_s, config.to_s)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _known_renderer(name: object) -> RendererName:
    if name not in get_args(RendererName):
        raise ValueError(f"no renderer is called {name}")
    return cast(RendererName, name)
