"""Weights as a training leaves them, and measurements of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endoforge.detect.packaged import weights_digest
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights

MODEL = TinyDetConfig(classes=("flat", "stalked"))
COUNTS = {"iou": 0.5, "mean_iou": 0.4, "precision": 0.75, "recall": 0.6, "map": 0.5, "batches": 1}


def metrics_record() -> dict[str, Any]:
    """Of 5 boxes in 8 frames 3 are found, and one is a false alarm."""
    return {
        "obj_thresh": 0.3,
        "val_metrics": [{**COUNTS, "tp": 3, "fp": 1, "fn": 2}],
        "ap": 0.25,
        "ap50": 0.5,
        "ap75": None,
        "images": 8,
    }


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Untrained weights for inputs of 64 by 32, under the name of a training's best."""
    path = tmp_path / "tinydet_best.safetensors"
    metadata = WeightsMetadata(model=MODEL, input_size=(64, 32), resize_mode="letterbox")
    save_weights(path, build_tinydet(MODEL, seed=0).state_dict(), metadata)
    return path


@pytest.fixture
def training() -> dict[str, Any]:
    """What `train` writes beside them, as far as a card reads it."""
    return {
        "version": "0.0.9",
        "config": {
            "input_root": "/home/somebody/patients/captures",
            "simulate": False,
            "randomization": None,
            "epochs": 20,
            "steps": None,
            "lr_start": 0.004,
            "lr_end": 1e-5,
            "scheduler": "cosine",
            "demo_checkpoint": "/home/somebody/start.safetensors",
            "patience": 0,
        },
        "model": MODEL.to_json(),
        "facts": {
            "the model": "as above",
            "the weights of --demo-checkpoint": "0123456789ab",
            "--seed": "42",
            "the training frames": "16 (58786266708a)",
        },
        "state": {
            "epoch": 20,
            "step": 0,
            "best_epoch": 7,
            "best_validation": metrics_record(),
        },
    }


@pytest.fixture
def eval_line(weights: Path) -> dict[str, Any]:
    """A line of `eval --metrics-out` about the weights."""
    return {
        "detector": "neural",
        "checkpoint": "elsewhere/tinydet.safetensors",
        "weights_sha256": weights_digest(weights),
        "input_root": "/home/somebody/assets/real",
        "split_manifest": None,
        **metrics_record(),
    }


@pytest.fixture
def report_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines to a file."""

    def write(*lines: Any) -> Path:
        path = tmp_path / "metrics.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(texts) + "\n")
        return path

    return write
