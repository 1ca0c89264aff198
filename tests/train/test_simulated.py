"""Trainings on frames that are rendered on the way."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from endoforge.backends.group import Group
from endoforge.core.errors import UserError
from endoforge.train import simulated, simulated_validation
from endoforge.train.config import DEBUG_NAME, TrainConfig, TrainHpConfig
from endoforge.train.loop import train
from endoforge.train.simulated import SimulatedSource, engine_on, load_simulated, num_workers
from tests.train.few_runs import FEW_RUNS, few_runs
from tests.train.processes import epochs_in, finished, start, wait_for
from tests.train.test_loop import assert_same_training, at, interrupt

CPU = torch.device("cpu")


def loaded(config: TrainConfig) -> SimulatedSource:
    assert config.steps is not None
    return load_simulated(config, config.steps, CPU, Group())


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """Configurations of a training of two epochs of three steps, in tmp_path/checkpoints."""

    def make(**others: Any) -> TrainConfig:
        fields: dict[str, Any] = {
            "simulate": True,
            "steps": 6,
            "epochs": 2,
            "target_size": "64x64",
            "ckpt_dir": str(tmp_path / "checkpoints"),
            "device": "cpu",
        }
        return TrainConfig(**(fields | others))

    return make


@pytest.fixture(name="few_runs")
def _few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings here, and those of processes that are started, have few runs."""
    few_runs(monkeypatch.setattr)
    monkeypatch.setenv(FEW_RUNS, "1")


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"input_root": "here"}, "--input-root doesn't go with --simulate: leave one out"),
        ({"val_ratio": 0.5}, "--val-ratio doesn't go with --simulate"),
        ({"stratify_split": True}, "--stratify-split doesn't go with --simulate"),
        ({"split_manifest": "a.json"}, "--split-manifest doesn't go with --simulate"),
        ({"drop_last": True}, "--drop-last doesn't go with --simulate"),
        ({"strict": True}, "--strict doesn't go with --simulate, which reads no files"),
        ({"steps": None}, "--simulate: give --steps too, such as --steps 10000"),
        ({"steps": 0}, "--steps 0: must be at least 2"),
        ({"steps": 7}, "--steps 7: must be a multiple of --epochs 2, .* try 8"),
        ({"simulate": False}, "--steps needs --simulate: give that too"),
        (
            {"simulate": False, "steps": None, "randomization": "a.toml"},
            "--randomization needs --simulate",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused(config, others, message):
    with pytest.raises(UserError, match=message):
        config(**others)


def test_the_defaults_of_train_hp_go_with_it():
    assert TrainHpConfig(simulate=True, steps=40).val_ratio == 0.1
    with pytest.raises(UserError, match="multiple of --epochs 20"):
        TrainHpConfig(simulate=True, steps=50)


def test_sizes_that_cannot_be_rendered_are_refused_before_anything_is(config):
    with pytest.raises(UserError, match="--target-size 128x32: with --simulate each side must be"):
        loaded(config(target_size="128x32"))
    with pytest.raises(UserError, match="--val-target-size 64x56"):
        loaded(config(val_target_size="64x56"))


def test_a_device_that_nothing_renders_on_is_refused():
    with pytest.raises(UserError, match="nothing renders on xpu: give --device cpu"):
        engine_on(torch.device("xpu"))
    with pytest.raises(UserError, match="the first GPU that a process sees, not on cuda:1"):
        engine_on(torch.device("cuda", 1))
    assert engine_on(CPU).name == "cpu"


def test_processes_that_train_share_the_cores(monkeypatch):
    for cores, processes, workers in ((64, 1, 16), (16, 1, 16), (16, 4, 4), (2, 1, 2), (2, 4, 1)):
        monkeypatch.setattr(simulated, "cpu_cores", lambda cores=cores: cores)
        assert num_workers(processes) == workers


@pytest.mark.usefixtures("few_runs")
def test_stopped_and_resumed_it_ends_as_if_never_stopped(config, recorder, tmp_path):
    whole = tmp_path / "whole"
    train(config(batch_size=8, ckpt_dir=str(whole)))
    recorder.steps.clear()
    recorder.after_step = at(2, 1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config(batch_size=8))
    train(config(batch_size=8))
    steps = [(report.epoch, report.step) for report in recorder.steps]
    assert steps == [(epoch, step) for epoch in (1, 2) for step in (1, 2, 3)]
    assert_same_training(tmp_path / "checkpoints", whole)


@pytest.mark.usefixtures("few_runs")
def test_it_says_what_it_learns_from_and_goes_on_with_more_steps(config, recorder, caplog):
    with caplog.at_level("INFO"):
        train(config(batch_size=8))
    learned = "48 simulated frames of 6 runs (2 colons, 4 looks of each) on cpu: 3 runs at a time"
    assert f"training on {learned}" in caplog.text
    assert "validating on 8 simulated frames of 2 runs" in caplog.text
    assert "simulated 24 frames" in caplog.text
    assert recorder.plan.steps_per_epoch == 3
    assert recorder.epochs[-1].validation.metrics.images == 8
    train(config(batch_size=8, steps=9, epochs=3))
    steps = [(report.epoch, report.step) for report in recorder.steps[6:]]
    assert steps == [(3, 1), (3, 2), (3, 3)]


@pytest.mark.usefixtures("few_runs")
def test_another_training_in_the_folder_is_refused_with_what_differs(config, tmp_path):
    train(config(steps=1, epochs=1))
    ranges = tmp_path / "ranges.toml"
    ranges.write_text("[polyps]\ncount = [4, 8]\n")
    for others, message in (
        ({"randomization": str(ranges)}, "--randomization was [0-9a-f]{12}, now"),
        ({"steps": 2}, "--steps / --epochs was 1, now 2"),
        ({"seed": 1}, "--seed was 42, now 1"),
    ):
        with pytest.raises(UserError, match=message):
            train(config(**{"steps": 1, "epochs": 1, **others}))


def test_it_can_be_validated_on_recorded_runs(config, small_root, recorder):
    """With 32 runs of 1,024 views at a time, as users have them."""
    train(config(steps=1, epochs=1, real_val_dir=str(small_root), strict=True))
    assert recorder.epochs[-1].validation.metrics.images == 15


@pytest.mark.usefixtures("few_runs")
def test_validation_is_the_same_for_every_seed(config, monkeypatch):
    names: list[str] = []
    identity = simulated_validation._identity

    def spy(*frame):
        names.append(identity(*frame)[0])
        return identity(*frame)

    monkeypatch.setattr(simulated_validation, "_identity", spy)
    one, other = (loaded(config(seed=seed)) for seed in (1, 2))
    assert np.array_equal(one.val.images[:], other.val.images[:])
    assert one.facts == other.facts
    assert len(names) == 2 * len(one.val) == 2 * len(set(names))
    assert not {name.split("/")[0] for name in names} & {
        f"simulated_{footage.seed}" for footage in one.recipe.make(0)
    }


@pytest.mark.slow
@pytest.mark.usefixtures("few_runs", "comparable")
def test_killed_and_resumed_it_ends_as_if_never_stopped(config, tmp_path):
    settings = {"steps": 30, "epochs": 3, "batch_size": 4}
    whole, killed, metrics = tmp_path / "whole", tmp_path / "killed", tmp_path / "metrics.jsonl"
    train(config(**settings, ckpt_dir=str(whole)))
    again = config(**settings, ckpt_dir=str(killed), ckpt_every_steps=7, metrics_out=str(metrics))
    process = start(again, processes=0)
    wait_for(lambda: len(epochs_in(metrics)) >= 1, process)
    process.send_signal(signal.SIGKILL)
    code, _, errors = finished(process)
    assert code == -signal.SIGKILL, errors
    code, _, errors = finished(start(again, processes=0))
    assert code == 0, errors
    for name in ("tinydet.safetensors", "tinydet_best.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("few_runs", "comparable")
def test_two_processes_do_what_one_does_alone(config, tmp_path):
    """Batches of five: two frames for one, three for the other, of colons made by both."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    train(config(batch_size=5, ckpt_dir=str(alone)))
    both = config(batch_size=5, ckpt_dir=str(together), debug_batch=True)
    code, _, errors = finished(start(both, processes=2))
    assert code == 0, errors
    assert (together / DEBUG_NAME).exists()
    ours, theirs = (load_file(folder / "tinydet.safetensors") for folder in (alone, together))
    for name, tensor in ours.items():
        assert torch.allclose(tensor.float(), theirs[name].float(), rtol=1e-3, atol=5e-4), name
