"""The command itself, with its renderer in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.view.painter import SLOTS, Painter, PainterGone

from .conftest import SEED, SIZE

pytestmark = pytest.mark.slow
STARTS_S = 600.0


def test_the_renderers_process_gives_the_same_pixels_and_its_end_is_told(cpu, colon):
    renderer = Renderer(*SIZE, cpu)
    renderer.load([colon.run.scene])
    painter = Painter(SIZE, "cpu")
    try:
        painter.load(colon)
        assert painter.engine == "cpu"
        for number in range(2 * SLOTS):
            state, noise = colon.run.states[40 * number], colon.run.noise_seeds[number]
            painter.shoot(*colon.camera_rows(state, noise), in_full=True)
            picture = painter.picture(STARTS_S)
            assert picture is not None
            expected = renderer.render([CameraShot(state, 0, noise)])
            np.testing.assert_array_equal(picture.rgbi, expected.rgbi[0].numpy())
            np.testing.assert_array_equal(picture.stats, expected.stats[0].numpy())
        assert painter.in_flight == 0
        assert painter.picture(0.01) is None
        assert painter._process.pid is not None
        os.kill(painter._process.pid, signal.SIGKILL)
        with pytest.raises(PainterGone, match="-9"):
            painter.picture(5.0)
    finally:
        painter.close()


def test_what_the_renderers_process_compiled_is_kept_when_it_is_closed(
    colon, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("QD_ADVANCED_OPTIMIZATION", "0")  # compiles in a third of the time
    painter = Painter(SIZE, "cpu")
    try:
        painter.load(colon)
        painter.shoot(*colon.camera_rows(colon.run.states[0], 0), in_full=True)
        assert painter.picture(STARTS_S) is not None
    finally:
        painter.close()
    assert len(list(tmp_path.rglob("*.qdc"))) > 3


@pytest.fixture
def view(tmp_path):
    """Starts `sim-view` in an empty folder; ends it if the test didn't."""
    begun = []

    def start(*flags):
        words = ["sim-view", "--port", "0", "--seed", str(SEED), "--resolution", "96x64"]
        process = subprocess.Popen(
            [sys.executable, "-m", "endoforge", *words, "--renderer", "cpu", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SSH_CONNECTION": "x"},
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def labels(root):
    return list(root.glob("run_*/labels/*.json"))


def test_ctrl_c_in_a_data_run_leaves_it_valid(view, tmp_path):
    root = tmp_path / "assets/datasets/captures"
    process = view("--mode", "datagen")
    assert "http://127.0.0.1:" in process.stdout.readline()
    assert "ssh -L" in process.stdout.readline()
    end = time.monotonic() + STARTS_S
    while len(labels(root)) < 3:
        assert time.monotonic() < end
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "--resume" in complaint
    assert complaint.splitlines()[-1] == "endoforge: interrupted"
    index = index_root(root)
    assert not index.dropped
    ours = json.loads((index.runs[0].path / "run_manifest.json").read_text())["endoforge"]
    assert ours["frames"] == len(index.frames) == len(labels(root))
    assert ours["complete"] is False


def test_mode_datagen_ends_by_itself(view, tmp_path):
    process = view("--mode", "datagen", "--max-frames", "4")
    output, complaint = process.communicate(timeout=STARTS_S)
    assert process.returncode == 0, complaint
    assert "1 run, 4 frames" in output
    index = index_root(tmp_path / "assets/datasets/captures")
    assert len(index.frames) == 4


def test_a_renderer_that_isnt_there_ends_it_with_one_line(view):
    process = view("--renderer", "metal")
    _, complaint = process.communicate(timeout=STARTS_S)
    assert process.returncode == 2
    assert complaint.splitlines()[-1].startswith("endoforge: error: --renderer metal")
