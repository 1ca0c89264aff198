"""Which of the runs that are measured can be asked about lesions, as sequences in order of time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, starmap

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.moments import is_later
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.data.pack import Pack
from endoforge.evaluate.lesion_sequences import LesionSequence, PolypFacts
from endoforge.evaluate.matching import Truth

FEWEST_A_SECOND = 5.0
"""Frames; with fewer, boxes of a lesion hardly overlap from one to the next."""

VIDEO_STEP_S = 0.125
"""The longest between two frames of a video; captures are slower, at a pace of their own."""
MANY_GAPS = 0.01


@dataclass(frozen=True, eq=False)
class LesionRun:
    """A run as a sequence; `places` (F,) int64 are those of its frames in the pack."""

    sequence: LesionSequence
    places: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LesionRuns:
    """The runs that can be measured, and a line for each reason why others can't."""

    runs: list[LesionRun]
    left_out: list[str]

    @property
    def num_frames(self) -> int:
        """How many frames they have, all together."""
        return sum(len(run.sequence) for run in self.runs)

    def notes(self) -> list[str]:
        """What one must know of the runs to read their numbers, a line each."""
        return [*self._slow(), *self._with_gaps()]

    def _slow(self) -> list[str]:
        steps = [run.sequence.usual_step for run in self.runs]
        slow = [step for step in steps if step * FEWEST_A_SECOND > 1 + 1e-6]
        if not slow:
            return []
        return [
            f"fewer than {FEWEST_A_SECOND:g} frames a second in {len(slow)} of "
            f"{counted(len(steps), 'run')} (a step of {np.median(slow):.2g} s): delays are no "
            f"finer than that, whatever comes "
            "between two frames isn't seen, and a tracker can hardly follow; record with "
            "`datagen --fps 25`"
        ]

    def _with_gaps(self) -> list[str]:
        lacking = [run for run in self.runs if _lacks_frames(run.sequence)]
        if not lacking:
            return []
        return [
            f"frames in between are lacking (pruned or left out) in {len(lacking)} of "
            f"{counted(len(self.runs), 'run')}: nothing is known of that time, which distorts "
            f"shares of time and false alarms; "
            "measure the runs as they were recorded"
        ]


def _lacks_frames(sequence: LesionSequence) -> bool:
    """Whether a step in a hundred or more of a video is longer than one and a half usual ones."""
    if sequence.usual_step > VIDEO_STEP_S:
        return False
    steps = np.diff(sequence.seconds)
    return bool(np.mean(steps > 1.5 * sequence.usual_step) >= MANY_GAPS)


def lesion_runs(pack: Pack) -> LesionRuns:
    """The runs of `pack` whose polyps have names and whose frames have times.

    Raises UserError, with the reasons, if there is none.
    """
    tally = Tally()
    runs = []
    by_run = groupby(_places_by_run(pack.frames), key=lambda place: pack.frames[place].run)
    for name, places in by_run:
        try:
            runs.append(_lesion_run(name, np.fromiter(places, np.int64), pack))
        except Unusable as unusable:
            tally.count(f"run: {unusable.reason}", name)
    if not runs:
        raise UserError(
            f"--lesions: no run can be asked about lesions ({'; '.join(tally.lines())}): it takes "
            "polyps with polyp_id and frames in order of time; record runs with `endoforge datagen "
            "--fps 25`, or leave out --lesions"
        )
    return LesionRuns(runs, tally.lines())


def _places_by_run(frames: Sequence[FrameRecord]) -> list[int]:
    """The places of `frames`, run by run, each run's in order of time."""
    return sorted(range(len(frames)), key=lambda n: (frames[n].run, frames[n].seconds))


def _lesion_run(name: str, places: NDArray[np.int64], pack: Pack) -> LesionRun:
    """The run at these places in `pack`; raises Unusable if it can't be measured."""
    frames = [pack.frames[place] for place in places]
    seconds = np.array([frame.seconds for frame in frames], np.float64)
    if len(frames) < 2:
        raise Unusable("it has a single frame, and no time passes")
    if not all(starmap(is_later, zip(seconds[1:], seconds[:-1], strict=True))):
        raise Unusable("frames less than 1 ms apart (sim_time in their labels)")
    sequence = LesionSequence(
        name=name,
        seconds=seconds,
        truths=[Truth(pack.boxes[place], pack.classes[place]) for place in places],
        polyp_ids=[_named(frame) for frame in frames],
        facts=_facts(frames),
    )
    return LesionRun(sequence, places)


def _named(frame: FrameRecord) -> NDArray[np.int64]:
    """The names (K,) of a frame's polyps; raises Unusable if one has none."""
    ids = [polyp_id for polyp_id in frame.polyp_ids if polyp_id is not None]
    if len(ids) < len(frame.polyp_ids):
        raise Unusable("a polyp without polyp_id")
    return np.array(ids, np.int64)


def _facts(frames: Iterable[FrameRecord]) -> dict[int, PolypFacts]:
    """What is known of each polyp: what the first label that says something of it says."""
    facts: dict[int, PolypFacts] = {}
    for frame in frames:
        rows = zip(frame.polyp_ids, frame.diameters_mm, frame.kinds, strict=True)
        for polyp_id, diameter_mm, kind in rows:
            if polyp_id is not None:
                known = facts.get(polyp_id, PolypFacts())
                facts[polyp_id] = PolypFacts(
                    diameter_mm if known.diameter_mm is None else known.diameter_mm,
                    known.kind or kind,
                )
    return facts
