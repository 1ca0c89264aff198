"""The loop from end to end, on small runs: resuming, stopping, and that it learns."""

import json
import math
import signal
from pathlib import Path

import pytest
import torch

from endoforge.core.errors import UserError
from endoforge.evaluate.config import EvalConfig
from endoforge.report.eval_command import run_eval
from endoforge.train import loop
from endoforge.train.loop import train
from endoforge.train.schedule import learning_rate
from endoforge.train.watch import score_of

FILES = ["tinydet.safetensors", "tinydet_best.safetensors"]


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def assert_same_training(one: Path, other: Path):
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    states = [torch.load(folder / "tinydet_state.pt", weights_only=True) for folder in (one, other)]
    for state in states:
        del state["state"]["training_id"], state["config"]
    assert same(*states)


@pytest.fixture
def uninterrupted(small_config, tmp_path):
    """The folder of a training of two epochs that nothing disturbed."""
    train(small_config(ckpt_dir=str(tmp_path / "whole")))
    return tmp_path / "whole"


def interrupt(*_):
    signal.raise_signal(signal.SIGINT)


def crash(*_):
    raise RuntimeError("the power went")


def at(epoch, step, action):
    """Does `action` after this step, counted from 1."""
    return lambda report: action() if (report.epoch, report.step) == (epoch, step) else None


def test_a_training_leaves_what_it_promises(small_config, recorder, tmp_path):
    result = train(small_config(batch_size=3, lr_start=1e-3, lr_end=1e-5, scheduler="cosine"))
    folder = tmp_path / "checkpoints"
    assert result.checkpoint == folder / "tinydet.safetensors"
    assert result.best_checkpoint == folder / "tinydet_best.safetensors"
    assert sorted(path.name for path in folder.iterdir()) == [
        "tinydet.safetensors",
        "tinydet_best.safetensors",
        "tinydet_state.pt",
        "tinydet_state_previous.pt",
        "train.json",
    ]
    readable = json.loads((folder / "train.json").read_text())
    assert readable["config"]["scheduler"] == "cosine"
    assert tuple(readable["state"]["best_score"]) == result.best_score
    assert result.epochs == readable["state"]["epoch"] == 2

    assert recorder.plan.steps_per_epoch == math.ceil(10 / 3)
    assert [(r.epoch, r.step) for r in recorder.steps] == [
        (e, s) for e in (1, 2) for s in range(1, 5)
    ]
    expected = [learning_rate(s, 8, scheduler="cosine", start=1e-3, end=1e-5) for s in range(8)]
    assert [report.lr for report in recorder.steps] == expected
    assert recorder.epochs[0].loss == pytest.approx(
        sum(float(report.result.loss) for report in recorder.steps[:4]) / 4
    )
    assert result.metrics == recorder.epochs[-1].validation.metrics
    assert recorder.outcome == ("done", None)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    small_config, uninterrupted, tmp_path
):
    train(small_config(ckpt_dir=str(tmp_path / "again")))
    assert_same_training(tmp_path / "again", uninterrupted)
    train(small_config(ckpt_dir=str(tmp_path / "other"), seed=7))
    assert (tmp_path / "other" / FILES[0]).read_bytes() != (uninterrupted / FILES[0]).read_bytes()


@pytest.mark.parametrize("place", [(1, 1), (1, 3), (1, 5), (2, 1), (2, 5)])
def test_stopped_and_resumed_it_ends_as_if_never_stopped(
    place: tuple[int, int], small_config, uninterrupted, recorder, tmp_path, caplog
):
    recorder.after_step = at(*place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(small_config())
    assert recorder.outcome == ("stopped", None)
    assert "stopped in epoch" in caplog.text
    train(small_config())
    steps = [(report.epoch, report.step) for report in recorder.steps]
    assert steps == [(epoch, step) for epoch in (1, 2) for step in range(1, 6)]
    assert_same_training(tmp_path / "checkpoints", uninterrupted)


def test_stopped_after_its_first_epoch_and_resumed_it_ends_as_if_never_stopped(
    small_config, uninterrupted, recorder, tmp_path
):
    recorder.after_epoch = lambda report: interrupt() if report.epoch == 1 else None
    with pytest.raises(KeyboardInterrupt):
        train(small_config())
    train(small_config())
    assert_same_training(tmp_path / "checkpoints", uninterrupted)


def test_painted_it_goes_on_as_if_never_stopped(small_config, uninterrupted, recorder, tmp_path):
    whole = tmp_path / "painted"
    train(small_config(paint=0.7, ckpt_dir=str(whole)))
    assert (whole / FILES[0]).read_bytes() != (uninterrupted / FILES[0]).read_bytes()
    recorder.after_step = at(2, 2, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(small_config(paint=0.7))
    train(small_config(paint=0.7))
    assert_same_training(tmp_path / "checkpoints", whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_wait_for_the_end_of_a_step(number, small_config, recorder):
    recorder.after_step = at(1, 2, lambda: signal.raise_signal(number))
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(small_config())
    assert len(recorder.steps) == 2
    assert signal.getsignal(number) == before


def test_a_hangup_that_is_ignored_stays_so(small_config, recorder):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        recorder.after_step = at(1, 2, lambda: signal.raise_signal(signal.SIGHUP))
        train(small_config(epochs=1))
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(recorder.steps) == 5


def test_a_crash_between_checkpoints_costs_only_the_steps_since(
    small_config, uninterrupted, recorder, tmp_path
):
    config = small_config(ckpt_every_steps=3)
    recorder.after_step = at(1, 5, crash)
    with pytest.raises(RuntimeError):
        train(config)
    assert recorder.outcome == ("failed", "RuntimeError: the power went")
    recorder.after_step = lambda _: None
    recorder.steps.clear()
    train(config)
    assert (recorder.steps[0].epoch, recorder.steps[0].step) == (1, 4)
    assert (recorder.plan.epochs_done, recorder.plan.steps_done) == (0, 3)
    assert_same_training(tmp_path / "checkpoints", uninterrupted)


def test_a_finished_training_says_so_and_goes_on_with_more_epochs(small_config, recorder, caplog):
    train(small_config(epochs=1))
    recorder.steps.clear()
    with caplog.at_level("INFO"):
        result = train(small_config(epochs=1))
    assert recorder.steps == []
    assert (result.epochs, result.metrics) == (1, None)
    assert "is finished after 1 epoch: give more --epochs to go on" in caplog.text
    train(small_config(epochs=2))
    assert [report.epoch for report in recorder.steps] == [2] * 5


def test_early_stop_after_patience_epochs_without_gain(small_config, recorder, monkeypatch, caplog):
    monkeypatch.setattr(loop, "score_of", lambda *_: (0.3, 0.1))
    config = small_config(epochs=9, patience=2)
    with caplog.at_level("INFO"):
        result = train(config)
    assert [report.epoch for report in recorder.epochs] == [1, 2, 3]
    assert [report.is_best for report in recorder.epochs] == [True, False, False]
    assert result.epochs == 3
    assert "stopped early: AP gained nothing in 2 epochs" in caplog.text
    with caplog.at_level("INFO"):
        train(config)
    assert "give a larger --patience to go on" in caplog.text
    assert len(recorder.epochs) == 3


def test_patience_waits_for_the_first_find(small_config, recorder):
    # Untrained, nothing reaches a score of 0.99: the validation IoU stays 0.
    train(small_config(epochs=4, patience=1, val_obj_thresh=0.99, watch="mean-iou"))
    assert [report.is_best for report in recorder.epochs] == [True, False, False, False]


@pytest.mark.parametrize("watch", ["ap", "ap50", "mean-iou"])
def test_the_best_is_the_one_that_is_best_by_what_is_watched(watch, small_config, recorder):
    result = train(small_config(epochs=3, val_obj_thresh=0.01, lr_start=5e-3, watch=watch))
    scored = (score_of(report.validation.metrics, watch) for report in recorder.epochs)
    scores = [score for score in scored if score is not None]
    assert len(scores) == 3
    best = scores.index(max(scores))
    assert (result.best_epoch, result.best_score) == (best, scores[best])
    name = {"ap": "AP", "ap50": "AP50", "mean-iou": "mean IoU"}[watch]
    assert result.lines()[-1].endswith(f"(epoch {best + 1}, {name} {scores[best][0]:.3f})")


def test_without_a_box_to_find_the_last_weights_are_the_best(
    small_config, make_root, recorder, tmp_path, caplog
):
    real = make_root(1, 4, name="real", seed=5)
    for label in real.rglob("frame_*.json"):
        label.write_text(json.dumps(json.loads(label.read_text()) | {"polyp_labels": []}))
    result = train(small_config(real_val_dir=str(real), patience=1))
    assert [report.is_best for report in recorder.epochs] == [True, True]
    assert (result.best_epoch, result.best_score) == (1, None)
    one, other = ((tmp_path / "checkpoints" / name).read_bytes() for name in FILES)
    assert one == other
    assert "no box in the 4 validation frames (--label label)" in caplog.text
    assert "no box in the 15 training frames" not in caplog.text


def test_data_without_any_box_is_told(small_config, make_root, caplog):
    """With --label paris, frames that show a polyp without that field are left out."""
    config = small_config(input_root=str(make_root(2, 10)), label="paris", epochs=1)
    train(config)
    assert "no box in the 2 training frames (--label paris)" in caplog.text
    assert "no box in the 2 validation frames (--label paris)" in caplog.text


def test_a_best_file_that_is_gone_is_missed_and_made_anew(small_config, tmp_path, caplog):
    train(small_config(epochs=1))
    best = tmp_path / "checkpoints" / FILES[1]
    best.unlink()
    result = train(small_config(epochs=1, patience=3))
    assert "tinydet_best.safetensors is gone" in caplog.text
    assert result.best_epoch is None
    assert not result.best_is_used
    assert FILES[1] not in "".join(result.lines())
    result = train(small_config(epochs=2, patience=3))
    assert result.best_epoch == 1
    assert best.read_bytes() == (tmp_path / "checkpoints" / FILES[0]).read_bytes()


def test_the_best_weights_are_kept(small_config, recorder, monkeypatch, tmp_path):
    from endoforge.train.state import TrainState

    monkeypatch.setattr(TrainState, "note_validation", lambda self, *_: self.epoch == 0)
    kept = {}
    recorder.after_epoch = lambda report: kept.update(
        {report.epoch: (tmp_path / "checkpoints" / FILES[1]).read_bytes()}
    )
    train(small_config())
    folder = tmp_path / "checkpoints"
    assert (
        kept[1] == kept[2] == (folder / FILES[1]).read_bytes() != (folder / FILES[0]).read_bytes()
    )


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"seed": 1}, "--seed was 42, now 1"),
        ({"batch_size": 5}, "--batch-size was 2, now 5"),
        ({"target_size": "64x64"}, "--target-size was 64x32, now 64x64"),
        ({"val_ratio": 0.6}, "--val-ratio was 0.33, now 0.6"),
        ({"watch": "mean-iou"}, "--watch was ap, now mean-iou"),
    ],
)
def test_another_training_in_the_folder_is_refused_with_what_differs(others, message, small_config):
    train(small_config(epochs=1))
    with pytest.raises(UserError, match=message) as caught:
        train(small_config(**others))
    assert "to train beside it, --ckpt-dir OTHER" in str(caught.value)


def test_sizes_that_do_not_fit_the_detector_are_refused_before_loading(small_config):
    config = small_config(target_size="100x32", input_root="nowhere")
    with pytest.raises(UserError, match="--target-size 100x32: must be multiples of 8"):
        train(config)


def test_a_training_that_diverges_stops_and_keeps_the_state_of_before(small_config, tmp_path):
    train(small_config(epochs=1))
    before = (tmp_path / "checkpoints" / "tinydet_state.pt").read_bytes()
    with pytest.raises(UserError, match=r"diverged in epoch 2.*a lower --lr-start"):
        train(small_config(epochs=3, lr_start=1e30, lr_end=1e30))
    assert (tmp_path / "checkpoints" / "tinydet_state.pt").read_bytes() == before
    assert train(small_config(epochs=2)).epochs == 2


def test_weights_that_are_no_numbers_are_not_saved(small_config, recorder, tmp_path):
    """The loss of the step that spoils them is still a number."""
    state = tmp_path / "checkpoints" / "tinydet_state.pt"
    begun: list[bytes] = []

    def note(_report):
        begun[:] = [state.read_bytes()]

    recorder.after_step = note
    with pytest.raises(UserError, match="diverged in epoch 1"):
        train(small_config(lr_start=1e38, lr_end=1e38, ckpt_every_steps=1))
    assert len(recorder.steps) == 1
    assert state.read_bytes() == begun[0]


def test_weights_that_are_no_numbers_are_not_the_best(small_config, tmp_path):
    """Of a single step, whose loss is a number, before anything else is saved."""
    with pytest.raises(UserError, match="diverged in epoch 1"):
        train(small_config(batch_size=10, lr_start=1e38, lr_end=1e38, ckpt_every_epochs=0))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["tinydet_state.pt"]


def test_drop_last_leaves_the_partial_batch_out(small_config, recorder):
    train(small_config(epochs=1, batch_size=4, drop_last=True))
    assert recorder.plan.steps_per_epoch == 2
    assert recorder.epochs[0].validation.metrics.images == 5


def test_eval_agrees_with_the_last_validation_to_the_digit(small_config, make_root):
    real = make_root(2, 9, name="real", seed=5)
    config = small_config(real_val_dir=str(real), val_target_size="96x64", epochs=1)
    trained = train(config)
    measured = run_eval(
        EvalConfig(checkpoint=str(trained.checkpoint), input_root=str(real), device="cpu")
    )
    assert trained.metrics is not None
    assert measured.metrics.to_record(1) == trained.metrics.to_record(1)


def test_it_learns_to_find_blobs(make_root, recorder, small_config):
    root = make_root(5, 32, name="blobs")
    config = small_config(
        input_root=str(root),
        target_size="128x64",
        epochs=8,
        batch_size=8,
        lr_start=2e-3,
        val_ratio=0.2,
    )
    metrics = train(config).metrics
    assert recorder.epochs[-1].loss < 0.6 * recorder.epochs[0].loss
    assert metrics is not None
    assert metrics.ap50 is not None
    assert metrics.ap50 >= 0.8
    assert metrics.mean_iou >= 0.5
