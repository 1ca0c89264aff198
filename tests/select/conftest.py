"""Runs to choose from: of noise, in which the lively detector finds a lot."""

import json

import cv2
import numpy as np
import pytest

from endoforge.captures.frame_times import FrameTime, append_frame_time
from endoforge.captures.schema import image_name, label_name
from endoforge.select.config import SelectConfig
from endoforge.select.select_command import run_select

SIZE = (96, 64)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def save_frame(run, number, seed, *, labelled=False, suffix=".png", sim_time=None):
    """A picture of noise, and perhaps its label: nothing to be seen."""
    image = run / image_name(number, suffix)
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(cv2.imencode(suffix, noise(seed)[..., ::-1])[1].tobytes())
    if labelled:
        label = {
            "frame_id": number,
            "sim_time": number / 10 if sim_time is None else sim_time,
            "unix_time": 0.0,
            "image": image_name(number, suffix),
            "image_present": True,
            "camera_active": True,
            "polyp_seed": 0,
            "polyp_labels": [],
        }
        (run / "labels").mkdir(exist_ok=True)
        (run / label_name(number)).write_text(json.dumps(label))
    return image


def save_run(run, count, *, labelled=(), first_seed=0, **origin):
    """A run of `count` pictures; `origin` is what its manifest says of an import."""
    for number in range(count):
        save_frame(run, number, first_seed + number, labelled=number in labelled)
    manifest = {
        "schema_version": 1,
        "seed": 0,
        "output_root": str(run.parent),
        "run_dir": str(run),
        "started_at_unix": 0.0,
        "max_frames": None,
        "endoforge": {"import": origin} if origin else {},
    }
    (run / "run_manifest.json").write_text(json.dumps(manifest))
    return run


def save_video_run(run, count, *, fps=10, **others):
    """A run of `count` frames of a video, which says when each was taken."""
    save_run(run, count, format="video", **others)
    for number in range(count):
        append_frame_time(run, number, FrameTime(number / fps, number))
    return run


@pytest.fixture
def select(tmp_path, lively):
    def run(*paths, **settings):
        given = {"checkpoint": str(lively), "output": str(tmp_path / "s.json"), "device": "cpu"}
        return run_select(SelectConfig(paths=tuple(map(str, paths)), **{**given, **settings}))

    return run
