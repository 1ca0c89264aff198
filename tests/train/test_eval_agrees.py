"""`eval` and the validation in training are one thing: the same frames give the same numbers."""

import json

import pytest

from endoforge.core.errors import UserError
from endoforge.evaluate.config import EvalConfig
from endoforge.report.eval_command import run_eval
from endoforge.train.loop import train

OF_TRAINING = {"epoch", "seed", "training", "loss", "lr", "seconds"}
OF_EVAL = {
    *("detector", "checkpoint", "weights_sha256", "input_root", "split_manifest"),
    *("seconds", "pr_curve"),
}


def read(path, without):
    record = json.loads(path.read_text().splitlines()[-1])
    return {name: value for name, value in record.items() if name not in without}


def test_on_the_frames_of_a_split_eval_repeats_the_validation_to_the_digit(small_config, tmp_path):
    manifest = str(tmp_path / "split.json")
    trained, measured = tmp_path / "train.jsonl", tmp_path / "eval.jsonl"
    config = small_config(
        epochs=25, lr_start=4e-3, split_manifest=manifest, metrics_out=str(trained)
    )
    result = train(config)
    evaluation = run_eval(
        EvalConfig(
            checkpoint=str(result.checkpoint),
            input_root=config.input_root,
            split_manifest=manifest,
            metrics_out=str(measured),
            device="cpu",
        )
    )
    assert len(evaluation.frames) == 5
    assert evaluation.metrics.ap50
    assert read(measured, OF_EVAL) == read(trained, OF_TRAINING)
    assert result.metrics is not None
    assert evaluation.metrics.ap50 == result.metrics.ap50
    assert evaluation.lines()[0] == result.metrics.summary()
    assert result.lines()[0] == f"last validation: {evaluation.lines()[0]}"
    assert evaluation.left_out == [f"10 x frame: not of the validation in {manifest}"]
    listed = json.loads((tmp_path / "split.json").read_text())["val"]
    assert [frame.key for frame in evaluation.frames] == listed


def test_a_split_that_is_not_there_is_named(small_config, tmp_path):
    result = train(small_config(epochs=1))
    config = EvalConfig(
        checkpoint=str(result.checkpoint),
        input_root=small_config().input_root,
        split_manifest=str(tmp_path / "nowhere.json"),
    )
    with pytest.raises(UserError, match=r"nowhere\.json"):
        run_eval(config)
