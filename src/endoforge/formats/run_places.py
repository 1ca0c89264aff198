"""Which frame of its video each frame of a run is, that `import --video` made."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import is_whole, read_picture
from endoforge.captures.schema import image_name
from endoforge.captures.video import Video
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.formats.runs import Origin

MOST_DIFFERENT = 4.0
"""Of 255 levels, on average: decoders differ by less, and two frames by more, unless still."""


@dataclass(frozen=True)
class RunPlace:
    """Frame `frame_id` of a run: the frame `number` of its video, at `seconds`."""

    frame_id: int
    number: int
    seconds: float


def run_places(run_dir: Path, origin: Origin, video: str | None, last: int) -> list[RunPlace]:
    """The frames of the run up to the frame `last` of its video, which is read as it was for them.

    It lies at `video`, or where it was then. Raises UserError if it isn't there, or isn't the one
    that the run is of.
    """
    path = Path(video or origin.source)
    if not path.is_file():
        raise UserError(
            f"--onto {run_dir}: of {path}, which isn't there and tells which frame is which; name "
            "the place where it is with --video"
        )
    places: list[RunPlace] = []
    source, fps = Video(path), _rate_of(origin)
    with progress("matching", _about(last, fps, source), "frames") as advance:
        for frame_id, (number, seconds, picture) in enumerate(source.frames(fps)):
            if number > last:
                break
            _refuse_other_picture(run_dir, frame_id, picture, path)
            places.append(RunPlace(frame_id, number, seconds))
            advance()
    return places


def _about(last: int, fps: float | None, video: Video) -> int:
    """How many frames a run has up to the frame `last` of its video, about."""
    share = 1.0 if fps is None else min(1.0, fps / video.fps)
    return round((last + 1) * share)


def _rate_of(origin: Origin) -> float | None:
    """The frames a second that the run took; None for all of them."""
    rate, _, unit = origin.group.partition(" ")
    return float(rate) if unit == "frames/s" else None


def _refuse_other_picture(
    run_dir: Path, frame_id: int, picture: NDArray[np.uint8], video: Path
) -> None:
    """Raises UserError if the run's frame isn't this picture. Looks at the 1st, 2nd, 4th, ..."""
    if frame_id & (frame_id - 1):
        return
    path = run_dir / image_name(frame_id)
    if is_whole(path):
        there = read_picture(path)
        if there.shape == picture.shape:
            apart = np.abs(there.astype(np.int16) - picture)
            if apart.mean() <= MOST_DIFFERENT:
                return
    raise UserError(
        f"{path}: isn't the frame of {video} that it should be; name the very video that was "
        "imported with --video"
    )
