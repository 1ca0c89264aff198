"""Runs that show the same, and pictures that are in two places: what must not be on both sides.

Two runs show the same if they were simulated from one seed and the same ranges, or if they share
pictures, as copies of a run, links to it, and two imports of one source do.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

from endoforge.captures.index import RunInfo
from endoforge.captures.run_frames import FrameRecord
from endoforge.core.reading import open_regular
from endoforge.core.text import counted

SHARED_FOR_TWINS = 0.05
"""Share of the smaller run's pictures that two runs have in common to count as showing the same.

Below it, it is some black or blank pictures, which any two recordings may share."""
END_BYTES = 2**12
"""Pictures are compared by their files' lengths and so many bytes at both ends: there is a PNG's
checksum of all pixels, and of a JPEG its tables and the last of its pixels. In a large data set
most files are as long as another one, so more would take the time of reading them all."""
ALL_PAIRS_OF = 20
SHOWN = 3
GROUPS_SHOWN = 5

Digest = bytes


@dataclass(frozen=True)
class Twins:
    """Runs that show the same; `why` is said in words."""

    runs: tuple[str, ...]
    why: str

    def line(self) -> str:
        """The group in a line for people: `run_1, run_2: the same seed and ranges`."""
        more = f" and {len(self.runs) - SHOWN} more" if len(self.runs) > SHOWN else ""
        return f"{', '.join(self.runs[:SHOWN])}{more}: {self.why}"


def group_lines(groups: Sequence[Twins]) -> list[str]:
    """Lines for people: the first groups, and how many more there are."""
    more = len(groups) - GROUPS_SHOWN
    shown = [group.line() for group in groups[:GROUPS_SHOWN]]
    return shown if more <= 0 else [*shown, f"and {counted(more, 'more group')} of runs"]


class Digests:
    """Digests of pictures, by which the same are known; each file is read once."""

    def __init__(self) -> None:
        self._known: dict[Path, Digest | None] = {}

    def of(self, frame: FrameRecord) -> Digest | None:
        """The digest of the picture's length and both of its ends; None if it can't be read."""
        path = frame.image_path
        if path not in self._known:
            self._known[path] = _digest(path)
        return self._known[path]


def twin_runs(
    frames: Sequence[FrameRecord], runs: Iterable[RunInfo], digests: Digests
) -> list[Twins]:
    """The runs of `frames` that show the same as another: each in one of the groups."""
    with_frames = {frame.run for frame in frames}
    pairs = [
        (names[0], name, why)
        for why, names in _by_seed([run for run in runs if run.name in with_frames])
        for name in names[1:]
    ]
    return _joined(
        pairs + [(one, other, "the same pictures") for one, other in _sharing(frames, digests)]
    )


def _by_seed(runs: Sequence[RunInfo]) -> Iterator[tuple[str, list[str]]]:
    """Names of runs that were simulated from one seed, and that in words.

    Ours must have the same ranges too, but not the same size or number of pictures: the colon is
    the same. Imported runs have no seed. Other simulators' manifests only say the seed, which says
    nothing if all of them have the same: some writers always write one.
    """
    ours: dict[str, list[str]] = defaultdict(list)
    others: dict[int, list[str]] = defaultdict(list)
    for run in runs:
        if run.manifest is None:
            continue
        if run.manifest.endoforge is None:
            others[run.manifest.seed].append(run.name)
        elif (ranges := run.manifest.endoforge.get("randomization")) is not None:
            origin = json.dumps([run.manifest.seed, ranges], sort_keys=True)
            ours[origin].append(run.name)
    for names in ours.values():
        yield "the same seed and ranges", names
    if len(others) > 1:
        for names in others.values():
            yield "the same seed", names


def _sharing(frames: Sequence[FrameRecord], digests: Digests) -> list[tuple[str, str]]:
    """Pairs of runs with so many pictures in common that they show the same."""
    holders: dict[Digest, set[str]] = defaultdict(set)
    for frame in _as_long_as_others(frames):
        if (digest := digests.of(frame)) is not None:
            holders[digest].add(frame.run)
    common: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        common.update(_pairs(sorted(names)))
    sizes = Counter(frame.run for frame in frames)
    return [
        pair
        for pair, number in common.items()
        if number >= SHARED_FOR_TWINS * min(sizes[name] for name in pair)
    ]


def _pairs(names: list[str]) -> Iterable[tuple[str, str]]:
    """All pairs of `names`; of many names each with the next, which joins the same groups."""
    return combinations(names, 2) if len(names) <= ALL_PAIRS_OF else pairwise(names)


def _joined(pairs: list[tuple[str, str, str]]) -> list[Twins]:
    """Groups of runs that pairs join, in the runs' order."""
    group_of: dict[str, set[str]] = {}
    reasons: dict[str, list[str]] = defaultdict(list)
    for one, other, why in pairs:
        group = group_of.get(one, {one}) | group_of.get(other, {other})
        group_of.update(dict.fromkeys(group, group))
        reasons[one].append(why)
    groups = sorted({tuple(sorted(group)) for group in group_of.values()})
    whys = [dict.fromkeys(why for name in group for why in reasons[name]) for group in groups]
    return [Twins(group, " and ".join(why)) for group, why in zip(groups, whys, strict=True)]


def seeds_of_both(one: Sequence[RunInfo], other: Sequence[RunInfo]) -> list[Twins]:
    """Groups of runs from one seed that have members on both of two sides, named by their paths."""
    sides = [{str(run.path) for run in side} for side in (one, other)]
    named = [RunInfo(str(run.path), run.path) for run in (*one, *other)]
    return [
        Twins(tuple(names), why)
        for why, names in _by_seed(named)
        if all(not side.isdisjoint(names) for side in sides)
    ]


def group_names(twins: Iterable[Twins]) -> Mapping[str, str]:
    """The name of the group of each run that is in one: that of its first run."""
    return {name: group.runs[0] for group in twins for name in group.runs}


def shared_pictures(
    one: Sequence[FrameRecord], other: Sequence[FrameRecord], digests: Digests
) -> list[str]:
    """Keys of the frames of `other` whose pictures `one` has too."""
    sizes = {frame.image_bytes for frame in one} - {0}
    alike = [frame for frame in other if frame.image_bytes in sizes]
    sizes = {frame.image_bytes for frame in alike}
    known = {digests.of(frame) for frame in one if frame.image_bytes in sizes} - {None}
    return [frame.key for frame in alike if digests.of(frame) in known]


def _as_long_as_others(frames: Sequence[FrameRecord]) -> list[FrameRecord]:
    """The frames whose picture may be in two runs: its file is as long as one of another run."""
    runs_by_size: dict[int, set[str]] = defaultdict(set)
    for frame in frames:
        if frame.image_bytes:  # files without content are no pictures
            runs_by_size[frame.image_bytes].add(frame.run)
    return [frame for frame in frames if len(runs_by_size[frame.image_bytes]) > 1]


def _digest(path: Path) -> Digest | None:
    try:
        with open_regular(path) as file:
            start = file.read(END_BYTES) or b""
            length = file.seek(0, 2)
            file.seek(max(length - END_BYTES, len(start)))
            end = file.read(END_BYTES) or b""
            return hashlib.sha256(b"%d " % length + start + end).digest()
    except OSError:
        return None
