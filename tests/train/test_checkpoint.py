import os
import zipfile
from typing import Any

import numpy as np
import pytest
import torch

from endoforge.backends.torch_backend import TorchBackend
from endoforge.core.errors import UserError
from endoforge.detect.tinydet import TinyDetConfig
from endoforge.detect.weights import WeightsMetadata, load_weights
from endoforge.train import checkpoint as checkpoint_module
from endoforge.train.checkpoint import CheckpointFolder, changed_settings, held
from endoforge.train.config import TrainConfig
from endoforge.train.state import TrainState

METADATA = WeightsMetadata(model=TinyDetConfig(), input_size=(64, 32), resize_mode="force")


def folder_in(path, *, fresh=False, **facts):
    folder = CheckpointFolder(
        path,
        config=TrainConfig(fresh=fresh),
        metadata=METADATA,
        facts={"--seed": "1"} | facts,
    )
    folder.open()
    return folder


def backend_of(seed):
    return TorchBackend(METADATA.model, seed=seed, device=torch.device("cpu"), batch_size=2)


@pytest.fixture
def backend():
    return backend_of(0)


def save(folder, backend, state):
    folder.save(backend.weights(), backend.state_dict(), state)


def saved_twice(folder, backend):
    """The states of two saves, the older first."""
    states = TrainState(epoch=1), TrainState(epoch=2)
    for state in states:
        save(folder, backend, state)
    return states


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def truncate(kept):
    return lambda path: path.write_bytes(path.read_bytes()[:kept])


def replace_by(thing):
    return lambda path: torch.save(thing, path)


def change(*place, to=None):
    """Another value in a state that is else whole; None removes it."""

    def spoil(path):
        state = inner = torch.load(path, weights_only=True)
        for name in place[:-1]:
            inner = inner[name]
        if to is None:
            del inner[place[-1]]
        else:
            inner[place[-1]] = to
        torch.save(state, path)

    return spoil


def pack(path):
    """A state of which 100 MB are a few kB on disk."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(100_000_000))


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def nested(levels):
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


SPOILING = {
    "empty": truncate(0),
    "ten bytes": truncate(10),
    "half": truncate(100_000),
    "all but the last byte": truncate(-1),
    "a bit flipped": flip_a_bit,
    "text": lambda path: path.write_text("hello"),
    "a foreign state": replace_by({"model": torch.zeros(1)}),
    "a list": replace_by([1, 2]),
    "another version's": replace_by({"format": 99}),
    "a pipe": make_pipe,
    "packed": pack,
    "no facts": change("facts"),
    "facts that are no texts": change("facts", "--seed", to=1),
    "no state": change("state"),
    "a state that is a text": change("state", to="far"),
    "a state with a field less": change("state", "epoch"),
    "a state with a field more": change("state", "colour", to="red"),
    "an epoch that is a text": change("state", "epoch", to="2"),
    "a negative epoch": change("state", "epoch", to=-1),
    "a validation nested deep": change("state", "best_validation", to={"ap": nested(50)}),
    "no config": change("config"),
    "a config that is a tensor": change("config", "epochs", to=torch.zeros(3)),
    "no weights": change("backend", "model", "stem.0.weight"),
    "weights of another shape": change("backend", "model", "stem.0.weight", to=torch.zeros(3)),
    "weights that claim to have 16 TB": change(
        "backend", "model", "stem.0.weight", to=torch.zeros(1).expand(4 * 10**12)
    ),
    "weights of the right shape without numbers": change(
        "backend", "model", "stem.0.weight", to=torch.zeros(1).expand(16, 3, 6, 6)
    ),
    "an optimizer without a step": change("backend", "optimizer", "stem.0.weight", "step"),
    "a number of steps that is a text": change("backend", "num_steps", to="many"),
}
spoilings = pytest.mark.parametrize("spoil", SPOILING.values(), ids=SPOILING.keys())


def test_an_empty_folder_is_a_new_training(tmp_path):
    assert folder_in(tmp_path / "new" / "folder").load() is None


def test_a_state_comes_back(tmp_path, backend):
    state = TrainState(epoch=3, step=2, loss_sum=1.5, best_score=(0.25, 0.5), best_epoch=1)
    folder = folder_in(tmp_path)
    folder.save_best(backend.weights())
    save(folder, backend, state)
    saved = folder_in(tmp_path).load()
    assert saved.state == state
    assert saved.config["epochs"] == 1
    other = backend_of(1)
    other.load_state_dict(saved.backend)
    assert np.array_equal(other.weights()["stem.0.weight"], backend.weights()["stem.0.weight"])


def test_the_weights_say_what_they_are_for(tmp_path, backend):
    folder = folder_in(tmp_path)
    folder.save_best(backend.weights())
    save(folder, backend, TrainState())
    for path in (folder.weights_path, folder.best_path):
        model, metadata = load_weights(path)
        assert metadata == METADATA
        assert np.array_equal(
            model.state_dict()["stem.0.weight"], backend.weights()["stem.0.weight"]
        )


def test_the_best_weights_can_become_the_ones_to_use(tmp_path, backend):
    folder = folder_in(tmp_path)
    folder.save_best(backend_of(5).weights())
    save(folder, backend, TrainState())
    folder.use_best()
    assert folder.weights_path.read_bytes() == folder.best_path.read_bytes()


@spoilings
def test_a_spoilt_state_is_refused_by_name(spoil, tmp_path, backend):
    folder = folder_in(tmp_path)
    save(folder, backend, TrainState())
    spoil(folder.state_path)
    with pytest.raises(UserError, match=r"tinydet_state\.pt: .*not a training state.*--fresh"):
        folder.load()


@spoilings
def test_the_state_before_a_spoilt_one_is_used(spoil, tmp_path, backend, caplog):
    folder = folder_in(tmp_path)
    older, _ = saved_twice(folder, backend)
    spoil(folder.state_path)
    assert folder.load().state == older
    assert "tinydet_state.pt: " in caplog.text
    assert "going on from the state before it" in caplog.text


def test_the_state_before_a_lost_one_is_used(tmp_path, backend):
    folder = folder_in(tmp_path)
    older, newer = saved_twice(folder, backend)
    assert folder.load().state == newer
    folder.state_path.unlink()
    assert folder.load().state == older


def test_two_spoilt_states_are_refused_by_the_name_of_the_last(tmp_path, backend):
    folder = folder_in(tmp_path)
    saved_twice(folder, backend)
    for path in (folder.state_path, folder.previous_path):
        path.write_text("hello")
    with pytest.raises(UserError, match=r"tinydet_state\.pt: truncated"):
        folder.load()


def test_without_hard_links_the_state_before_is_a_copy(tmp_path, backend, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    folder = folder_in(tmp_path)
    older, _ = saved_twice(folder, backend)
    folder.state_path.unlink()
    assert folder.load().state == older


def test_what_differs_is_said_with_the_mend(tmp_path, backend):
    save(folder_in(tmp_path), backend, TrainState())
    with pytest.raises(UserError) as caught:
        folder_in(tmp_path, **{"--seed": "2", "the model": "new"}).load()
    assert str(caught.value) == (
        f"{tmp_path} holds another training: --seed was 1, now 2; the model was not there, now "
        "new. To go on with it, give its settings and data; to train beside it, --ckpt-dir OTHER; "
        "to start over in its place, --fresh"
    )


def test_a_fact_that_is_a_switch_is_told_as_one(tmp_path, backend):
    save(folder_in(tmp_path, **{"--drop-last": "True"}), backend, TrainState())
    with pytest.raises(UserError, match="training: --drop-last was given, now not given"):
        folder_in(tmp_path, **{"--drop-last": "False"}).load()


def test_settings_that_decide_the_frames_stand_for_them(tmp_path, backend):
    frames = "the training frames"
    save(folder_in(tmp_path, **{frames: "90 (ab)"}), backend, TrainState())
    with pytest.raises(UserError, match=r"training: the training frames was 90 \(ab\), now 80"):
        folder_in(tmp_path, **{frames: "80 (cd)"}).load()
    with pytest.raises(UserError, match=r"training: --val-ratio was 0\.2, now 0\.1\. To go on"):
        CheckpointFolder(
            tmp_path,
            config=TrainConfig(val_ratio=0.1),
            metadata=METADATA,
            facts={"--seed": "1", frames: "80 (cd)"},
        ).load()


def test_another_training_is_not_passed_over_for_the_state_before_it(tmp_path, backend):
    save(folder_in(tmp_path), backend, TrainState())
    save(folder_in(tmp_path, **{"--seed": "2"}), backend, TrainState())
    with pytest.raises(UserError, match="--seed was 2, now 1"):
        folder_in(tmp_path).load()


def test_fresh_removes_the_training_and_nothing_else(tmp_path, backend, caplog):
    folder = folder_in(tmp_path)
    folder.save_best(backend.weights())
    saved_twice(folder, backend)
    (tmp_path / "notes.txt").write_text("mine")
    with caplog.at_level("INFO"):
        folder_in(tmp_path, fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert "removing the training" in caplog.text


def test_unfinished_files_of_a_killed_training_are_swept_up(tmp_path):
    (tmp_path / ".tinydet_state.pt.0123456789abcdef.tmp").write_bytes(b"half")
    folder_in(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_changed_settings_are_told_in_the_words_of_the_command_line():
    saved = {"epochs": 2, "patience": 0, "metrics_out": None, "device": "cpu", "strict": False}
    now = {"epochs": 4, "patience": 0, "metrics_out": "m.jsonl", "device": "auto", "strict": True}
    assert changed_settings(saved, now) == [
        "--epochs was 2, now 4",
        "--metrics-out was not given, now m.jsonl",
        "--device was cpu, now auto",
        "--strict was not given, now given",
    ]


def test_a_save_cut_short_anywhere_leaves_the_state_of_before(tmp_path, backend, monkeypatch):
    folder = folder_in(tmp_path)
    before = TrainState(epoch=1)
    save(folder, backend, before)

    def fail(*_, **__):
        raise OSError("disk full")

    for writer in ("save_weights", "write_json_atomic", "write_atomic"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_module, writer, fail)
            with pytest.raises(OSError, match="disk full"):
                save(folder, backend, TrainState(epoch=2))
        assert folder.load().state == before
        load_weights(folder.weights_path)


def test_two_trainings_cannot_have_one_folder(tmp_path):
    message = r"another training is running in .*another --ckpt-dir"
    with held(tmp_path), pytest.raises(UserError, match=message), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_folder_that_stays_empty_is_not_left(tmp_path):
    with held(tmp_path / "empty"):
        assert (tmp_path / "empty").is_dir()
    with held(tmp_path / "used"):
        (tmp_path / "used" / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("links", [False, True])
def test_weights_without_a_training_are_kept(fresh, links, tmp_path, backend, monkeypatch, caplog):
    def refuse(*_):
        raise PermissionError("no links here")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    theirs = {name: name.encode() for name in ("tinydet.safetensors", "train.json")}
    for name, content in theirs.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "train.kept-1.json").write_text("kept before")
    folder = folder_in(tmp_path, fresh=fresh)
    folder.begin(backend.state_dict(), TrainState())
    save(folder, backend, TrainState())
    assert (tmp_path / "tinydet.kept-2.safetensors").read_bytes() == b"tinydet.safetensors"
    assert (tmp_path / "train.kept-2.json").read_bytes() == b"train.json"
    assert (tmp_path / "train.kept-1.json").read_text() == "kept before"
    assert "kept as tinydet.kept-2.safetensors, train.kept-2.json" in caplog.text
    load_weights(folder.weights_path)


def test_a_training_that_begins_in_an_empty_folder_keeps_nothing(tmp_path, backend, caplog):
    folder_in(tmp_path).begin(backend.state_dict(), TrainState())
    assert [path.name for path in tmp_path.iterdir()] == ["tinydet_state.pt"]
    assert "kept" not in caplog.text


def test_the_state_before_is_kept_under_a_name_of_ones_own(tmp_path, backend):
    """Nothing of another name is taken for an unfinished file of ours."""
    theirs = tmp_path / ".tinydet_state_previous.pt.tmp"
    theirs.write_text("mine")
    folder = folder_in(tmp_path)
    saved_twice(folder, backend)
    assert theirs.read_text() == "mine"
    assert folder.previous_path.is_file()


def test_best_weights_that_are_gone_are_missed(tmp_path, backend, caplog):
    folder = folder_in(tmp_path)
    folder.save_best(backend.weights())
    save(folder, backend, TrainState(epoch=3, best_score=(0.5, 0.5), best_epoch=1))
    folder.best_path.unlink()
    state = folder_in(tmp_path).load().state
    assert (state.epoch, state.best_score, state.best_epoch) == (3, None, None)
    assert (
        "tinydet_best.safetensors is gone, which held the best weights, of epoch 2" in caplog.text
    )
    assert state.note_validation((0.1, 0.1), 0.0)
