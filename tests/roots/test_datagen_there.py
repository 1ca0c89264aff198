"""`datagen` into a bucket: each run put when it is complete, after any end gone on with."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from endoforge.captures.publishing import publish_run
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, image_name
from endoforge.cli import run
from endoforge.core.errors import UserError
from endoforge.core.folders import FolderLock
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.resume import seed_to_resume
from endoforge.roots.fetching import fetch
from endoforge.sim.simulator import render_runs
from tests.datagen.conftest import SIZE, data_set
from tests.roots.s3 import BROKEN, DENIED, SLOW_DOWN

FLAGS: dict[str, Any] = {
    "seed": 7,
    "runs": 3,
    "max_frames": 2,
    "resolution": SIZE,
    "renderer": "cpu",
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What the same job writes to a folder."""
    folder = tmp_path_factory.mktemp("alone")
    generate(DatagenConfig(output_root=str(folder), **FLAGS))
    return data_set(folder)


@pytest.fixture
def config(store, other_machine):
    def make(**others):
        return DatagenConfig(**({"output_root": store.address("caps")} | FLAGS | others))

    assert other_machine
    return make


def outgoing(store, tmp_path, machine="here"):
    folder = tmp_path / machine / "outgoing/s3" / store.name / "caps"
    return sorted(folder.glob("run_*"))


def runs_in(store):
    return data_set(fetch(store.address("caps"), "--input-root"))


def test_its_runs_are_those_of_a_folder_and_none_stays_here(store, config, alone, tmp_path):
    report = generate(config())
    assert runs_in(store) == alone
    assert outgoing(store, tmp_path) == []
    assert report.lines()[0].startswith(f"{store.address('caps')}: 3 runs, 6 frames")
    names = sorted(store.names("caps/"))
    manifest = json.loads(store.get(next(name for name in names if "manifest" in name)))
    assert manifest["output_root"] == store.address("caps")
    assert manifest["run_dir"].startswith(store.address("caps/run_"))


def test_images_come_before_labels_and_the_manifest_last(store, config):
    generate(config(runs=1))
    puts = [path for path in store.faults.paths("PUT") if "/run_" in path]
    kinds = [path.split("/")[-2] if "frame" in path else "manifest" for path in puts]
    # The first manifest takes the name, and says that the run isn't complete.
    assert kinds == ["manifest", "images", "images", "labels", "labels", "manifest"]


@pytest.mark.parametrize("fault", [SLOW_DOWN, BROKEN])
def test_a_put_that_fails_twice_is_tried_again(store, config, alone, fault):
    store.faults.first(2, fault, "PUT", "frame_00001.png")
    generate(config())
    assert runs_in(store) == alone


def test_a_run_that_cannot_be_put_is_kept_and_put_by_resume(
    store, config, alone, tmp_path, monkeypatch
):
    monkeypatch.setattr("endoforge.roots.bucket.PATIENCE_S", 0.05)
    store.faults.always(SLOW_DOWN, "PUT", "labels")
    with pytest.raises(UserError, match=r"the run is whole in .*, and the same command with --res"):
        generate(config())
    assert outgoing(store, tmp_path)
    store.faults.clear()
    report = generate(config(resume=True))
    assert report.complete_before >= 1
    assert runs_in(store) == alone
    assert outgoing(store, tmp_path) == []


def test_another_machine_makes_what_the_first_began(store, config, alone, other_machine):
    """The first ended in the midst of a put: the bucket has a run's images, and says so."""
    generate(config())
    names = sorted(store.names("caps/"))
    runs = sorted({name.split("/")[1] for name in names})
    for name in names:
        if runs[0] in name:
            store.remove(name)  # never begun
        if runs[1] in name and "labels" in name:
            store.remove(name)
    key = f"caps/{runs[1]}/run_manifest.json"
    manifest = json.loads(store.get(key))
    manifest["endoforge"]["complete"] = False
    store.put(key, json.dumps(manifest).encode())
    other_machine("there")
    assert seed_to_resume(store.address("caps")) == 7
    report = generate(config(resume=True))
    assert (report.complete_before, report.resumed, report.frames) == (1, 1, 4)
    assert runs_in(store) == alone
    assert runs[1] in {name.split("/")[1] for name in store.names("caps/")}


def test_interrupted_it_goes_on_with_resume(store, config, alone, monkeypatch, tmp_path):
    def interrupted(*args):
        batches = render_runs(*args)
        yield next(batches)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("endoforge.datagen.recording.render_runs", interrupted)
        patch.setattr("endoforge.datagen.recording.default_batch_size", lambda _: 2)
        with pytest.raises(KeyboardInterrupt):
            generate(config())
    generate(config(resume=True))
    assert runs_in(store) == alone
    assert outgoing(store, tmp_path) == []


def test_other_settings_are_refused_by_what_the_bucket_has(config, other_machine):
    generate(config(runs=1))
    other_machine("there")
    with pytest.raises(UserError, match=r"--resume: .*of the same base seed was made with"):
        generate(config(resume=True, max_frames=3))


def a_run(root, seed=1):
    """A complete run of one small frame."""
    recorder = RunRecorder.create(root, seed=seed, max_frames=None, extra={})
    label = FrameLabel(
        frame_id=0,
        sim_time=0.0,
        unix_time=0.0,
        image=image_name(0),
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=[],
    )
    recorder.write(np.zeros((8, 8, 3), np.uint8), label)
    recorder.finish()
    return recorder.run_dir


def test_of_two_machines_that_take_one_name_each_gets_its_own(store, tmp_path):
    first, second = a_run(tmp_path / "one", seed=1), a_run(tmp_path / "two", seed=2)
    twin = second.with_name(first.name)
    second.rename(twin)
    bucket = store.bucket("caps")
    assert publish_run(first, bucket) == str(first)
    following = f"run_{int(first.name.removeprefix('run_')) + 1}"
    assert publish_run(twin, bucket) == f"{bucket.root}/{following}"
    manifests = [store.get(f"caps/{name}/run_manifest.json") for name in (first.name, following)]
    assert [json.loads(manifest)["seed"] for manifest in manifests] == [1, 2]
    assert all(json.loads(manifest)["endoforge"]["complete"] for manifest in manifests)
    assert len(store.names("caps/")) == 6


def test_a_run_that_is_put_again_is_there_once(store, tmp_path):
    run_dir = a_run(tmp_path / "one")
    shutil.copytree(run_dir, tmp_path / "again" / run_dir.name)
    publish_run(run_dir, store.bucket("caps"))
    publish_run(tmp_path / "again" / run_dir.name, store.bucket("caps"))
    assert len(store.names("caps/")) == 3
    assert not run_dir.exists()


def test_a_run_of_a_folder_stays(tmp_path):
    assert publish_run(tmp_path / "run_1", None) == str(tmp_path / "run_1")


def test_a_run_that_another_process_puts_is_left_to_it(store, tmp_path):
    run_dir = a_run(tmp_path)
    lock = FolderLock(run_dir)
    with pytest.raises(BlockingIOError):
        publish_run(run_dir, store.bucket("caps"))
    lock.release()
    assert run_dir.is_dir()


@pytest.mark.parametrize(
    ("words", "method", "said"),
    [
        ([], "PUT", "these credentials may not write there"),
        (["--prune-empty"], None, "--prune-empty is for folders; leave it out"),
        (["--output-root", "s3://no-such-bucket/caps"], None, "there is no such bucket"),
        (["--randomization", "s3://bucket/ranges.toml"], None, "is for folders and files of this"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_rendered(
    store, words, method, said, monkeypatch, capsys
):
    def start(*_):
        raise AssertionError("a renderer is started")

    monkeypatch.setattr("endoforge.datagen.generate.start_engine", start)
    if method is not None:
        store.faults.always(DENIED, method)
    line = ["datagen", "--seed", "3", "--output-root", store.address("caps"), *words]
    assert run(line) == 2
    assert said in capsys.readouterr().err
    assert Path("s3:").exists() is False
