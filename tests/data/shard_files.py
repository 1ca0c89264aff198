"""Shards made by hand: tiny pictures of one grey each, by which a frame is known in a batch."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 16, 8


def label(boxes: Iterable[Any] = (), **others: Any) -> dict[str, Any]:
    """Of a picture of 16 by 8 pixels; a box is in 0..1."""
    return {
        "frame_id": 0,
        "sim_time": 0.0,
        "unix_time": 0.0,
        "image": "images/frame_00000.png",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 0,
        "polyp_labels": [{"center_world": [0, 0, 0], "bbox_norm": box} for box in boxes],
        "width": WIDTH,
        "height": HEIGHT,
        **others,
    }


def picture(grey: int) -> bytes:
    """A PNG file whose pixels are all of this grey."""
    return cv2.imencode(".png", np.full((HEIGHT, WIDTH, 3), grey, np.uint8))[1].tobytes()


def pair(name: str, grey: int, boxes: Iterable[Any] = (), **others: Any) -> dict[str, bytes]:
    """The two members of a frame."""
    text = json.dumps(label(boxes, **others)).encode()
    return {f"{name}.png": picture(grey), f"{name}.json": text}


def write_shard(path: Path, members: dict[str, bytes]) -> Path:
    """A tar file of these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def frames_of(run: str, greys: Iterable[int]) -> dict[str, bytes]:
    """The members of a run's frames, each with a box as wide as its grey says: grey / 256."""
    members: dict[str, bytes] = {}
    for number, grey in enumerate(greys):
        members |= pair(f"{run}/frame_{number:05d}", grey, [[0, 0, max(grey, 1) / 256, 0.5]])
    return members
