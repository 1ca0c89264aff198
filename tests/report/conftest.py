from pathlib import Path

import numpy as np
import pytest

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run of five frames of 64 by 32, every other one with a box."""
    recorder = RunRecorder.create(tmp_path / "captures", seed=0, max_frames=None, extra={})
    rng = np.random.default_rng(0)
    for number in range(5):
        polyp = PolypLabel(center_world=(0, 0, 0), bbox_norm=(0.25, 0.25, 0.5, 0.75))
        label = FrameLabel(
            frame_id=number,
            sim_time=0,
            unix_time=0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[polyp] if number % 2 else [],
        )
        recorder.write(rng.integers(0, 255, (32, 64, 3), np.uint8), label)
    recorder.finish()
    return tmp_path / "captures"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Untrained weights for inputs of 64 by 64."""
    path = tmp_path / "tinydet.safetensors"
    model = TinyDetConfig()
    metadata = WeightsMetadata(model=model, input_size=(64, 64), resize_mode="letterbox")
    save_weights(path, build_tinydet(model, seed=0).state_dict(), metadata)
    return path
