"""What `eval --lesions` found: by detections of each frame alone, and by tracks of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from endoforge.data.images import Images
from endoforge.detect.detections import Detections
from endoforge.evaluate.lesion_links import frame_by_frame
from endoforge.evaluate.lesion_outcomes import SequenceOutcome, follow
from endoforge.evaluate.lesion_runs import LesionRun, LesionRuns
from endoforge.evaluate.lesions import (
    FROC_SCORES,
    FrocPoint,
    LesionMetrics,
    froc_point,
    sum_up,
)
from endoforge.tracking.camera_motion import CameraFollower
from endoforge.tracking.tracker import Tracked, Tracker


@dataclass(frozen=True, eq=False)
class ShownRun:
    """A run, and what was on screen in each of its frames, at the score that was asked for."""

    run: LesionRun
    single: list[Tracked]
    """Of each frame by itself."""
    tracks: list[Tracked]


@dataclass(frozen=True, kw_only=True)
class LesionScore:
    """The metrics at the score that was asked for, and those of others as a curve."""

    metrics: LesionMetrics
    froc: tuple[FrocPoint, ...]
    """At each of FROC_SCORES."""

    def to_record(self) -> dict[str, Any]:
        """What a metrics file says of it."""
        return {**self.metrics.to_record(), "froc": [point.to_record() for point in self.froc]}


@dataclass(frozen=True, kw_only=True)
class LesionResult:
    """Lesions of all runs that can be asked about them, by detections alone and by tracks."""

    runs: list[ShownRun]
    single: LesionScore
    tracks: LesionScore
    left_out: list[str]
    notes: list[str]

    def to_record(self) -> dict[str, Any]:
        """The field `lesions` of a metrics file."""
        return {
            "runs": len(self.runs),
            "left_out": self.left_out,
            "minutes": self.single.metrics.seconds / 60,
            "frame_by_frame": self.single.to_record(),
            "tracks": self.tracks.to_record(),
        }


def measure_lesions(
    chosen: LesionRuns,
    detections: Sequence[Detections],
    images: Images,
    *,
    obj_thresh: float,
    on_frames: Callable[[int], None] = lambda _: None,
) -> LesionResult:
    """Measure `detections` (all of each frame, weak ones too) of `images`, on the runs `chosen`.

    Both run as the pack that the runs are of. `on_frames` is told of the frames that were tracked.
    """
    scores = sorted({obj_thresh, *FROC_SCORES})
    runs = []
    single: dict[float, list[SequenceOutcome]] = {score: [] for score in scores}
    tracks: dict[float, list[SequenceOutcome]] = {score: [] for score in scores}
    for run in chosen.runs:
        found = [detections[place] for place in run.places]
        linked = {score: frame_by_frame(run.sequence, found, score) for score in scores}
        followed = _tracked(run, found, images, scores, on_frames)
        for score in single:
            single[score].append(follow(run.sequence, linked[score]))
            tracks[score].append(follow(run.sequence, followed[score]))
        runs.append(ShownRun(run, linked[obj_thresh], followed[obj_thresh]))
    return LesionResult(
        runs=runs,
        single=_score(single, obj_thresh),
        tracks=_score(tracks, obj_thresh),
        left_out=chosen.left_out,
        notes=chosen.notes(),
    )


def _tracked(
    run: LesionRun,
    found: Sequence[Detections],
    images: Images,
    scores: Sequence[float],
    on_frames: Callable[[int], None],
) -> dict[float, list[Tracked]]:
    """What a tracker with each of `scores` as its threshold shows of a run's frames."""
    camera = CameraFollower()
    trackers = {score: Tracker(threshold=score, camera=camera) for score in scores}
    shown: dict[float, list[Tracked]] = {score: [] for score in trackers}
    frames = zip(run.places, found, run.sequence.seconds, strict=True)
    for place, detected, seconds in frames:
        image = images[int(place)]
        for score, tracker in trackers.items():
            shown[score].append(tracker.update(detected, float(seconds), image))
        on_frames(1)
    return shown


def _score(outcomes: dict[float, list[SequenceOutcome]], obj_thresh: float) -> LesionScore:
    metrics = {score: sum_up(of_score) for score, of_score in outcomes.items()}
    return LesionScore(
        metrics=metrics[obj_thresh],
        froc=tuple(froc_point(score, metrics[score]) for score in FROC_SCORES),
    )
