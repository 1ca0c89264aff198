"""Pictures of videos: their order, their times, and the names of what is in them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from endoforge.captures.schema import MOST_POLYP_ID, FrameLabel
from endoforge.captures.tally import Unusable
from endoforge.core.text import counted
from endoforge.formats.searching import natural_key
from endoforge.formats.source import Moment, SourceFrame, Track

MOST_DIGITS = 12
"""Longer numbers in names are times or keys, and count no frames."""
_NUMBERED = re.compile(r"(.*?)[-_. ]*([0-9]{1,12})")


def refuse_doubles(frames: list[SourceFrame]) -> list[SourceFrame]:
    """The same frames; with a fault where one track has two boxes, or one moment two pictures."""
    places = Counter(map(_place, frames))
    return [
        frame if frame.fault is not None else replace(frame, fault=_double(frame, places))
        for frame in frames
    ]


def _place(frame: SourceFrame) -> tuple[str, int] | None:
    moment = frame.moment
    return None if moment is None or moment.number is None else (moment.sequence, moment.number)


def _double(frame: SourceFrame, places: Counter[tuple[str, int] | None]) -> Unusable | None:
    place = _place(frame)
    if place is not None and places[place] > 1:
        return Unusable("another has its place in the video", f"frame {place[1]} of {place[0]}")
    tracks = Counter(box.track for box in frame.boxes if box.track is not None)
    for track, number in tracks.most_common(1):
        if number > 1:
            return Unusable("several boxes of one track", f"track {track}")
    return None


def in_order(frames: list[SourceFrame]) -> list[SourceFrame]:
    """The frames of a run to be: video by video, each by its numbers, else in natural order."""
    videos: dict[str, list[SourceFrame]] = defaultdict(list)
    for frame in frames:
        videos[_video(frame)].append(frame)
    ordered: list[SourceFrame] = []
    for video in sorted(videos, key=natural_key):
        members = sorted(videos[video], key=lambda frame: natural_key(frame.name))
        numbers = _numbers(members) or range(len(members))
        ordered += [
            members[place] for place in sorted(range(len(members)), key=numbers.__getitem__)
        ]
    return ordered


def named_and_timed(frames: list[SourceFrame], fps: float | None) -> list[SourceFrame]:
    """The frames of a run, in order, each with its time, and `polyp_id`s in place of tracks."""
    names = _names(frames)
    return [
        replace(
            frame,
            boxes=tuple(
                box
                if box.track is None or frame.fault is not None
                else replace(box, track=names[_video(frame), box.track])
                for box in frame.boxes
            ),
            moment=Moment(_video(frame), seconds=seconds),
            label=_with_names(frame, names),
        )
        for frame, seconds in zip(frames, _seconds(frames, fps), strict=True)
    ]


def _with_names(frame: SourceFrame, names: dict[tuple[str, Track], int]) -> FrameLabel | None:
    """The frame's label, in which polyps that can't be seen have the names of other frames' boxes.

    One that has none there keeps its own name if all do, and else loses it.
    """
    if frame.label is None:
        return None
    video = _video(frame)
    all_keep = all(track == name for (_, track), name in names.items())
    polyps = [
        polyp
        if polyp.name is None
        else polyp.model_copy(
            update={"polyp_id": names.get((video, polyp.name), polyp.name if all_keep else None)}
        )
        for polyp in frame.label.polyp_labels
    ]
    return frame.label.model_copy(update={"polyp_labels": polyps})


def _video(frame: SourceFrame) -> str:
    return "" if frame.moment is None else frame.moment.sequence


def _seconds(frames: list[SourceFrame], fps: float | None) -> list[float]:
    """The time of each frame: what is said of it, or its number in its video over the rate.

    Where no number is said, or several videos follow each other, its place in the run counts. Where
    no rate is known, it is 1.
    """
    one_video = len(set(map(_video, frames))) == 1
    said = [
        frame.moment.seconds
        for frame in frames
        if frame.moment is not None and frame.moment.seconds is not None
    ]
    if one_video and len(said) == len(frames):
        return said
    numbers = (_numbers(frames) if one_video else None) or range(len(frames))
    return [number / (fps or 1.0) for number in numbers]


def _numbers(frames: list[SourceFrame]) -> list[int] | None:
    """Each frame's number in its video; None unless all have one."""
    numbers = [
        frame.moment.number
        for frame in frames
        if frame.moment is not None and frame.moment.number is not None
    ]
    return numbers if len(numbers) == len(frames) else None


def _names(frames: list[SourceFrame]) -> dict[tuple[str, Track], int]:
    """The `polyp_id` of each track, by its video too, of a run whose frames these are in order.

    Those of one video that are numbers from 1 on stay; else tracks are numbered as they appear.
    """
    tracks = dict.fromkeys(
        (_video(frame), box.track)
        for frame in frames
        if frame.fault is None
        for box in frame.boxes
        if box.track is not None
    )
    kept: dict[tuple[str, Track], int] = {
        (video, track): track
        for video, track in tracks
        if isinstance(track, int) and 1 <= track <= MOST_POLYP_ID
    }
    if len(kept) == len(tracks) and len({video for video, _ in kept}) == 1:
        return kept
    return {key: number for number, key in enumerate(tracks, 1)}


def frame_rate(seconds: Sequence[float]) -> tuple[float | None, bool]:
    """Frames a second of a run whose frames are at these times, and whether they are even.

    None where time doesn't go on. Even ones lie within a quarter of an interval of their places.
    """
    lasted = seconds[-1] - seconds[0]
    if lasted <= 0:
        return None, len(seconds) == 1
    interval = lasted / (len(seconds) - 1)
    away = (abs(at - seconds[0] - place * interval) for place, at in enumerate(seconds))
    return round(1 / interval, 6), max(away) <= interval / 4


def uneven_note(runs: Iterable[Sequence[float]], why: str) -> list[str]:
    """The line that tells how many runs, whose frames are at these times, aren't even.

    None if all are; `why` says what that means in a format that doesn't hold times.
    """
    uneven = sum(not frame_rate(seconds)[1] for seconds in runs)
    if not uneven:
        return []
    return [f"{counted(uneven, 'run')} whose frames don't follow each other evenly: {why}"]


def number_in(name: str) -> int | None:
    """The last number in a picture's file name, which says which frame of its video it is."""
    digits = re.findall(r"[0-9]+", PurePosixPath(name).stem)
    return int(digits[-1]) if digits and len(digits[-1]) <= MOST_DIGITS else None


def numbered_moments(names: Iterable[str]) -> dict[str, Moment]:
    """Places in videos of pictures whose names are a video's with a number: `clip_12.png`.

    Empty if one has another name: then the numbers may be anything.
    """
    moments: dict[str, Moment] = {}
    for name in names:
        match = _NUMBERED.fullmatch(PurePosixPath(name).stem)
        if match is None:
            return {}
        sequence = (PurePosixPath(name).parent / match[1]).as_posix()
        moments[name] = Moment(sequence, int(match[2]))
    return moments
