"""When the frames of a run were taken that have no label to say it: those of videos and streams."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.files import append_json_line
from endoforge.core.folders import refuse_link
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import as_utf8

TIMES_NAME = "frame_times.jsonl"
"""In a run's folder: a line a frame, written before the frame's image."""


@dataclass(frozen=True)
class FrameTime:
    """When a frame was taken: `seconds` after the first frame of its source.

    `source_frame` is its number in the video, where that is known: 0 is the first.
    """

    seconds: float
    source_frame: int | None = None


def append_frame_time(run: Path, frame_id: int, time: FrameTime) -> None:
    """Note when the frame `frame_id` of a run was taken; raises OSError if that can't be written.

    Of a frame that is noted twice, the last line counts.
    """
    path = run / TIMES_NAME
    refuse_link(path, within=run)
    line = {"frame_id": frame_id, "seconds": time.seconds, "source_frame": time.source_frame}
    append_json_line(path, line)


def read_frame_times(run: Path) -> dict[int, FrameTime]:
    """When the frames of a run were taken, by `frame_id`; empty if the run doesn't say.

    A line that a kill cut short is passed over: its frame has another one, or no image. Raises
    UserError for any other that is none, which names it.
    """
    path = run / TIMES_NAME
    try:
        lines = as_utf8(read_regular(path, MOST_LIST_BYTES)).split(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from error
    times = {}
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"}"):
            continue
        try:
            frame_id, time = _parse(line)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number}: not a frame's time; fix the line, or remove the file"
            ) from error
        times[frame_id] = time
    return times


def _parse(line: bytes) -> tuple[int, FrameTime]:
    fields = json.loads(line)
    frame_id, seconds, source = fields["frame_id"], fields["seconds"], fields.get("source_frame")
    is_time = type(seconds) in (int, float) and math.isfinite(seconds)
    if not (_is_number(frame_id) and is_time and (source is None or _is_number(source))):
        raise ValueError("no time")
    return frame_id, FrameTime(float(seconds), source)


def _is_number(value: object) -> bool:
    return type(value) is int and value >= 0
