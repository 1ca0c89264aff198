import subprocess
import sys

import pytest

from endoforge.core.checks import check_size
from endoforge.core.errors import UserError
from endoforge.evaluate.config import EvalConfig


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("val_obj_thresh", 1.5, "--val-obj-thresh 1.5: must be between 0 and 1; try 0.3"),
        ("val_obj_thresh", float("nan"), "--val-obj-thresh nan: must be between 0 and 1; try 0.3"),
        ("val_iou_thresh", 0, r"--val-iou-thresh 0: must be between 0 and 1 \(exclusive\)"),
        ("val_iou_sweep", "0.5,x", "--val-iou-sweep '0.5,x': must be numbers above 0"),
        ("val_iou_sweep", "0.5,2", "--val-iou-sweep '0.5,2': must be numbers above 0"),
        ("batch_size", 0, "--batch-size 0: must be at least 1; try 16"),
        ("detector", "magic", "--detector magic: must be one of neural, heuristic"),
        ("device", "tpu", "--device tpu: must be one of auto, cpu, cuda, mps, xpu"),
    ],
)
def test_a_value_out_of_range_is_named_with_a_mend(field, value, message):
    with pytest.raises(UserError, match=message):
        EvalConfig(**{field: value})


def test_the_heuristic_detector_takes_no_checkpoint_and_no_accelerator():
    with pytest.raises(UserError, match=r"--checkpoint a\.st: --detector heuristic has no weights"):
        EvalConfig(detector="heuristic", checkpoint="a.st")
    with pytest.raises(UserError, match="--device cuda: --detector heuristic computes on the CPU"):
        EvalConfig(detector="heuristic", device="cuda")
    assert EvalConfig(detector="heuristic", device="cpu").weights is None
    assert EvalConfig().weights == "checkpoints/tinydet.safetensors"
    assert EvalConfig(checkpoint="a.st").weights == "a.st"


def test_the_thresholds_are_the_first_then_the_sweep_without_duplicates():
    config = EvalConfig(val_iou_thresh=0.6, val_iou_sweep="0.75, 0.5,0.6,0.75")
    assert config.iou_thresholds == [0.6, 0.5, 0.75]
    assert EvalConfig().iou_thresholds == [0.5, 0.75]
    assert EvalConfig(val_iou_sweep="").iou_thresholds == [0.5]


def test_sizes_must_fit_the_detector():
    assert check_size("--target-size", "320x192", 8) == (320, 192)
    with pytest.raises(UserError, match="--target-size 324x190: must be multiples of 8; try 3"):
        check_size("--target-size", "324x190", 8)
    with pytest.raises(UserError, match="--target-size 32x32: must be at least 64 pixels"):
        check_size("--target-size", "32x32", 8)


@pytest.mark.parametrize("module", ["endoforge.evaluate.config", "endoforge.train.config"])
def test_configurations_import_nothing_heavy(module):
    heavy = ["torch", "numpy", "cv2", "pydantic", "quadrants", "faster_coco_eval", "rich"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
