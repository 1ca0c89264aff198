"""The Python API: frames of a seed, in batches."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from endoforge.core.errors import UserError
from endoforge.sim import simulator
from endoforge.sim.engine import Engine
from endoforge.sim.renderer import Renderer
from endoforge.sim.simulator import BakedRun, Simulator, bake, render_runs
from tests.kept_kernels import PLACE
from tests.plain_ranges import PLAIN

ROOT = Path(__file__).parents[2]
SIZE = (160, 96)


def simulate(seed: int = 3, **others: Any) -> Simulator:
    options: dict[str, Any] = {
        "randomization": PLAIN, "size": SIZE, "max_frames": 10, "renderer": "cpu"
    }  # fmt: skip
    return Simulator(seed, **options | others)


def test_ten_frames_in_batches_of_four_are_four_four_and_two() -> None:
    frames = simulate(batch_size=4)
    batches = [(len(batch), len(batch.rgb), len(batch.states)) for batch in frames]
    assert batches == [(4, 4, 4), (4, 4, 4), (2, 2, 2)]
    assert (len(frames), frames.num_frames) == (3, 10)


def test_shapes_types_and_the_device_are_as_documented() -> None:
    frames = simulate(batch_size=4, normals=True)
    batch = next(iter(frames))
    assert batch.normals is not None
    assert (batch.rgb.shape, batch.rgb.dtype) == ((4, 96, 160, 3), torch.uint8)
    assert (batch.instance.shape, batch.instance.dtype) == ((4, 96, 160), torch.uint8)
    assert (batch.depth.shape, batch.depth.dtype) == ((4, 96, 160), torch.float32)
    assert (batch.normals.shape, batch.normals.dtype) == ((4, 96, 160, 3), torch.float32)
    assert {batch.rgb.device, batch.depth.device, batch.normals.device} == {frames.engine.device}
    assert next(iter(simulate())).normals is None


def test_boxes_hold_exactly_the_pixels_of_their_instances() -> None:
    boxes = 0
    for batch in simulate(max_frames=30, batch_size=8):
        for label, instance in zip(batch.labels, batch.instance.numpy(), strict=True):
            assert label.boxes.dtype == np.float32
            assert label.boxes.shape == (len(label.instances), 4)
            for box, number in zip(label.boxes, label.instances, strict=True):
                rows, columns = np.nonzero(instance == number)
                assert box.tolist() == [
                    columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                ]  # fmt: skip
                boxes += 1
    assert boxes > 0


def test_frames_are_views_of_the_renderers_buffers() -> None:
    frames = iter(simulate(batch_size=4))
    first = next(frames)
    place, pixels = first.rgb.data_ptr(), first.rgb.clone()
    second = next(frames)
    assert second.rgb.data_ptr() == place
    assert torch.equal(first.rgb, second.rgb)
    assert not torch.equal(pixels, second.rgb)


def test_it_can_be_iterated_again_and_the_batch_size_changes_no_pixel() -> None:
    frames = simulate(batch_size=4)
    once, again = ([batch.rgb.clone() for batch in frames] for _ in range(2))
    in_sevens = [batch.rgb.clone() for batch in simulate(batch_size=7)]
    assert torch.equal(torch.cat(once), torch.cat(again))
    assert torch.equal(torch.cat(once), torch.cat(in_sevens))


def test_frame_numbers_and_times_grow() -> None:
    labels = [label for batch in simulate(batch_size=4) for label in batch.labels]
    assert [label.frame_id for label in labels] == list(range(10))
    times = [label.state.time_s for label in labels]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"seed": -1}, "seed -1"),
        ({"size": (32, 96)}, r"size \(32, 96\)"),
        ({"size": (96, 5000)}, r"size \(96, 5000\)"),
        ({"max_frames": 0}, "max_frames 0"),
        ({"batch_size": 0}, "batch_size 0"),
    ],
)
def test_what_cannot_be_used_is_named(others: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        simulate(**others)


def some_runs() -> list[BakedRun]:
    return [bake(seed, PLAIN, SIZE, 3) for seed in (1, 2, 3)]


def test_batches_cross_from_run_to_run_where_runs_are_grouped(
    cpu: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs of three frames: by fours alone 3 + 3 + 3, as one group 4 + 4 + 1."""
    renderer = Renderer(*SIZE, cpu, 4)
    alone = [(len(batch), batch.rgb.clone()) for batch in render_runs(renderer, some_runs())]
    monkeypatch.setattr(simulator, "_runs_a_group", lambda _: 64)
    grouped = [(len(batch), batch.rgb.clone()) for batch in render_runs(renderer, some_runs())]
    assert [number for number, _ in alone] == [3, 3, 3]
    assert [number for number, _ in grouped] == [4, 4, 1]
    assert torch.equal(torch.cat([rgb for _, rgb in alone]), torch.cat([rgb for _, rgb in grouped]))


def test_runs_are_taken_only_as_they_are_needed(cpu: Engine) -> None:
    taken = []

    def runs() -> Any:
        for number, run in enumerate(some_runs()):
            taken.append(number)
            yield run

    batches = render_runs(Renderer(*SIZE, cpu, 4), runs())
    next(batches)
    assert taken == [0]
    next(batches)
    assert taken == [0, 1]


OF_ITS_OWN = """
import quadrants

@quadrants.kernel
def of_its_own() -> quadrants.i32:
    return 7

of_its_own()
"""
"""Behind the example: a kernel that nobody has compiled yet."""


@pytest.mark.slow
def test_the_example_in_the_documents_runs_and_leaves_its_kernels_for_the_next(
    tmp_path: Path,
) -> None:
    example = ROOT / "docs/examples/simulate.py"
    script, cache = tmp_path / "script.py", tmp_path / "cache"
    script.write_text(example.read_text() + OF_ITS_OWN)
    if (there := Path(os.environ["XDG_CACHE_HOME"]) / PLACE).exists():
        shutil.copytree(there, cache / PLACE)
    before = set(cache.rglob("*.qdc"))
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, script], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "boxes" in done.stdout
    assert set(cache.rglob("*.qdc")) - before
    code = example.read_text().split('"""')[2].strip()
    assert len(code.splitlines()) <= 10
    assert code in (ROOT / "docs/datasets.md").read_text()
