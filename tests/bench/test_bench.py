"""What `bench` measures and prints; never how fast anything is."""

import json
import time

import pytest
import torch

from endoforge.bench import detect_speed, limits, measuring, record_speed, render_speed, train_speed
from endoforge.bench.config import BenchConfig
from endoforge.bench.timing import median_seconds, medians_in_turn
from endoforge.cli import run as run_command
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.detect.tinydet import TinyDet, TinyDetConfig
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


def test_works_are_timed_in_turn(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def work(name, seconds):
        def do():
            order.append(name)
            clock[0] += seconds

        return do

    assert medians_in_turn([work("a", 2), work("b", 7)], warm_up=1, repeats=2) == [2, 7]
    assert order == list("ababab")


def test_the_operations_of_a_network_are_those_of_its_convolutions():
    size, config = (64, 32), TinyDetConfig(widths=(2, 3, 4, 5), head_width=6)
    hooks_saw = []

    def note(layer, _, output):
        kernel = layer.weight[0].numel()
        hooks_saw.append(2 * kernel * output.numel())

    model = TinyDet(config)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(note)
    model(torch.zeros(3, 3, size[1], size[0]))
    assert limits.count_operations(config, size, batch_size=3) == sum(hooks_saw)
    # The way back has twice as many, but that no picture needs a gradient.
    both_ways = limits.count_operations(config, size, batch_size=3, training=True)
    assert both_ways == 3 * sum(hooks_saw) - hooks_saw[0]


def test_the_floor_is_scaled_to_the_operations_and_the_share_is_of_it(monkeypatch):
    given = []

    def as_if(works, *, warm_up, repeats):
        given.append(([work() for work in works], warm_up, repeats))
        return [8.0, 2.0]

    monkeypatch.setattr(limits, "medians_in_turn", as_if)
    monkeypatch.setattr(limits, "SIDE_CPU", 10)
    [near] = limits.measure_near_limit(
        [lambda: "worked"], 5000, device=CPU, warm_up=1, repeats=4
    )  # two products of 2,000 operations each in 2 seconds
    assert near == limits.NearLimit(5000, 8.0, 2.5)
    assert near.share == 2.5 / 8
    assert near.limit == 2000
    [(results, *counts)] = given
    assert results[0] == "worked"
    assert counts == [1, 4]


def test_training_counts_the_images_of_a_step(monkeypatch):
    made = []

    def as_if_two_seconds(works, operations, *, dtype, warm_up, repeats, **_):
        made.extend([*(work() for work in works), dtype, warm_up, repeats])
        return [limits.NearLimit(operations, 2.0, 1.0)]

    monkeypatch.setattr(train_speed, "has_bfloat16", lambda _: False)
    monkeypatch.setattr(train_speed, "measure_near_limit", as_if_two_seconds)
    speed = train_speed.measure_training(CPU, size=(64, 64), batch_size=6, warm_up=1, repeats=4)
    assert speed.images_per_second == 3
    loss, *rest = made
    assert loss > 0
    assert rest == [torch.float32, 1, 4]
    size = (64, 64)
    counted = limits.count_operations(TinyDetConfig(), size, batch_size=6, training=True)
    assert speed.near_limit.operations == counted


def test_detecting_has_detections_to_decode_and_leaves_the_threads_as_they_were(monkeypatch):
    before = torch.get_num_threads()
    with detect_speed.one_core():
        assert torch.get_num_threads() == 1
        detector = detect_speed.fresh_detector(CPU)
        assert len(detector.detect(detect_speed.frame())) == detect_speed.FOUND
        parts = detect_speed.milliseconds_by_part(detector, repeats=1)
        whole, network = detect_speed.near_limit(detector, repeats=3)
        assert whole.floor_seconds == network.floor_seconds > 0
        assert whole.operations == limits.count_operations(
            detector.metadata.model, detect_speed.INPUT_SIZE
        )
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
    speed = train_speed.TrainSpeed(1234.5, limits.NearLimit(10**9, 0.5, 0.25))
    monkeypatch.setattr(train_speed, "measure_training", lambda *_, **__: speed)
    near = [limits.NearLimit(300_000_000, seconds, 0.00375) for seconds in (0.0123, 0.005)]
    monkeypatch.setattr(detect_speed, "near_limit", lambda *_, **__: near)
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
        ["limit: matrix products, ", "4", "GFLOP/s", "thread"],
        ["share of the limit: training", "50", "%", "thread"],
        ["detect in one frame 640x360", "12.3", "ms", "one CPU core"],
        ["limit: matrix products, float32", "80", "GFLOP/s", "one CPU core"],
        ["floor of 0.300 GFLOP", "3.75", "ms", "one CPU core"],
        ["share of the limit: a frame", "30.5", "%", "one CPU core"],
        ["share of the limit: its network", "75", "%", "one CPU core"],
    ):
        lines = [line for line in out.splitlines() if all(word in line for word in words)]
        assert len(lines) == 1, words
    assert torch.__version__ in out


@pytest.mark.usefixtures("quick")
def test_with_json_nothing_else_is_on_stdout(capsys):
    assert run_command(["bench", "--device", "cpu", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert record["benchmark"] == "bench"
    assert record["renderer"] == "cpu"
    assert record["torch"] == torch.__version__
    assert len(record["figures"]) == 13
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
