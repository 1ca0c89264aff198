"""Flags: what they may be, and that --mode datagen --headless is datagen."""

import logging
from collections.abc import Iterator

import pytest

from endoforge import cli
from endoforge.core.errors import UserError
from endoforge.datagen.seeds import first_seed
from endoforge.view.config import SimViewConfig


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def test_the_defaults_of_the_design():
    config = SimViewConfig()
    assert (config.mode, config.headless, config.host, config.port) == (
        "sim",
        False,
        "127.0.0.1",
        None,
    )
    assert config.first_weights == "checkpoints/tinydet.safetensors"
    assert (config.infer_obj_thresh, config.infer_iou_thresh) == (0.3, 0.5)
    assert config.output_root == "assets/datasets/captures"
    assert config.size == (640, 360)


def test_only_where_no_weights_are_named_the_packaged_ones_stand_in(packaged, tmp_path):
    assert SimViewConfig().stand_in is None
    packaged.parent.mkdir()
    packaged.write_bytes(b"weights")
    assert SimViewConfig().stand_in == packaged
    named = SimViewConfig(checkpoint=str(tmp_path / "mine.safetensors"))
    assert (named.first_weights, named.stand_in) == (str(tmp_path / "mine.safetensors"), None)
    assert SimViewConfig(checkpoint="packaged").first_weights == str(packaged)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"mode": "fly"}, "--mode fly"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 2**64}, "--seed"),
        ({"max_frames": 0}, "--max-frames 0"),
        ({"resolution": "10x10"}, "--resolution 10x10"),
        ({"resolution": "big"}, "--resolution"),
        ({"infer_obj_thresh": 1.5}, "--infer-obj-thresh 1.5"),
        ({"infer_iou_thresh": float("nan")}, "--infer-iou-thresh nan"),
        ({"randomization": 7}, "--randomization 7"),
        ({"device": "tpu"}, "--device tpu"),
        ({"port": 70000}, "--port 70000"),
        ({"host": " "}, "--host"),
    ],
)
def test_what_cant_be_is_named(flags, word):
    with pytest.raises(UserError, match=word):
        SimViewConfig(**flags)


def test_headless_datagen_is_datagen(monkeypatch, tmp_path, capsys):
    seen = []

    def note(config):
        seen.append(config)
        raise UserError("enough")

    monkeypatch.setattr("endoforge.datagen.generate.generate", note)
    flags = ["--seed", "5", "--max-frames", "7", "--output-root", str(tmp_path)]
    flags += ["--resolution", "96x64", "--renderer", "cpu"]
    flags += ["--randomization", "plain"]
    assert cli.run(["sim-view", "--mode", "datagen", "--headless", *flags]) == 2
    assert cli.run(["datagen", *flags]) == 2
    assert seen[0] == seen[1]
    monkeypatch.setenv("POLYP_SEED", "77")
    assert cli.run(["sim-view", "--mode", "datagen", "--headless"]) == 2
    assert seen[2].seed == 77
    capsys.readouterr()


def test_the_first_seed_is_the_flags_then_the_environments_then_the_times(monkeypatch):
    assert first_seed(5) == 5
    monkeypatch.setenv("POLYP_SEED", "77")
    assert first_seed(None) == 77
    monkeypatch.setenv("POLYP_SEED", "x")
    with pytest.raises(UserError, match="POLYP_SEED=x"):
        first_seed(None)
    monkeypatch.delenv("POLYP_SEED")
    assert first_seed(None) > 1_700_000_000_000
