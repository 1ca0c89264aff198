"""What became of every polyp of a sequence, and every false alarm in it, given what was shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.evaluate.lesion_sequences import LesionSequence, PolypFacts
from endoforge.tracking.tracker import Tracked

LESION_IOU = 0.2
"""Overlap with a true box from which what is shown is on the polyp, as REAL-Colon is measured
(Marchese Aizenman et al. 2024, and `iou_thr` of their fROC.py): it is to make one look there."""

LINGER_SECONDS = 1.0
"""So long what was on a polyp may be shown beside all polyps before that is a false alarm too; of
the 0.5, 1 and 2 seconds that Holzwanger et al. 2021 compare, the middle one."""


@dataclass(frozen=True, kw_only=True)
class PolypOutcome:
    """How it went with one polyp. Frames are places in its sequence."""

    sequence: str
    polyp_id: int
    facts: PolypFacts
    largest_box: float
    """Share of the picture that its largest box takes."""
    first_visible: int
    first_found: int | None
    """The first frame in which something shown is on it; None if there is none."""
    delay: float | None
    """For how many seconds it could be seen before `first_found`; None if it never was found."""
    visible_seconds: float
    found_seconds: float
    """For how many of them something shown was on it."""
    changes: int
    """From found to not found or back, between frames that follow each other and show it; from
    `first_found` on, for to be found at all is no flicker."""

    def found_within(self, seconds: float) -> bool:
        """Whether it was found before it could be seen for longer than this."""
        # Sums of a frame's 0.04 s end a little beside the second that they make.
        return self.delay is not None and self.delay <= seconds + 1e-6


@dataclass(frozen=True, kw_only=True)
class FalseAlarm:
    """Something shown that is on no polyp, from the frame `begin` to the frame `end`, inclusive.

    `seconds` is how long it was on screen in between, `track` its number in its sequence.
    """

    sequence: str
    track: int
    begin: int
    end: int
    seconds: float
    peak_score: float


@dataclass(frozen=True, kw_only=True)
class SequenceOutcome:
    """How it went in one sequence of `seconds`."""

    seconds: float
    polyps: tuple[PolypOutcome, ...]
    false_alarms: tuple[FalseAlarm, ...]
    false_seconds: float
    """With anything on screen that is on no polyp, of false alarms or not."""
    false_changes: int
    """From something false on screen to nothing false or back, between frames that follow."""


def follow(sequence: LesionSequence, shown: Sequence[Tracked]) -> SequenceOutcome:
    """What became of the polyps of `sequence` where `shown[i]` was on screen in its frame i."""
    on_polyp = [
        sequence.overlaps(frame, one.boxes, one.classes, LESION_IOU)
        for frame, one in enumerate(shown)
    ]
    false = np.array([bool(np.any(~rows.any(axis=1))) for rows in on_polyp])
    return SequenceOutcome(
        seconds=float(sequence.durations.sum()),
        polyps=_polyps(sequence, on_polyp),
        false_alarms=_false_alarms(sequence, shown, on_polyp),
        false_seconds=float(sequence.durations[false].sum()),
        false_changes=_changes(sequence, np.arange(len(sequence)), false),
    )


def _polyps(
    sequence: LesionSequence, on_polyp: Sequence[NDArray[np.bool_]]
) -> tuple[PolypOutcome, ...]:
    ids = np.concatenate(sequence.polyp_ids)
    frames = np.repeat(np.arange(len(sequence)), [len(one) for one in sequence.polyp_ids])
    found = np.concatenate([rows.any(axis=0) for rows in on_polyp])
    boxes = np.concatenate([truth.boxes for truth in sequence.truths]).astype(np.float64)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return tuple(
        _polyp(sequence, int(polyp), frames[rows], found[rows], float(areas[rows].max()))
        for polyp in np.unique(ids)
        for rows in [ids == polyp]
    )


def _polyp(
    sequence: LesionSequence,
    polyp_id: int,
    frames: NDArray[np.int64],
    found: NDArray[np.bool_],
    largest_box: float,
) -> PolypOutcome:
    """`frames` show it, and `found` says in which of them something was on it."""
    visible = np.unique(frames)  # a label may give one polyp two boxes, as when a fold parts it
    hit = np.isin(visible, frames[found])
    first = int(np.argmax(hit)) if hit.any() else None
    lasting = sequence.durations[visible]
    return PolypOutcome(
        sequence=sequence.name,
        polyp_id=polyp_id,
        facts=sequence.facts.get(polyp_id, PolypFacts()),
        largest_box=largest_box,
        first_visible=int(visible[0]),
        first_found=None if first is None else int(visible[first]),
        delay=None if first is None else float(lasting[:first].sum()),
        visible_seconds=float(lasting.sum()),
        found_seconds=float(lasting[hit].sum()),
        changes=0 if first is None else _changes(sequence, visible[first:], hit[first:]),
    )


def _changes(sequence: LesionSequence, frames: NDArray[np.int64], state: NDArray[np.bool_]) -> int:
    """How often `state`, of each of `frames`, differs from that of the frame just before."""
    next_to = (np.diff(frames) == 1) & sequence.follows[frames[1:]]
    return int(np.count_nonzero(next_to & (state[1:] != state[:-1])))


def _false_alarms(
    sequence: LesionSequence, shown: Sequence[Tracked], on_polyp: Sequence[NDArray[np.bool_]]
) -> tuple[FalseAlarm, ...]:
    ids = np.concatenate([one.ids for one in shown])
    frames = np.repeat(np.arange(len(sequence)), [len(one.ids) for one in shown])
    scores = np.concatenate([one.scores for one in shown])
    right = np.concatenate([rows.any(axis=1) for rows in on_polyp])
    alarms = []
    for track in np.unique(ids):
        rows = np.flatnonzero(ids == track)
        for stretch in _false_stretches(sequence, rows, frames, right):
            alarm = FalseAlarm(
                sequence=sequence.name,
                track=int(track),
                begin=int(frames[stretch[0]]),
                end=int(frames[stretch[-1]]),
                seconds=float(sequence.durations[frames[stretch]].sum()),
                peak_score=float(scores[stretch].max()),
            )
            alarms.append(alarm)
    return tuple(sorted(alarms, key=lambda alarm: (alarm.begin, alarm.track)))


def _false_stretches(
    sequence: LesionSequence,
    rows: NDArray[np.int64],
    frames: NDArray[np.int64],
    right: NDArray[np.bool_],
) -> list[NDArray[np.int64]]:
    """The rows of one track, parted into those of its false alarms.

    All of a track that never is on a polyp is one, whatever the gaps in it. Of another one, each
    stretch without a frame on a polyp that lasts for LINGER_SECONDS or more is one.
    """
    if not right[rows].any():
        return [rows]
    parts = np.split(rows, np.flatnonzero(np.diff(right[rows])) + 1)
    lasting = [float(sequence.durations[frames[part]].sum()) for part in parts]
    return [
        part
        for part, seconds in zip(parts, lasting, strict=True)
        if not right[part[0]] and seconds >= LINGER_SECONDS - 1e-6
    ]
