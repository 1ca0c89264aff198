"""Small jobs on the CPU, and what they leave on disk as values to compare."""

import json
from pathlib import Path
from typing import Any

from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.job_report import DatagenReport

SIZE = "160x96"
WHERE_AND_WHEN = ("output_root", "run_dir", "started_at_unix")


def job(root: Path, **flags: Any) -> DatagenReport:
    """`datagen` with `flags`, small and on the CPU."""
    small = {"output_root": str(root), "renderer": "cpu"}
    if "from_manifest" not in flags:
        small["resolution"] = SIZE
    return generate(DatagenConfig(**(small | flags)))


def manifest(run_dir: Path) -> dict[str, Any]:
    """A run's manifest but for what says where and when it was made."""
    values: dict[str, Any] = json.loads((run_dir / "run_manifest.json").read_text())
    return {name: value for name, value in values.items() if name not in WHERE_AND_WHEN}


def contents(run_dir: Path) -> dict[str, Any]:
    """Every file of a run, hidden ones too, by name: its bytes, of the manifest `manifest()`."""
    files = {
        str(path.relative_to(run_dir)): path.read_bytes()
        for path in run_dir.rglob("*")
        if path.is_file() and path.name != "run_manifest.json"
    }
    return {**files, "run_manifest.json": manifest(run_dir)}


def data_set(root: Path) -> dict[int, dict[str, Any]]:
    """All runs under `root` by their index; fails if one is there twice."""
    runs = [contents(run_dir) for run_dir in root.glob("run_*")]
    by_index = {run["run_manifest.json"]["endoforge"]["run_index"]: run for run in runs}
    assert len(by_index) == len(runs)
    return by_index
