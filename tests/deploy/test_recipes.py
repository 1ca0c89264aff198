"""The recipes in deploy/: read by linters, and run here with stand-ins for the cluster."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from endoforge.captures.index import find_runs
from tests.train.conftest import write_root

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = sorted(DEPLOY.glob("slurm/*.sbatch"))
MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))
SMALL_DATAGEN = "--max-frames 2 --resolution 64x64 --renderer cpu --randomization plain"
SMALL_TRAINING = "--epochs 2 --batch-size 4 --target-size 64x32 --device cpu --val-ratio 0.33"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`srun` and `scontrol` as on a cluster of one node; the rest is real."""
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {
        "srun": 'exec "$@"',
        "scontrol": '[ "$*" = "show hostnames node[1-2]" ] && printf "localhost\\nother\\n"',
        "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
        "endoforge": f'exec {sys.executable} -m endoforge "$@"',
    }
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def run(*command: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    texts = {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **texts},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def container(manifest: str) -> dict[str, Any]:
    *_, job = yaml.safe_load_all((DEPLOY / "kubernetes" / manifest).read_text())
    (one,) = job["spec"]["template"]["spec"]["containers"]
    return dict(one)


def run_pod(manifest: str, more: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """What the container runs, with `more` flags at its end and some variables of another value."""
    pod = container(manifest)
    given = {one["name"]: one["value"] for one in pod["env"]}
    (script,) = pod["args"]
    return run(*pod["command"], f"{script.rstrip()} {more}\n", **(given | variables))


def test_there_are_recipes():
    assert len(SCRIPTS) == len(MANIFESTS) == 2


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_such_as_shellcheck_likes(script):
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck")
    found = run("shellcheck", str(script))
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_kubernetes_objects(manifest):
    for one in yaml.safe_load_all(manifest.read_text()):
        kubernetes_validate.validate(one, "1.33", strict=True)


def test_as_many_pods_as_are_counted_on():
    for manifest, variable in (("datagen.yaml", "PARTS"), ("train.yaml", "NODES")):
        *_, job = yaml.safe_load_all((DEPLOY / "kubernetes" / manifest).read_text())
        given = {one["name"]: one["value"] for one in container(manifest)["env"]}
        counts = job["spec"]["completions"], job["spec"]["parallelism"]
        assert counts == (int(given[variable]),) * 2


@pytest.mark.slow
@pytest.mark.usefixtures("stand_ins")
def test_tasks_of_an_array_make_all_runs(tmp_path):
    """Two runs by three tasks, of which one has nothing to do; a pod goes on and makes a third."""
    data = tmp_path / "captures"
    for task in (2, 0, 1):
        done = run(
            "bash", str(DEPLOY / "slurm/datagen.sbatch"), *SMALL_DATAGEN.split(),
            DATA=data, RUNS=2, SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_COUNT=3,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert len(find_runs(data)) == 2
    pod = {"DATA": data, "RUNS": 3, "PARTS": 1, "JOB_COMPLETION_INDEX": 0}
    done = run_pod("datagen.yaml", SMALL_DATAGEN, **pod)
    assert done.returncode == 0, done.stderr
    assert len(find_runs(data)) == 3


def test_without_a_folder_they_say_so(tmp_path):
    for script in SCRIPTS:
        done = run("bash", str(script), DATA="", CKPT_DIR=tmp_path)
        assert done.returncode != 0
        assert "DATA: name the folder of the runs, which all nodes see" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("cluster", ["slurm", "kubernetes"])
def test_trainings_train(cluster, tmp_path):
    """With two processes, of one node."""
    data, checkpoints = write_root(tmp_path / "captures", 3, 5), tmp_path / "checkpoints"
    folders = {"DATA": data, "CKPT_DIR": checkpoints, "PROCESSES": 2}
    if cluster == "slurm":
        done = run(
            "bash", str(DEPLOY / "slurm/train.sbatch"), *SMALL_TRAINING.split(),
            SLURM_JOB_NODELIST="node[1-2]", SLURM_JOB_NUM_NODES=1, SLURM_JOB_ID=7, **folders,
        )  # fmt: skip
    else:
        done = run_pod(
            "train.yaml", SMALL_TRAINING, NODES=1, FIRST="localhost", JOB_COMPLETION_INDEX=0,
            **folders,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "on 2 processes, cpu" in done.stderr
    assert (checkpoints / "tinydet.safetensors").exists()
