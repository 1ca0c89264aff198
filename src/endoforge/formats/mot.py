"""MOT's texts: a folder a video, with its pictures, `gt/gt.txt`, and perhaps `seqinfo.ini`.

A line of gt.txt is `frame, track, left, top, width, height, conf, class, visibility`: frames and
classes count from 1, pixels from 0, as CVAT and most trackers have them.
"""

import configparser
import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LIST_BYTES, MOST_NAMES_BYTES, read_regular
from endoforge.core.text import counted, decode_text, printable
from endoforge.formats.class_names import Names, read_names
from endoforge.formats.config import ImportConfig
from endoforge.formats.outlines import Size, box_of
from endoforge.formats.sequences import frame_rate, number_in, uneven_note
from endoforge.formats.source import (
    Blob,
    Moment,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    folder_of,
    without_label,
)
from endoforge.formats.writing import ALL, Converted, Writer

TRUTH, LABELS, INFO, IMAGES = "gt/gt.txt", "gt/labels.txt", "seqinfo.ini", "img1"
LEAST_SAID, MOST_SAID = 1e-6, 1e6
"""Of a rate and of a side: beyond, and the file means something else."""
IGNORED = "a region to ignore (conf 0), not one object"


@dataclass
class _FrameRows:
    """What the rows of one frame say; `fault` is why one of them can't be used."""

    boxes: list[NamedBox] = field(default_factory=list)
    fault: Unusable | None = None


def read_mot(config: ImportConfig, tally: Tally) -> Source:
    """The pictures of all videos below `--images`, with the boxes of their rows.

    A picture without a row shows nothing; one with a row that can't be used comes with the fault.
    Raises UserError where no video is found, for a file that can't be read, for a row that doesn't
    say its frame, which may be any, and for a class without a name.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    videos: dict[Path, list[str]] = defaultdict(list)
    frames: list[SourceFrame] = []
    for name, path in pictures.paths.items():
        if (video := _video_of(path, pictures.folder)) is not None:
            videos[video].append(name)
        else:
            frames += without_label(config, name, pictures, tally)
    if not videos:
        raise UserError(
            f"no {TRUTH} in a folder of {pictures.folder} that has pictures: MOT has a folder a "
            f"video, with {TRUTH} and {IMAGES}; name that folder, or the one above it, by --images"
        )
    classes: set[str] = set()
    for video, names in videos.items():
        frames += _read_video(config, video, names, pictures, classes, tally)
    return Source(frames, tuple(sorted(classes)))


def _video_of(picture: Path, root: Path) -> Path | None:
    """The nearest folder around a picture, up to `root`, that has its truth."""
    for folder in picture.parents:
        if (folder / TRUTH).is_file():
            return folder
        if folder == root:
            break
    return None


def _read_video(
    config: ImportConfig,
    video: Path,
    names: list[str],
    pictures: Pictures,
    classes: set[str],
    tally: Tally,
) -> list[SourceFrame]:
    rate, size = _info(video / INFO)
    rows = _rows(video / TRUTH, _class_names(config, video), config.class_name)
    classes.update(box.name for one in rows.values() for box in one.boxes)
    within = video.relative_to(pictures.folder).as_posix()
    sequence = pictures.folder.resolve().name if within == "." else within
    numbers = {name: number_in(name) for name in names}
    first = min((number for number in numbers.values() if number is not None), default=1)
    frames = []
    for name in names:
        data = Blob.of(pictures.paths[name])
        if (number := numbers[name]) is None:
            frames.append(
                SourceFrame(name, data, fault=Unusable("no number of a frame in its name"))
            )
            continue
        place = number - min(first, 1)
        moment = Moment(sequence, place, None if rate is None else place / rate)
        said = rows.get(number) or _FrameRows()
        boxes = () if said.fault is not None else tuple(said.boxes)
        frames.append(SourceFrame(name, data, boxes, size=size, fault=said.fault, moment=moment))
    for number in sorted(rows.keys() - set(numbers.values())):
        tally.drop("label: of a frame without a picture", f"{sequence}/{TRUTH}", f"frame {number}")
    return frames


def _class_names(config: ImportConfig, video: Path) -> Names | None:
    """The classes' names by number from 1; None where nothing names them."""
    path = Path(config.names) if config.names is not None else video / LABELS
    if config.names is None and not path.is_file():
        return None
    return {number + 1: name for number, name in read_names(path).items()}


def _rows(path: Path, names: Names | None, unnamed: str) -> dict[int, _FrameRows]:
    """What is said of each frame, by its number."""
    try:
        text = decode_text(read_regular(path, MOST_LIST_BYTES))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: neither UTF-8 nor UTF-16; save it as one of them") from error
    rows: dict[int, _FrameRows] = defaultdict(_FrameRows)
    for place, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in (line.split(",") if "," in line else line.split())]
        if not any(cells):
            continue
        where = f"{path} line {place}"
        frame = rows[_frame_number(cells[0], where)]
        try:
            frame.boxes.append(_box(cells, names, unnamed, where))
        except Unusable as unusable:
            frame.fault = frame.fault or Unusable(unusable.reason, f"{path.name} line {place}")
    return dict(rows)


def _frame_number(cell: str, where: str) -> int:
    number = _number(cell)
    if not (number.is_integer() and number >= 0):
        raise UserError(f"{where}: no number of a frame, so it may be of any; fix the row")
    return int(number)


def _box(cells: list[str], names: Names | None, unnamed: str, where: str) -> NamedBox:
    """Raises Unusable for a row that has no box of one object, UserError for a nameless class."""
    if len(cells) < 6:
        raise Unusable("a row of less than six columns")
    track, *numbers = map(_number, cells[1:])
    if not track.is_integer():
        raise Unusable("a track that is no whole number")
    corners = box_of(numbers[:4], None, lambda: (0, 0))  # which no outline asks for
    conf = numbers[4] if len(numbers) > 4 else 1.0
    number = numbers[5] if len(numbers) > 5 else -1.0
    if conf == 0:
        raise Unusable(IGNORED)
    if not (math.isfinite(conf) and number.is_integer()):
        raise Unusable("a conf or a class that is no number")
    name = _named(int(number), names, unnamed, where)
    return NamedBox(name, corners, int(track) if track >= 0 else None)


def _named(number: int, names: Names | None, unnamed: str, where: str) -> str:
    if number == -1 or (names is None and number == 1):
        return unnamed
    name = (names or {}).get(number)
    if name is None:
        there = ", ".join(f"{n} {name}" for n, name in (names or {}).items()) or "none"
        raise UserError(
            f"{where}: class {number} has no name; there are: {there}; name the classes, one a "
            f"line, in {LABELS}, or their file by --names"
        )
    return name


def _number(cell: str) -> float:
    """NaN for what is none; infinite ones aren't either."""
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _info(path: Path) -> tuple[float | None, Size | None]:
    """Frames a second, and the pictures' (width, height), as far as they are said."""
    if not path.is_file():
        return None, None
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(decode_text(read_regular(path, MOST_NAMES_BYTES)))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not MOT's: {printable(str(error))}; fix it") from error
    said = {key.lower(): value for name in parser for key, value in parser[name].items()}
    rate, width, height = (
        _positive(path, said, key) for key in ("frameRate", "imWidth", "imHeight")
    )
    return rate, None if width is None or height is None else (int(width), int(height))


def _positive(path: Path, said: dict[str, str], key: str) -> float | None:
    if (text := said.get(key.lower(), "").strip()) == "":
        return None
    if not LEAST_SAID <= _number(text) <= MOST_SAID:
        raise UserError(f"{path}: {key} {printable(text)} must be a number greater than 0; fix it")
    return _number(text)


@dataclass
class _Written:
    """A run that is being written: its rows, the times of its frames, and the first picture."""

    size: Size
    suffix: str
    rows: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class MotWriter(Writer):
    """`<run>/img1/000001.png`, `gt/gt.txt`, `gt/labels.txt` and `seqinfo.ini`; a side is a folder.

    A box without a `polyp_id` has the track -1.
    """

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._runs: dict[str, _Written] = {}
        self._unnamed = 0

    def add(self, frame: Converted, side: str) -> None:
        folder = frame.run if side == ALL else f"{side}/{frame.run}"
        run = self._runs.setdefault(folder, _Written(frame.size, frame.suffix))
        run.seconds.append(frame.record.seconds)
        number = len(run.seconds)
        self.write_picture(f"{folder}/{IMAGES}/{number:06d}{frame.suffix}", frame)
        for place, track, (x0, y0, x1, y1) in zip(
            frame.classes, frame.record.polyp_ids, frame.boxes_px.tolist(), strict=True
        ):
            box = ",".join(f"{round(v, 4):.10g}" for v in (x0, y0, x1 - x0, y1 - y0))
            run.rows.append(f"{number},{-1 if track is None else track},{box},1,{place + 1},1\n")
            self._unnamed += track is None

    def finish(self) -> list[str]:
        for folder, run in self._runs.items():
            rate, _ = frame_rate(run.seconds)
            self.write(f"{folder}/{TRUTH}", "".join(run.rows).encode())
            self.write(
                f"{folder}/{LABELS}",
                "".join(f"{printable(n)}\n" for n in self.class_names).encode(),
            )
            self.write(
                f"{folder}/{INFO}", _info_text(PurePosixPath(folder).name, run, rate).encode()
            )
        times = (run.seconds for run in self._runs.values())
        notes = uneven_note(times, "MOT has one rate for all, the mean")
        if self._unnamed:
            notes.append(f"{counted(self._unnamed, 'box')} without polyp_id, of track -1")
        return notes


def _info_text(name: str, run: _Written, rate: float | None) -> str:
    fields = {
        "name": name,
        "imDir": IMAGES,
        "frameRate": None if rate is None else f"{rate:.10g}",  # whole, as many readers want it
        "seqLength": len(run.seconds),
        "imWidth": run.size[0],
        "imHeight": run.size[1],
        "imExt": run.suffix,
    }
    lines = [f"{key}={value}\n" for key, value in fields.items() if value is not None]
    return "".join(["[Sequence]\n", *lines])
