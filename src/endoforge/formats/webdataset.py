"""WebDataset: tar files in which a picture and the JSON of its label have one name."""

import io
import json
import math
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pydantic import PositiveInt, ValidationError

from endoforge.captures.boxes import normalised_corners, note_disagreement
from endoforge.captures.schema import FrameLabel, PolypLabel
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.files import create_file
from endoforge.core.text import as_utf8
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import (
    PICTURE_SUFFIXES,
    Blob,
    NamedBox,
    Source,
    SourceFrame,
    files_below,
    folder_of,
)
from endoforge.formats.writing import Converted, Writer

SHARD_FRAMES = 1000
"""Frames in one tar file."""


def read_webdataset(config: ImportConfig, tally: Tally) -> Source:
    """Every picture of the shards whose label is one of a capture run, as `convert` writes them.

    Raises UserError for a folder without shards, and for a tar file that can't be read.
    """
    assert config.images is not None
    folder = folder_of("--images", config.images)
    shards = files_below(folder, [".tar"])
    if not shards:
        raise UserError(f"--images {folder}: no shard in it (*.tar)")
    frames: dict[str, SourceFrame] = {}
    for shard in shards:
        try:
            found = _read_shard(shard, config, tally)
        except (OSError, tarfile.TarError) as error:
            raise UserError(f"{shard}: not a whole tar file ({error})") from error
        for frame in found:
            if frame.name in frames:
                raise UserError(f"{shard}: {frame.name} is in another shard too; remove one")
            frames[frame.name] = frame
    found_frames = list(frames.values())
    return Source(found_frames, tuple(sorted({b.name for f in found_frames for b in f.boxes})))


def _read_shard(shard: Path, config: ImportConfig, tally: Tally) -> list[SourceFrame]:
    pictures: dict[str, tuple[str, Blob]] = {}
    labels: dict[str, bytes] = {}
    with tarfile.open(shard, "r:") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            key = str(path.with_name(path.name.partition(".")[0]))
            if not member.isfile():
                continue
            if path.suffix.lower() in PICTURE_SUFFIXES:
                pictures[key] = member.name, Blob(shard, member.offset_data, member.size)
            elif path.name.partition(".")[2] == "json":
                file = archive.extractfile(member)
                labels[key] = file.read() if file else b""
            else:
                tally.drop("label: neither a picture nor .json", f"{shard.name}: {member.name}")
    frames: list[SourceFrame] = []
    for key, (name, blob) in pictures.items():
        if key not in labels:
            if config.unlabelled == "background":
                frames.append(SourceFrame(name, blob))
            else:
                tally.drop("picture: no label (--unlabelled background keeps such)", name)
            continue
        try:
            size, boxes = _read_label(labels[key], tally, name)
        except ValidationError as error:
            fault = error.errors()[0]["msg"]
            tally.drop("picture: label isn't of a capture run", name, fault)
            continue
        except Unusable as unusable:
            frames.append(SourceFrame(name, blob, fault=unusable))
            continue
        frames.append(SourceFrame(name, blob, boxes, normalised=True, size=size))
    for key in sorted(labels.keys() - pictures.keys()):
        tally.drop("label: no picture of its name", f"{shard.name}: {key}.json")
    return frames


class _Label(FrameLabel):
    width: PositiveInt
    height: PositiveInt


def _read_label(
    data: bytes, tally: Tally, name: str
) -> tuple[tuple[int, int], tuple[NamedBox, ...]]:
    """Of the picture `name`; raises ValidationError for another JSON, Unusable for a box that is
    none. Tallies boxes whose two fields disagree."""
    label = _Label.model_validate_json(as_utf8(data))
    size = label.width, label.height
    boxes: list[NamedBox] = []
    for number, polyp in enumerate(label.polyp_labels, 1):
        corners = normalised_corners(polyp, size)
        if corners is not None:
            note_disagreement(polyp, number, size, tally, name)
            boxes.append(NamedBox(polyp.class_name, corners))
    return size, tuple(boxes)


class WebDatasetWriter(Writer):
    """`<side>-000000.tar` and on, of 1,000 frames each: `<run>/<frame>.png` and `.json`.

    The JSON is the label of the capture run with the picture's `width` and `height`, in which every
    polyp that has a box has its class, and its box in pixels and in 0..1.
    """

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._counts = dict.fromkeys(sides, 0)
        self._files: dict[str, BinaryIO] = {}
        self._archives: dict[str, tarfile.TarFile] = {}
        self._shards: dict[str, str] = {}

    def add(self, frame: Converted, side: str) -> None:
        number, rest = divmod(self._counts[side], SHARD_FRAMES)
        if not rest:
            self._close(side)
            self._shards[side] = f"{side}-{number:06d}.tar"
            with self.writing(self._shards[side]) as path:
                self._files[side] = file = create_file(path)
                self._archives[side] = tarfile.TarFile(
                    fileobj=file, mode="w", format=tarfile.PAX_FORMAT
                )
        self._counts[side] += 1
        label = json.dumps(_filled(frame, self.class_names), allow_nan=False)
        with self.writing(self._shards[side]):
            self._put(side, f"{frame.name}{frame.suffix}", frame.data)
            self._put(side, f"{frame.name}.json", label.encode())

    def finish(self) -> list[str]:
        for side in list(self._archives):
            self._close(side)
        return []

    def _put(self, side: str, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._archives[side].addfile(member, io.BytesIO(data))

    def _close(self, side: str) -> None:
        if side in self._archives:
            with self.writing(self._shards[side]), self._files.pop(side):
                self._archives.pop(side).close()


def _filled(frame: Converted, class_names: tuple[str, ...]) -> Any:
    """The label as it was, with what every box may lack."""
    label = FrameLabel.model_validate_json(as_utf8(frame.record.label_path.read_bytes()))
    boxes = iter(zip(frame.classes, frame.boxes_px, frame.record.boxes, strict=True))
    polyps: list[PolypLabel] = []
    for polyp in label.polyp_labels:
        if polyp.bbox_px is None and polyp.bbox_norm is None:
            polyps.append(polyp)
            continue
        number, pixels, norm = next(boxes)
        filled = {
            "label": class_names[number],
            "bbox_px": tuple(pixels.tolist()),
            "bbox_norm": tuple(norm.tolist()),
        }
        polyps.append(polyp.model_copy(update=filled))
    fields = label.model_copy(update={"polyp_labels": polyps}).model_dump(mode="json")
    width, height = frame.size
    return _without_nan({**fields, "width": width, "height": height})


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null stands for it, as readers of labels take it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list) else value
