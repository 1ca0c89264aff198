"""The part of an evaluation's report that is about lesions: numbers, FROC, and each run's time."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_picture
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Unusable
from endoforge.core.text import counted
from endoforge.data.letterbox import placement_of
from endoforge.evaluate.lesion_outcomes import LESION_IOU
from endoforge.evaluate.lesion_result import LesionResult, ShownRun
from endoforge.evaluate.lesion_sequences import LesionSequence, PolypFacts
from endoforge.evaluate.lesion_table import HEADS, lesion_rows
from endoforge.evaluate.result import EvalResult
from endoforge.report.charts import froc_curve
from endoforge.report.page import Charts, ColumnTable, Section
from endoforge.report.stills import track_lanes
from endoforge.report.timeline import Box, Clip, LesionLane, Timeline
from endoforge.tracking.histories import TrackHistory, track_histories
from endoforge.tracking.tracker import Tracked

MOST_RUNS = 8
"""Runs whose time is shown: each takes some megabytes of stills."""


def lesion_sections(result: EvalResult, lesions: LesionResult) -> list[Section]:
    """Make the sections of a report about `lesions`, which are those of `result`.

    Stills are read from the runs' images again.
    """
    runs = lesions.runs[:MOST_RUNS]
    return [
        ColumnTable("Lesions", ("", *HEADS), lesion_rows(lesions), _notes(lesions)),
        Charts("Lesions found, against false alarms", [froc_curve(lesions)]),
        *(Timeline(_clip(result, shown)) for shown in runs),
    ]


def _notes(lesions: LesionResult) -> list[str]:
    notes = [*(f"left out: {line}" for line in lesions.left_out), *lesions.notes]
    if len(lesions.runs) > MOST_RUNS:
        notes.append(f"below, the time of the first {MOST_RUNS} of {len(lesions.runs)} runs")
    return notes


def _clip(result: EvalResult, shown: ShownRun) -> Clip:
    sequence = shown.run.sequence
    frames = [result.frames[place] for place in shown.run.places.tolist()]
    subject = result.subject

    def to_picture(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        return placement_of(size, subject.input_size, subject.resize_mode).to_picture(boxes)

    histories = track_histories(enumerate(shown.tracks))
    lanes = track_lanes(
        histories,
        sequence.seconds.tolist(),
        partial(_read, frames),
        result.class_names,
        truths=[_boxes(frame) for frame in frames],
        verdicts={track.number: polyp_of(sequence, track) for track in histories},
        to_picture=to_picture,
    )
    seconds = float(sequence.durations.sum())
    lost = len(histories) - len(lanes)
    gone = f"; without {counted(lost, 'track')} whose images can't be read" if lost else ""
    return Clip(
        name=sequence.name,
        about=f"{counted(len(sequence), 'frame')}, {seconds:.1f} s of video{gone}",
        begin=float(sequence.seconds[0]),
        end=float(sequence.seconds[-1] + sequence.durations[-1]),
        tracks=lanes,
        lesions=lesion_lanes(sequence, shown.tracks),
    )


def polyp_of(sequence: LesionSequence, track: TrackHistory) -> int:
    """Which polyp a track is on in most of its frames; 0 where it never is on one."""
    frames: dict[int, int] = {}
    for row, place in enumerate(track.places.tolist()):
        on = sequence.overlaps(
            place, track.boxes[[row]], np.array([track.label], np.int64), LESION_IOU
        )[0]
        for polyp in sequence.polyp_ids[place][on].tolist():
            frames[polyp] = frames.get(polyp, 0) + 1
    return max(frames, key=lambda polyp: frames[polyp]) if frames else 0


def lesion_lanes(sequence: LesionSequence, tracks: Sequence[Tracked]) -> list[LesionLane]:
    """When each polyp of a run could be seen, and when a track was on it."""
    visible: dict[int, list[int]] = {}
    found: dict[int, list[int]] = {}
    for place, (ids, shown) in enumerate(zip(sequence.polyp_ids, tracks, strict=True)):
        on = sequence.overlaps(place, shown.boxes, shown.classes, LESION_IOU)
        for column, polyp in enumerate(ids.tolist()):
            hit = bool(on[:, column].any())
            visible.setdefault(polyp, []).append(place)
            if hit:
                found.setdefault(polyp, []).append(place)
    return [
        LesionLane(
            number=polyp,
            what=_described(sequence.facts.get(polyp, PolypFacts())),
            visible=_spans(sequence, places),
            found=_spans(sequence, found.get(polyp, [])),
            first_found=float(sequence.seconds[found[polyp][0]]) if polyp in found else None,
        )
        for polyp, places in sorted(visible.items())
    ]


def _spans(sequence: LesionSequence, places: Sequence[int]) -> list[tuple[float, float]]:
    """The seconds of frames that follow each other, from the first to the end of the last."""
    spans: list[tuple[float, float]] = []
    before = -2
    for place in sorted(set(places)):
        begin = float(sequence.seconds[place])
        end = begin + float(sequence.durations[place])
        if place == before + 1 and sequence.follows[place]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
        before = place
    return spans


def _described(facts: PolypFacts) -> str:
    size = [] if facts.diameter_mm is None else [f"{facts.diameter_mm:.1f} mm"]
    return ", ".join([*([facts.kind] if facts.kind else []), *size])


def _boxes(frame: FrameRecord) -> list[Box]:
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in frame.boxes.tolist()]


def _read(
    frames: Sequence[FrameRecord], places: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for place in places:
        try:
            yield place, read_picture(frames[place].image_path)
        except Unusable:
            continue
