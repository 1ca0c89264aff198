import ast
import inspect
from dataclasses import fields
from itertools import pairwise

import pytest

from endoforge.backends import flags
from endoforge.core.errors import UserError
from endoforge.train import config as config_module
from endoforge.train.config import TrainConfig, TrainHpConfig

PROMISED_DEFAULTS = {
    "batch_size": 2,
    "epochs": 1,
    "log_every": 1,
    "lr_start": 1e-3,
    "lr_end": 1e-4,
    "scheduler": "linear",
    "ckpt_every_steps": 0,
    "ckpt_every_epochs": 1,
    "val_ratio": 0.2,
    "seed": 42,
    "ckpt_dir": "checkpoints",
    "val_obj_thresh": 0.3,
    "val_iou_thresh": 0.5,
    "watch": "ap",
    "patience": 0,
    "patience_min_delta": 0.0,
    "real_val_dir": None,
    "input_root": "assets/datasets/captures_filtered",
    "split_manifest": None,
    "drop_last": False,
    "metrics_out": None,
    "status_file": None,
    "resize_mode": "letterbox",
    "val_target_size": None,
    "val_resize_mode": None,
    "val_max_boxes": None,
    "device": "auto",
    "strict": False,
}

HP_DEFAULTS = {
    "val_ratio": 0.1,
    "batch_size": 64,
    "epochs": 20,
    "scheduler": "cosine",
    "lr_start": 3e-4,
    "lr_end": 1e-5,
    "status_file": "logs/train_hp_status.json",
}


def test_the_defaults_are_those_promised():
    config = TrainConfig()
    assert {name: getattr(config, name) for name in PROMISED_DEFAULTS} == PROMISED_DEFAULTS


def test_train_hp_differs_in_these_defaults_only():
    plain, hp = TrainConfig(), TrainHpConfig()
    differing = {f.name for f in fields(plain) if getattr(plain, f.name) != getattr(hp, f.name)}
    assert {name: getattr(hp, name) for name in differing} == HP_DEFAULTS


@pytest.mark.parametrize("configuration", [TrainConfig, TrainHpConfig])
def test_every_field_is_explained(configuration):
    [body] = [
        node.body
        for node in ast.parse(inspect.getsource(config_module)).body
        if isinstance(node, ast.ClassDef) and node.name == configuration.__name__
    ]
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) not in vars(flags):
            assert isinstance(following, ast.Expr), f"{ast.unparse(node)} has no docstring"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("val_ratio", 1.5, r"--val-ratio 1\.5: must be between 0 and 1 \(exclusive\); try 0\.2"),
        ("val_ratio", 0.0, "--val-ratio 0.0: must be between"),
        ("scheduler", "foo", "--scheduler foo: must be one of linear, cosine"),
        ("epochs", 0, "--epochs 0: must be at least 1; try 20"),
        ("batch_size", -2, "--batch-size -2: must be at least 1"),
        ("seed", -1, "--seed -1: must be between 0 and 1844"),
        ("seed", 2**64, "--seed 18446744073709551616: must be between"),
        ("lr_start", 0.0, "--lr-start 0.0: must be a number greater than 0; try 1e-3"),
        ("lr_end", float("inf"), "--lr-end inf: must be a number greater than 0"),
        ("log_every", -1, "--log-every -1"),
        ("ckpt_every_steps", -1, "--ckpt-every-steps -1"),
        ("ckpt_every_epochs", -1, "--ckpt-every-epochs -1"),
        ("patience", -1, "--patience -1"),
        ("patience_min_delta", -0.1, "--patience-min-delta -0.1"),
        ("val_obj_thresh", 2, "--val-obj-thresh 2"),
        ("val_iou_thresh", 1.2, "--val-iou-thresh 1.2"),
        ("val_iou_sweep", "a", "--val-iou-sweep 'a'"),
        ("val_flip_prob", 1.1, "--val-flip-prob 1.1"),
        ("paint", 1.1, r"--paint 1\.1: must be .*; try 0\.7"),
        ("max_boxes", 0, "--max-boxes 0"),
        ("val_max_boxes", 0, "--val-max-boxes 0"),
        ("target_size", "big", "--target-size: expected WIDTHxHEIGHT"),
        ("val_target_size", "0x8", "--val-target-size: expected WIDTHxHEIGHT"),
        ("resize_mode", "crop", "--resize-mode crop: must be one of letterbox, force"),
        ("val_resize_mode", "crop", "--val-resize-mode crop"),
        ("device", "tpu", "--device tpu"),
        ("watch", "loss", "--watch loss: must be one of ap, ap50, mean-iou"),
    ],
)
def test_a_value_out_of_range_is_named_with_a_mend(field, value, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(**{field: value})


def test_beside_real_validation_the_flags_of_a_split_are_unused():
    """The guide of the older tool prints such commands."""
    both = TrainConfig(split_manifest="split.json", stratify_split=True, real_val_dir="real")
    assert both.unused == ["--stratify-split", "--split-manifest"]
    assert TrainConfig(stratify_split=True, split_manifest="split.json").unused == []
    assert TrainConfig(real_val_dir="real").unused == []


def test_validation_inputs_are_as_training_inputs_unless_told():
    assert TrainConfig(target_size="64x32").val_input_size == (64, 32)
    assert TrainConfig(val_target_size="32x16").val_input_size == (32, 16)
