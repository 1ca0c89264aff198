"""A run as another tool writes it: by hand from the format, with nothing of ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 40, 20

Polyps = list[dict[str, Any]]


class ForeignRun:
    """Writes frames of 40x20 pixels with only the fields that the format demands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "images").mkdir(parents=True)
        (path / "labels").mkdir()
        manifest = {
            "schema_version": 1,
            "seed": 2**64 - 1,
            "output_root": "assets/datasets/captures",
            "run_dir": f"assets/datasets/captures/{path.name}",
            "started_at_unix": 1764161446.512,
            "max_frames": None,
            "written_by": "another tool",
        }
        (path / "run_manifest.json").write_text(json.dumps(manifest))

    def image(self, number: int, suffix: str = "png", mode: str = "RGB") -> str:
        name = f"images/frame_{number:05d}.{suffix}"
        pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(self.path / name)
        return name

    def label(self, number: int, image: str, polyps: Polyps, **others: Any) -> Path:
        label = {
            "frame_id": number,
            "sim_time": number / 30,
            "unix_time": 1764161446.6,
            "image": image,
            "image_present": True,
            "camera_active": True,
            "polyp_seed": 7,
            "polyp_labels": polyps,
        }
        path = self.path / "labels" / f"frame_{number:05d}.json"
        path.write_text(json.dumps(label | others))
        return path

    def frame(self, number: int, polyps: Polyps, **others: Any) -> Path:
        return self.label(number, self.image(number), polyps, **others)


def polyp(px: Any = None, norm: Any = None) -> dict[str, Any]:
    return {"center_world": [1.0, 2.0, 3.0], "bbox_px": px, "bbox_norm": norm}


@pytest.fixture
def foreign_run(tmp_path: Path) -> Callable[[str], ForeignRun]:
    """Makes a run of a given name under tmp_path/captures."""
    return lambda name: ForeignRun(tmp_path / "captures" / name)


@pytest.fixture
def make_polyp() -> Callable[..., dict[str, Any]]:
    """A polyp's label as JSON, with `px` and `norm` boxes or null."""
    return polyp
