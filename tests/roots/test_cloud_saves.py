"""Trainings whose frames and saves lie in a bucket: killed, cut off, and gone on with elsewhere."""

import io
import json
import re
import signal
import time
from pathlib import Path

import pytest
import torch

from endoforge.cli import run
from endoforge.core.errors import UserError
from endoforge.train.cloud_saves import CloudSaves
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from tests.roots.s3 import BROKEN, DENIED, SLOW_DOWN
from tests.train.conftest import Recorder, write_root
from tests.train.processes import LONGEST_S, epochs_in, finished, flags, start, wait_for

WEIGHTS = ["tinydet.safetensors", "tinydet_best.safetensors"]


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """Three runs of five frames."""
    return write_root(tmp_path_factory.mktemp("captures"), 3, 5)


@pytest.fixture
def config(store, captures, other_machine):
    """A training of two epochs of five steps, all of which is in the bucket."""
    store.put_folder(captures, "caps")

    def make(**others):
        fields = {
            "input_root": store.address("caps"),
            "ckpt_dir": store.address("ckpt"),
            "epochs": 2,
            "target_size": "64x32",
            "val_ratio": 0.33,
            "device": "cpu",
            "metrics_out": store.address("ckpt/logs/metrics.jsonl"),
            "status_file": store.address("ckpt/status.json"),
        }
        return TrainConfig(**(fields | others))

    assert other_machine
    return make


@pytest.fixture
def cut_off(store, monkeypatch):
    """Call it, and nothing can be put any more."""

    def cut() -> None:
        monkeypatch.setattr("endoforge.roots.bucket.PATIENCE_S", 0.05)
        store.faults.always(SLOW_DOWN, "PUT")

    return cut


@pytest.fixture(scope="module")
def alone(captures, tmp_path_factory):
    """The weights of the same training in a folder, by name."""
    folder = tmp_path_factory.mktemp("alone")
    train(
        TrainConfig(
            input_root=str(captures),
            ckpt_dir=str(folder),
            epochs=2,
            target_size="64x32",
            val_ratio=0.33,
            device="cpu",
        )
    )
    return {name: (folder / name).read_bytes() for name in WEIGHTS}


def weights_in(store):
    return {name: store.get(f"ckpt/{name}") for name in WEIGHTS}


def epochs_of(store):
    lines = store.get("ckpt/logs/metrics.jsonl").splitlines()
    return [json.loads(line)["epoch"] for line in lines]


def until(condition):
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def at_step(number, do):
    """A sink that does something once, after a step of the first epoch."""
    sink = Recorder()
    sink.after_step = lambda report: do() if (report.epoch, report.step) == (1, number) else None
    return sink


def test_it_ends_as_in_a_folder_and_all_is_put(store, config, alone):
    result = train(config(ckpt_every_steps=2))
    assert f"weights  {store.address('ckpt')}/tinydet.safetensors" in result.lines()
    assert weights_in(store) == alone
    assert store.names("ckpt/") == {
        "ckpt/logs/metrics.jsonl",
        "ckpt/status.json",
        "ckpt/tinydet.safetensors",
        "ckpt/tinydet_best.safetensors",
        "ckpt/tinydet_state.pt",
        "ckpt/train.json",
    }
    assert epochs_of(store) == [1, 2]
    assert json.loads(store.get("ckpt/status.json"))["status"] == "done"
    assert json.loads(store.get("ckpt/train.json"))["config"]["ckpt_dir"] == store.address("ckpt")


def test_a_machine_that_is_cut_off_trains_on_and_another_goes_on_from_what_was_put(
    store, config, alone, cut_off, other_machine, caplog
):
    def cut_off_later():
        until(lambda: "/".join(store.faults.paths("PUT")).count("tinydet_state.pt") > 1)
        cut_off()

    settings = config(ckpt_every_steps=1)
    with pytest.raises(UserError, match=r"server puts off every request.*the last save isn't"):
        train(settings, [at_step(3, cut_off_later)])
    assert "the save is whole in" in caplog.text
    store.faults.clear()
    other_machine("there")
    seen = Recorder()
    result = train(settings, [seen])
    assert seen.plan is not None
    assert 0 < seen.plan.steps_done < 10  # from a save of before, which is no beginning
    assert result.epochs == 2
    assert weights_in(store) == alone
    assert epochs_of(store) == [1, 2]


def test_a_save_that_could_not_be_put_is_put_by_the_same_command(
    store, config, alone, cut_off, caplog
):
    with pytest.raises(UserError, match=r"the same command on this machine puts it"):
        train(config(), [at_step(3, cut_off)])
    assert "ckpt/tinydet.safetensors" not in store.names("ckpt/")
    store.faults.clear()
    train(config())
    assert "its last save isn't in" in caplog.text
    assert weights_in(store) == alone


@pytest.mark.parametrize("fault", [SLOW_DOWN, BROKEN])
def test_a_put_that_fails_twice_is_tried_again(store, config, alone, fault):
    store.faults.first(2, fault, "PUT", "tinydet_state.pt")
    train(config())
    assert weights_in(store) == alone


def test_the_state_is_put_after_what_it_tells_of(store, config):
    train(config())
    puts = [path.rpartition("/")[2] for path in store.faults.paths("PUT")]
    last_state = len(puts) - 1 - puts[::-1].index("tinydet_state.pt")
    assert puts[last_state - 1] != "tinydet_state.pt"
    for name in (*WEIGHTS, "train.json"):
        assert puts.index(name) < last_state
        assert name not in puts[last_state:]


def test_of_two_trainings_the_second_to_save_ends(store, config, tmp_path):
    def another_saves():
        noted = tmp_path / "here/outgoing/s3" / store.name / "ckpt/.sent.json"
        until(lambda: noted.exists() and json.loads(noted.read_text())["state"])
        store.put("ckpt/tinydet_state.pt", b"of another training")

    with pytest.raises(UserError, match=r"another training has saved there meanwhile, which stays"):
        train(config(), [at_step(2, another_saves)])
    assert store.get("ckpt/tinydet_state.pt") == b"of another training"


def test_two_saves_of_two_machines_are_not_taken_for_one(store, config, cut_off, other_machine):
    train(config(epochs=1))
    sink = Recorder()
    sink.after_step = lambda _: cut_off()
    with pytest.raises(UserError, match=r"isn't there"):
        train(config(epochs=2), [sink])
    store.faults.clear()
    other_machine("there")
    train(config(epochs=2, patience=1))
    other_machine("here")
    with pytest.raises(UserError, match=r"holds a save that another machine put, and .* one of"):
        train(config(epochs=2))


def test_an_answer_that_is_lost_is_no_other_training(store, config, alone, monkeypatch):
    """The state came whole, but the machine never heard of it, as after a kill."""
    whole, lost = CloudSaves._put, list[int]()

    def put(self, snapshot):
        before = self._version
        whole(self, snapshot)
        if not lost:
            lost.append(1)
            self._version, self._sent = before, {}
            raise UserError("the answer is lost")

    monkeypatch.setattr(CloudSaves, "_put", put)
    train(config())
    assert lost
    assert weights_in(store) == alone


def test_fresh_leaves_nothing_of_the_training_before(store, config, other_machine):
    train(config(epochs=1))
    first = store.get("ckpt/tinydet_state.pt")
    other_machine("there")

    def after_epoch(_report):
        raise RuntimeError("as if it were killed")

    sink = Recorder()
    sink.after_epoch = after_epoch
    with pytest.raises(RuntimeError, match=r"as if"):
        train(config(fresh=True, seed=7), [sink])
    assert store.get("ckpt/tinydet_state.pt") != first
    assert "ckpt/tinydet.safetensors" not in store.names(
        "ckpt/"
    )  # none of the new one was saved yet


def test_what_is_no_training_is_kept_under_another_name(store, config):
    store.put("ckpt/tinydet.safetensors", b"somebody's")
    train(config(epochs=1))
    assert store.get("ckpt/tinydet.kept-1.safetensors") == b"somebody's"


@pytest.mark.parametrize(
    ("others", "method", "words"),
    [
        ({}, "PUT", "these credentials may not write there"),
        ({"ckpt_dir": "s3://no-such-bucket/ckpt"}, None, "there is no such bucket"),
        ({"metrics_out": "s3://elsewhere/metrics.jsonl"}, None, "must lie in a --ckpt-dir that is"),
        ({"ckpt_dir": "checkpoints"}, None, "--metrics-out .*must lie in a --ckpt-dir that is"),
        (
            {"tensorboard": "s3://bucket/tb"},
            None,
            "--tensorboard .*: is for folders and files of this",
        ),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(
    store, config, others, method, words, monkeypatch, capsys
):
    def load(*_):
        raise AssertionError("the data is loaded")

    monkeypatch.setattr("endoforge.train.loop.training_source", load)
    if method is not None:
        store.faults.always(DENIED, method)
    address = {"metrics_out": None, "status_file": None} if "no-such" in str(others) else {}
    assert run(flags(config(**(address | others)))) == 2
    [line] = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("endoforge: error: --")
    assert re.search(words, line)


@pytest.mark.slow
def test_killed_and_gone_on_with_elsewhere(store, config, alone, tmp_path, monkeypatch):
    """In processes of their own, which share nothing but the bucket."""
    settings = config(ckpt_every_steps=1, metrics_out=str(tmp_path / "metrics.jsonl"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    process = start(settings)

    def is_begun():
        if "ckpt/tinydet_state.pt" not in store.names("ckpt/"):
            return False
        state = torch.load(io.BytesIO(store.get("ckpt/tinydet_state.pt")), weights_only=True)
        return state["state"]["epoch"] + state["state"]["step"] > 0

    wait_for(is_begun, process)
    process.send_signal(signal.SIGKILL)
    assert finished(process)[0] == -signal.SIGKILL
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    process = start(settings)
    code, _, errors = finished(process)
    assert code == 0, errors
    assert "going on with the training in s3://" in errors or "is finished" in errors
    assert weights_in(store) == alone
    assert epochs_in(Path(settings.metrics_out)) == [1, 2]
