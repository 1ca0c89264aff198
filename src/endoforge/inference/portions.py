"""What `detect` looks at, parted into what becomes a capture run each."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath

from endoforge.captures.frame_times import FrameTime, read_frame_times
from endoforge.captures.schema import frame_number
from endoforge.core.text import printable
from endoforge.formats.runs import Origin
from endoforge.formats.video_import import origin_of
from endoforge.inference.material import InputPicture, Material
from endoforge.inference.picture_names import run_of

FORMAT = "detect"
"""Of the origin of runs of pictures and streams; those of videos are as `import --video` has them,
so that a person's labels of the video can come onto them."""


@dataclass(frozen=True, eq=False)
class Portion:
    """A video, a stream, or the pictures of a folder or of a capture run.

    `pictures` gives what can be decoded of it, about as many as `expected`; pictures have `paths`
    and `numbers` by their names. `times` are those of the capture run that they are of, by its
    numbers, if it says them. A stream `is_live`: it is never seen again.
    """

    origin: Origin
    expected: int
    pictures: Callable[[], Iterator[InputPicture]]
    paths: Mapping[str, Path] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[int, FrameTime] = field(default_factory=dict)
    is_live: bool = False

    def number_of(self, picture: InputPicture, place: int) -> int:
        """The number in the new run of a picture, before which `place` others were given."""
        return self.numbers.get(picture.name, place)

    def time_of(self, picture: InputPicture) -> FrameTime | None:
        """When a picture was taken, as far as that is sure."""
        moment = picture.moment
        if moment is None:
            return None
        if moment.frame in self.times:
            return self.times[moment.frame]
        number = moment.frame if picture.in_video is not None and not self.is_live else None
        return FrameTime(moment.seconds, number)


def portions_of(material: Material, fps: float | None, said: str) -> list[Portion]:
    """Part `material`, of whose videos `fps` frames a second are looked at.

    `said` is all of the detector that its answers depend on: an origin knows the run of the same
    frames and the same `said` again.
    """
    folders: dict[Path, dict[str, Path]] = {}
    for name, path in material.pictures.items():
        folders.setdefault(path.parent, {})[name] = path
    return [
        *(_of_pictures(material, folder, paths, said) for folder, paths in folders.items()),
        *(_of_video(material, name, fps, said) for name in material.videos),
        *(_of_stream(material, name) for name in material.live),
    ]


def _of_pictures(material: Material, folder: Path, paths: Mapping[str, Path], said: str) -> Portion:
    run = run_of(next(iter(paths.values())))
    of_run = _frame_numbers(paths) if run is not None else None
    numbers = of_run or {name: number for number, name in enumerate(paths)}
    group = run.name if run is not None else PurePosixPath(next(iter(paths))).parent.as_posix()
    names = hashlib.sha256()
    for name, path in paths.items():
        of_this = f"{group}/{path.name}" if run is not None else name
        names.update(repr((printable(of_this), path.stat().st_size)).encode())
    content = names.copy()
    content.update(said.encode())
    origin = Origin(
        format=FORMAT,
        source=printable(str(folder if run is None else run)),
        group=printable(group),
        pictures=names.hexdigest(),
        content=content.hexdigest(),
    )
    times = {} if run is None else read_frame_times(run)
    pictures = partial(material.pictures_named, paths)
    return Portion(origin, len(paths), pictures, paths, numbers, times)


def _frame_numbers(paths: Mapping[str, Path]) -> dict[str, int] | None:
    """The numbers in the names of a run's images, by what else they are called; None if two have
    the same, or one has none."""
    numbers = {name: frame_number(path.name) for name, path in paths.items()}
    known = {name: number for name, number in numbers.items() if number is not None}
    return known if len(set(known.values())) == len(paths) else None


def _of_video(material: Material, name: str, fps: float | None, said: str) -> Portion:
    video = material.videos[name]
    origin = origin_of(video, fps, said)
    return Portion(origin, video.expected(fps), partial(material.video_frames, name))


def _of_stream(material: Material, name: str) -> Portion:
    began = datetime.now().isoformat(" ", "microseconds")
    unique = hashlib.sha256(f"{name} {began}".encode()).hexdigest()
    origin = Origin(
        format=FORMAT,
        source=name,
        group=f"from {began}",
        pictures=unique,
        content=unique,
    )
    return Portion(origin, 0, partial(material.live_frames, name), is_live=True)
