"""The outputs of a training, tried before anything is loaded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from endoforge.backends.group import Group
from endoforge.captures.only_read import refuse_in_runs
from endoforge.core.errors import UserError
from endoforge.core.outputs import (
    check_output_file,
    check_output_folder,
    refuse_no_metrics,
    refuse_same,
)
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.detect.packaged import PACKAGED
from endoforge.sim.randomization import ranges_file
from endoforge.train.checkpoint import FILE_NAMES, held
from endoforge.train.config import DEBUG_NAME, TrainConfig


@contextmanager
def outputs_of(config: TrainConfig, group: Group) -> Iterator[None]:
    """Try all outputs, and keep other trainings out of `--ckpt-dir`; the main process alone does.

    Raises UserError, in the words of the flags, for what can't be written or may not be.
    """
    if not group.is_main:
        yield
        return
    check_outputs(config)
    with held(Path(config.ckpt_dir)):
        if config.status_file is not None:
            _refuse_no_status(config.status_file)
        yield


def check_outputs(config: TrainConfig) -> None:
    """Raises UserError for an output that can't be written, or that is or lies in an input."""
    check_output_folder("--ckpt-dir", config.ckpt_dir)
    for name in FILE_NAMES:
        check_output_file("--ckpt-dir", Path(config.ckpt_dir) / name)
    if config.debug_batch:
        check_output_file("--debug-batch", Path(config.ckpt_dir) / DEBUG_NAME)
    if config.tensorboard is not None:
        check_output_folder("--tensorboard", config.tensorboard)
    if config.metrics_out is not None:
        check_output_file("--metrics-out", config.metrics_out, appended=True)
    if config.status_file is not None:
        check_output_file("--status-file", config.status_file)
    if (manifest := _manifest_to_write(config)) is not None:
        check_output_file("--split-manifest", manifest)
    _refuse_one_file_twice(config)
    _refuse_in_inputs(config)
    if config.metrics_out is not None:
        refuse_no_metrics("--metrics-out", config.metrics_out)


def _refuse_no_status(file: str) -> None:
    """Raises UserError if something else is there, which would be written over."""
    path = Path(file)
    try:
        text = read_regular(path, MOST_LABEL_BYTES) if path.exists() else b""
        status = json.loads(text) if text else {"status": None}
    except (OSError, ValueError, RecursionError):
        status = None
    if not isinstance(status, dict) or "status" not in status:
        raise UserError(f"--status-file {file}: is there, but is no status file; name another")


def _manifest_to_write(config: TrainConfig) -> str | None:
    """The manifest that will be written; None where no split is made, or one is read."""
    given = config.split_manifest
    if given is None or "--split-manifest" in config.unused or Path(given).exists():
        return None
    return given


def _refuse_one_file_twice(config: TrainConfig) -> None:
    """Raise UserError if two outputs are one file, or an output is a file that is read."""
    start = config.demo_checkpoint if config.demo_checkpoint != PACKAGED else None
    ranges = config.randomization
    written = [Path(config.ckpt_dir) / name for name in FILE_NAMES]
    if start is not None and Path(start).resolve() in [path.resolve() for path in written]:
        raise UserError(
            f"--demo-checkpoint {start}: the training would write over it; give another --ckpt-dir"
        )
    refuse_same(
        {f"--ckpt-dir ({path.name})": path for path in written}
        | {
            "--debug-batch": Path(config.ckpt_dir) / DEBUG_NAME if config.debug_batch else None,
            "--demo-checkpoint": start,
            "--randomization": ranges and ranges_file(ranges),
            "--split-manifest": config.split_manifest,
            "--metrics-out": config.metrics_out,
            "--status-file": config.status_file,
        }
    )


def _refuse_in_inputs(config: TrainConfig) -> None:
    roots = {"--real-val-dir": config.real_val_dir}
    if not config.simulate:
        roots["--input-root"] = config.input_root
    outputs = {
        "--ckpt-dir": config.ckpt_dir,
        "--tensorboard": config.tensorboard,
        "--metrics-out": config.metrics_out,
        "--status-file": config.status_file,
        "--split-manifest": _manifest_to_write(config),
    }
    for root_flag, root in roots.items():
        for flag, output in outputs.items():
            if root is not None and output is not None:
                refuse_in_runs(flag, output, root_flag, root)
