"""What `card` reads beside weights may be anything: it ends with 0 or 2, and breaks no table."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoforge.detect.packaged import weights_digest
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights

from .harness import call, fuzzed, scratch
from .strategies import changed, damaged

MODEL = TinyDetConfig(widths=(1, 1, 1, 1), head_width=1)
VALIDATION = {
    "obj_thresh": 0.3,
    "val_metrics": [{"iou": 0.5, "tp": 3, "fp": 1, "fn": 2}],
    "ap": 0.25,
    "ap50": 0.5,
    "ap75": None,
    "images": 8,
}
TRAINING = {
    "version": "0.1.0",
    "config": {
        "input_root": "captures",
        "simulate": False,
        "randomization": "real",
        "epochs": 20,
        "steps": None,
        "lr_start": 0.004,
        "lr_end": 1e-5,
        "scheduler": "cosine",
        "demo_checkpoint": "packaged",
        "patience": 0,
    },
    "model": MODEL.to_json(),
    "facts": {"--seed": "42", "the training frames": "16 (58786266708a)"},
    "state": {"epoch": 20, "step": 3, "best_epoch": 7, "best_validation": VALIDATION},
}
REAL = {
    "benchmark": "real",
    "of": "centre 1",
    "frames": 10,
    "boxes": 12,
    "ap50": 0.8,
    "ap": 0.5,
    "ap75": 0.2,
    "recall_at_1_fp_a_frame": 0.75,
    "found_by_share": {"0.01": [4, 0.25]},
}
EVAL = {"input_root": "real", "split_manifest": None, **VALIDATION}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tinydet_best.safetensors"
    metadata = WeightsMetadata(model=MODEL, input_size=(64, 32), resize_mode="letterbox")
    save_weights(path, build_tinydet(MODEL, seed=0).state_dict(), metadata)
    return path


def is_whole(said: str) -> bool:
    """Whether each table of a card has rows of as many cells as its head."""
    for table in said.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        if len({row.replace("\\|", "").count("|") for row in rows}) > 1:
            return False
    return True


@fuzzed
@given(changed(TRAINING))
def test_trainings(weights: Path, training: Any) -> None:
    with scratch() as folder:
        shutil.copy(weights, folder)
        (folder / "train.json").write_text(json.dumps(training))
        code, said = call(["card", f"{folder}/{weights.name}"], folder)
        assert code == 0
        assert is_whole(said)


@fuzzed
@given(st.sampled_from([EVAL, REAL]).flatmap(changed), st.data())
def test_reports(weights: Path, line: Any, data: st.DataObject) -> None:
    if isinstance(line, dict):
        line = {"weights_sha256": weights_digest(weights)} | line
    text = json.dumps(line).encode()
    with scratch() as folder:
        report = folder / "metrics.jsonl"
        report.write_bytes(data.draw(damaged(text)) if data.draw(st.booleans()) else text)
        _, said = call(["card", str(weights), "--report", str(report)], folder)
        assert is_whole(said)
