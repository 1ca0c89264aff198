"""The page of `detect --report`: what was found in each video and run, over its time."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.core.text import counted
from endoforge.inference.material import Material
from endoforge.inference.opening import OpenedDetector
from endoforge.inference.track_log import SequenceTracks, TrackLog
from endoforge.report.page import RESEARCH_ONLY, Report, Table, write_report
from endoforge.report.stills import track_lanes
from endoforge.report.timeline import ASSETS, Clip, Timeline


def write_timeline_page(
    path: Path, log: TrackLog, material: Material, *, opened: OpenedDetector, threshold: float
) -> None:
    """Write the page about the tracks of `log` to `path`; stills are read from `material` again.

    `opened` is the detector that found them, from the score `threshold` on.

    Raises OSError if that fails.
    """
    sequences = list(log.sequences.values())
    names = ", ".join(one.file for one in sequences[:3]) + (", ..." if len(sequences) > 3 else "")
    report = Report(
        title=f"Found in {names}",
        subtitle=(
            f"Each track is one place where the detector ({opened.name}) found something again and "
            f"again, from a score of {threshold:g} on."
        ),
        tiles=_tiles(sequences),
        sections=[Timeline(_clip(sequence, material)) for sequence in sequences],
        footer=f"Detector: {opened.described}. {RESEARCH_ONLY}",
        assets=ASSETS,
    )
    write_report(path, report)


def _tiles(sequences: Sequence[SequenceTracks]) -> Table:
    tracks = [(one, track) for one in sequences for track in one.histories()]
    lasting = [
        one.seconds[track.places[-1]] - one.seconds[track.places[0]] for one, track in tracks
    ]
    whole = sum(_seconds(one) for one in sequences)
    return [
        ("tracks", f"{len(lasting):,}"),
        ("of the time, a track is shown", f"{100 * sum(map(_shown, sequences)) / whole:.0f} %"),
        ("the longest track", f"{max(lasting):.1f} s" if lasting else "none"),
        ("in all", _minutes(whole)),
    ]


def _clip(sequence: SequenceTracks, material: Material) -> Clip:
    width, height = sequence.size
    count = len(sequence.frames)
    seconds = _seconds(sequence)
    histories = sequence.histories()
    lanes = track_lanes(
        histories, sequence.seconds, partial(_read, sequence, material), sequence.classes
    )
    lost = len(histories) - len(lanes)
    gone = f"; without {counted(lost, 'track')} whose frames can't be read again" if lost else ""
    return Clip(
        name=sequence.file,
        about=f"{_minutes(seconds)}, {counted(count, 'frame')} of {width}x{height}{gone}",
        begin=sequence.seconds[0],
        end=sequence.seconds[0] + seconds,
        tracks=lanes,
    )


def _read(
    sequence: SequenceTracks, material: Material, places: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    place_of = {sequence.frames[place]: place for place in places}
    for frame, pixels in material.again(sequence.file, place_of.keys()):
        yield place_of[frame], pixels


def _seconds(sequence: SequenceTracks) -> float:
    """How long what was looked at takes; a single frame is taken for a 25th of a second."""
    return max(sequence.duration, 0.04)


def _shown(sequence: SequenceTracks) -> float:
    """Seconds with any track on screen: each frame lasts until the next one."""
    places = {int(place) for track in sequence.histories() for place in track.places}
    ends = [*sequence.seconds[1:], sequence.seconds[0] + _seconds(sequence)]
    lasting = [end - begin for begin, end in zip(sequence.seconds, ends, strict=True)]
    return sum(lasting[place] for place in places)


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"
