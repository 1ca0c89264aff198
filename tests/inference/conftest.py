"""What `detect` is shown in these tests."""

import json

import cv2
import numpy as np
import pytest

from endoforge.inference.config import DetectConfig
from endoforge.inference.detecting_files import run_detect

SIZE = (120, 80)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, noise(seed))[1].tobytes())
    return path


def save_video(path, num_frames=6, size=SIZE):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for number in range(num_frames):
        writer.write(cv2.resize(noise(number), size))
    writer.release()
    return path


def drawn_in(out):
    """What is drawn, by its name below `drawn`."""
    files = (out / "drawn").rglob("[!.]*.*")
    return sorted(path.relative_to(out / "drawn").as_posix() for path in files)


def lines_of(out):
    return [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]


@pytest.fixture
def pictures(tmp_path):
    """Three pictures in two folders, and a file that isn't one."""
    folder = tmp_path / "pictures"
    for number, name in enumerate(("a.png", "b/1.png", "b/2.jpg")):
        save(folder / name, number)
    (folder / "b/3.png").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def video(tmp_path):
    return save_video(tmp_path / "clip.avi")


@pytest.fixture
def detect(tmp_path, lively):
    def run(*paths, **settings):
        given = {"checkpoint": str(lively), "output": str(tmp_path / "out"), "device": "cpu"}
        config = DetectConfig(paths=tuple(map(str, paths)), **{**given, **settings})
        return run_detect(config), tmp_path / "out"

    return run
