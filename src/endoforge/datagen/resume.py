"""What an earlier job left under an output root, so that another one can go on with it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from endoforge.captures.publishing import manifests_in
from endoforge.captures.schema import MANIFEST_NAME, RunManifest
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8, counted
from endoforge.datagen.job import DataSet
from endoforge.roots.bucket import Bucket
from endoforge.roots.places import cloud_root, written_to

log = logging.getLogger(__name__)

_FLAGS = {
    "version": "EndoForge",
    "renderer": "--renderer",
    "resolution": "--resolution",
    "max_frames": "--max-frames",
    "save": "--save",
    "fps": "--fps",
    "from_s": "--from",
    "to_s": "--to",
}
"""Settings by their names in a manifest, and how they are said on the command line."""


@dataclass(frozen=True)
class Unfinished:
    """A run that an earlier job left before its end."""

    run_dir: Path
    manifest: RunManifest


@dataclass
class EarlierRuns:
    """What earlier jobs left of a data set, by run: what is complete, and what isn't."""

    complete: dict[int, Path] = field(default_factory=dict)
    unfinished: dict[int, Unfinished] = field(default_factory=dict)


def find_runs(root: Path, data_set: DataSet, renderer: str) -> EarlierRuns:
    """Look for the runs of the data set that `root` holds.

    Of several folders of one run a complete one counts, else the newest; the others are left
    alone, and logged. Raises UserError if runs of the same base seed were made with other
    settings.
    """
    found, spare = EarlierRuns(), 0
    wanted = data_set.settings(renderer) | {"max_frames": data_set.max_frames}
    for run_dir, manifest, ours in _manifests(root):
        if ours["base_seed"] != data_set.base_seed:
            continue
        _refuse_other_settings(run_dir, wanted, ours | {"max_frames": manifest.max_frames})
        index = ours["run_index"]
        spare += index in found.complete or index in found.unfinished
        if ours.get("complete"):
            found.complete.setdefault(index, run_dir)
        else:
            found.unfinished[index] = Unfinished(run_dir, manifest)
    for index in found.complete:
        found.unfinished.pop(index, None)
    if spare:
        log.warning("%s: left as found: %s of the same runs", root, counted(spare, "more folder"))
    return found


def run_begun(
    root: Path, data_set: DataSet, run_index: int, before: frozenset[str]
) -> Unfinished | None:
    """The folder under `root` in which a worker that is gone began a run; None if there is none.

    Folders whose names are in `before` were there before the job, and aren't looked at.
    """
    begun = [
        Unfinished(run_dir, manifest)
        for run_dir, manifest, ours in _manifests(root, before)
        if (ours["base_seed"], ours["run_index"]) == (data_set.base_seed, run_index)
    ]
    return begun[-1] if begun else None


def seed_to_resume(root: Path | str) -> int:
    """The base seed of the data set with unfinished runs under `root`, a folder or an address.

    Of an address, runs count that were begun on this machine, and those that the bucket has in
    part. Raises UserError unless there is exactly one.
    """
    seeds = _unfinished_seeds(written_to(root))
    if (cloud := cloud_root(root)) is not None:
        with manifests_in(Bucket(cloud, "--output-root")) as folder:
            seeds |= _unfinished_seeds(folder)
    if not seeds:
        raise UserError(f"--resume: no unfinished run in {root}; say which data set with --seed")
    if len(seeds) > 1:
        several = ", ".join(map(str, sorted(seeds)))
        raise UserError(
            f"--resume: {root} has unfinished runs of several data sets; choose with --seed, one "
            f"of {several}"
        )
    return int(seeds.pop())


def _unfinished_seeds(folder: Path) -> set[int]:
    return {ours["base_seed"] for _, _, ours in _manifests(folder) if not ours.get("complete")}


def _manifests(
    root: Path, ignored: frozenset[str] = frozenset()
) -> Iterator[tuple[Path, RunManifest, dict[str, Any]]]:
    """Yield the runs that this tool wrote, oldest first: folder, manifest, our part of it.

    Folders of `ignored` names are left out.
    """
    unreadable = 0
    there = (path for path in root.glob("run_*") if path.name not in ignored)
    for run_dir in sorted(there, key=lambda path: (len(path.name), path.name)):
        try:
            data = read_regular(run_dir / MANIFEST_NAME, MOST_LABEL_BYTES)
            manifest = RunManifest.model_validate_json(as_utf8(data))
        except (OSError, ValidationError):
            unreadable += 1
            continue
        ours = manifest.endoforge or {}
        if all(type(ours.get(number)) is int for number in ("base_seed", "run_index")):
            yield run_dir, manifest, ours
    if unreadable:
        folders = counted(unreadable, "folder")
        log.warning("%s: left as found: %s without a manifest", root, folders)


def _refuse_other_settings(run_dir: Path, wanted: dict[str, Any], there: dict[str, Any]) -> None:
    for place, here, other in _differences(wanted, there, ""):
        raise UserError(
            f"--resume: {run_dir} of the same base seed was made with {_as_typed(place, other)}, "
            f"now there is {_as_typed(place, here)}; give the same, or another --output-root"
        )


def _as_typed(place: str, value: Any) -> str:
    """A setting at its place in a manifest, as it is typed: a flag, or a line of the ranges."""
    if place not in _FLAGS:
        name = place.removeprefix("randomization.")
        if isinstance(value, dict):
            return f"a table {name}"
        return f"no {name}" if value is None else f"{name} = {json.dumps(value)}"
    if value is None or value == []:
        return f"no {_FLAGS[place]}"
    if isinstance(value, list):
        value = ("x" if place == "resolution" else ",").join(map(str, value))
    return f"{_FLAGS[place]} {value:g}" if isinstance(value, float) else f"{_FLAGS[place]} {value}"


def _differences(here: Any, there: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield every leaf of `here` that `there` has otherwise: its dotted name, here, there."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name, value in here.items():
            yield from _differences(value, there.get(name), f"{place}.{name}" if place else name)
    elif here != there:
        yield place, here, there
