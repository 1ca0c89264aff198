"""WebDataset: tar files in which a picture and the JSON of its label have one name."""

import io
import json
import math
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from endoforge.captures.label_boxes import (
    normalised_corners,
    note_disagreement,
    note_namelessness,
)
from endoforge.captures.schema import FrameLabel, PolypLabel
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.files import create_file
from endoforge.data.shards import NO_LABEL, SHARD_SUFFIX, ShardLabel, read_shard
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import (
    Blob,
    Moment,
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
    shards = files_below(folder, [SHARD_SUFFIX])
    if not shards:
        raise UserError(f"--images {folder}: no shard in it (*.tar)")
    frames: dict[str, SourceFrame] = {}
    for shard in shards:
        try:
            found = _read_shard(shard, config, tally)
        except (OSError, tarfile.ReadError) as error:
            raise UserError(f"{shard}: not a whole tar file ({error})") from error
        for frame in found:
            if frame.name in frames:
                raise UserError(f"{shard}: {frame.name} is in another shard too; remove one")
            frames[frame.name] = frame
    found_frames = list(frames.values())
    return Source(found_frames, tuple(sorted({b.name for f in found_frames for b in f.boxes})))


def _read_shard(shard: Path, config: ImportConfig, tally: Tally) -> list[SourceFrame]:
    content = read_shard(shard, tally)
    if content.damage:
        raise tarfile.ReadError(content.damage[0])
    frames: list[SourceFrame] = []
    for _, picture, label in content.pairs():
        name, blob = picture.name, Blob(shard, picture.offset, picture.num_bytes)
        if isinstance(label, ShardLabel):
            frames.append(_frame(name, blob, label, tally))
        elif label.reason != NO_LABEL:
            tally.drop(f"picture: {label.reason}", name, label.detail)
        elif config.unlabelled == "background":
            frames.append(SourceFrame(name, blob))
        else:
            tally.drop("picture: no label (--unlabelled background keeps such)", name)
    for key in content.lone_labels():
        tally.drop("label: no picture of its name", f"{shard.name}: {key}.json")
    return frames


def _frame(name: str, blob: Blob, label: ShardLabel, tally: Tally) -> SourceFrame:
    """The picture with its boxes, or with the fault of one; tallies those that disagree."""
    try:
        boxes = _boxes(label, tally, name)
    except Unusable as unusable:
        return SourceFrame(name, blob, fault=unusable)
    size = label.width, label.height
    seconds = label.sim_time if math.isfinite(label.sim_time) else None
    moment = Moment(str(PurePosixPath(name).parent), seconds=seconds)
    return SourceFrame(
        name,
        blob,
        boxes,
        normalised=True,
        size=size,
        moment=moment,
        label=FrameLabel(**dict(label)),
    )


def _boxes(label: ShardLabel, tally: Tally, name: str) -> tuple[NamedBox, ...]:
    size = label.width, label.height
    boxes: list[NamedBox] = []
    note_namelessness(label.polyp_labels, tally, name)
    for number, polyp in enumerate(label.polyp_labels, 1):
        corners = normalised_corners(polyp, size)
        if corners is not None:
            note_disagreement(polyp, number, size, tally, name)
            boxes.append(NamedBox(polyp.class_name, corners, polyp.name, polyp))
    return tuple(boxes)


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
    label = frame.label
    boxes = iter(zip(frame.classes, frame.boxes_px, frame.record.boxes, strict=True))
    polyps: list[PolypLabel] = []
    for polyp in label.polyp_labels:
        if not polyp.has_box:
            polyps.append(polyp)
            continue
        number, pixels, norm = next(boxes)
        filled = {
            "label": class_names[number],
            "bbox_px": tuple(pixels.tolist()),
            "bbox_norm": tuple(norm.tolist()),
        }
        polyps.append(polyp.model_copy(update=filled))
    times = {
        "sim_time": frame.record.seconds,
        "unix_time": label.unix_time if math.isfinite(label.unix_time) else 0.0,
    }
    filled_label = label.model_copy(update={"polyp_labels": polyps, **times})
    fields = filled_label.model_dump(mode="json")
    width, height = frame.size
    return _without_nan({**fields, "width": width, "height": height})


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null stands for it, as readers of labels take it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list) else value
