"""Measures `datagen`: frames a second, from seeds to PNG and JSON on disk."""

import statistics
from dataclasses import replace
from pathlib import Path

from endoforge.core.folders import scratch_folder
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.job_report import DatagenReport

ROUNDS = 3


def frames_per_second(config: DatagenConfig) -> tuple[str, float]:
    """Measure frames a second, the median over rounds of other seeds, and say what rendered.

    The frames go to a temporary folder, whatever `config` says.
    """
    with scratch_folder() as folder:
        _record(replace(config, runs=1), folder, 0)  # compiles the kernels
        reports = [_record(config, folder, 1 + k) for k in range(ROUNDS)]
    rates = [report.frames / report.seconds for report in reports]
    return reports[0].renderer, statistics.median(rates)


def _record(config: DatagenConfig, root: Path, seed: int) -> DatagenReport:
    return generate(replace(config, seed=seed, output_root=str(root / str(seed))))
