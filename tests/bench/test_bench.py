"""What `bench` measures and prints; never how fast anything is."""

import json
import time

import pytest
import torch

from endoforge.bench import detect_speed, measuring, record_speed, render_speed, train_speed
from endoforge.bench.config import BenchConfig
from endoforge.bench.timing import median_seconds
from endoforge.cli import run as run_command
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.sim.engine import start_engine
from endoforge.sim.scene import make_scene
from tests.plain_ranges import PLAIN

CPU = torch.device("cpu")


def test_the_median_is_of_the_calls_after_the_warm_up(monkeypatch):
    clock = [0.0]
    calls: list[None] = []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def do():
        calls.append(None)
        clock[0] += {1: 1000, 2: 1000, 3: 5, 4: 2, 5: 40}[len(calls)]

    assert median_seconds(do, warm_up=2, repeats=3) == 5
    assert len(calls) == 5


def test_training_counts_the_images_of_a_step(monkeypatch):
    made = []

    def as_if_two_seconds(do, *, warm_up, repeats):
        made.append((do(), warm_up, repeats))
        return 2.0

    monkeypatch.setattr(train_speed, "median_seconds", as_if_two_seconds)
    rate = train_speed.images_per_second(CPU, size=(64, 64), batch_size=6, warm_up=1, repeats=4)
    assert rate == 3
    [(loss, *counts)] = made
    assert loss > 0
    assert counts == [1, 4]


def test_detecting_has_detections_to_decode_and_leaves_the_threads_as_they_were(monkeypatch):
    before = torch.get_num_threads()
    with detect_speed.one_core():
        assert torch.get_num_threads() == 1
        detector = detect_speed.fresh_detector(CPU)
        assert len(detector.detect(detect_speed.frame())) == detect_speed.FOUND
        parts = detect_speed.milliseconds_by_part(detector, repeats=1)
        assert list(parts) == ["resize", "to float", "network", "decode"]
        monkeypatch.setattr(detect_speed, "median_seconds", lambda do, **_: [do(), 0.5][1])
        assert detect_speed.frames_per_second(detector, 3, repeats=1) == 6
        assert detect_speed.milliseconds_per_frame(detector, repeats=1) == 500
    assert torch.get_num_threads() == before


def test_rendering_and_recording_measure_what_they_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = start_engine("cpu")
    assert render_speed.frames_per_second([make_scene(1, PLAIN)], (64, 64), engine, 2) > 0
    assert render_speed.seconds_per_scene(range(1)) > 0
    config = DatagenConfig(max_frames=2, resolution="64x64", renderer="cpu", output_root="kept")
    renderer, rate = record_speed.frames_per_second(config)
    assert renderer == "cpu"
    assert rate > 0
    assert not list(tmp_path.iterdir()), "what was recorded is gone"


@pytest.fixture
def quick(monkeypatch):
    """Every measurement at once, as 1,234.5 or 0.0123."""
    monkeypatch.setattr(render_speed, "frames_per_second", lambda *_: 1234.5)
    monkeypatch.setattr(render_speed, "seconds_per_scene", lambda _: 0.0123)
    monkeypatch.setattr(record_speed, "frames_per_second", lambda config: (config.renderer, 1234.5))
    monkeypatch.setattr(train_speed, "images_per_second", lambda *_, **__: 1234.5)
    monkeypatch.setattr(detect_speed, "milliseconds_per_frame", lambda *_, **__: 0.0123)
    monkeypatch.setattr(detect_speed, "frames_per_second", lambda *_, **__: 1234.5)


@pytest.mark.usefixtures("quick")
def test_the_table_has_a_row_a_figure_and_the_machine(capsys):
    assert run_command(["bench", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for words in (
        ["scene from a seed", "12.3", "ms"],
        ["render 640x360", "1,23", "frames/s", "cpu"],
        ["datagen 640x360", "frames/s", "cpu"],
        ["training step 256x256", "images/s", "thread"],
        ["detect in one frame 640x360", "0.0123", "ms", "one CPU core"],
    ):
        [line] = [line for line in out.splitlines() if words[0] in line]
        assert all(word in line for word in words)
    assert torch.__version__ in out


@pytest.mark.usefixtures("quick")
def test_with_json_nothing_else_is_on_stdout(capsys):
    assert run_command(["bench", "--device", "cpu", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert record["benchmark"] == "bench"
    assert record["renderer"] == "cpu"
    assert record["torch"] == torch.__version__
    assert len(record["figures"]) == 7
    assert record["figures"][1] == {
        "what": "render 640x360, batch 1",
        "value": 1234.5,
        "unit": "frames/s",
        "where": "cpu",
    }


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(UserError, match="--device"):
        BenchConfig(device="abacus")  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device cuda"):
            measuring.run_bench(BenchConfig(device="cuda"))
