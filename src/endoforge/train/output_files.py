"""The outputs of a training, tried before anything is loaded."""

import json
import logging
import os
from collections.abc import Callable, Iterator
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
from endoforge.roots.bucket import Bucket
from endoforge.roots.checking import check_output_root
from endoforge.roots.places import cloud_root, written_to
from endoforge.sim.randomization import ranges_file
from endoforge.train.checkpoint import FILE_NAMES, held
from endoforge.train.cloud_saves import CloudSaves
from endoforge.train.config import DEBUG_NAME, TrainConfig
from endoforge.train.mlflow_run import mlflow_folder

log = logging.getLogger(__name__)


@contextmanager
def outputs_of(config: TrainConfig, group: Group) -> Iterator[Callable[[], None]]:
    """Try all outputs, and keep other trainings out of `--ckpt-dir`; the main process alone does.

    Yields what is to be called after each save. Of a `--ckpt-dir` in object storage the last save
    is brought first; each new one is put from then on, and the last one is there at the end.
    Raises UserError, in the words of the flags, for what can't be written or may not be.
    """
    if not group.is_main:
        yield _nothing
        return
    _refuse_outside(config)
    bucket = check_output_root("--ckpt-dir", config.ckpt_dir)
    check_outputs(config)
    folder = written_to(config.ckpt_dir)
    with held(folder), _saves(config, bucket, folder) as on_save:
        if bucket is not None:
            check_outputs(config)  # now that what the bucket holds is here
        if config.status_file is not None:
            _refuse_no_status(config.status_file)
        yield on_save


@contextmanager
def _saves(
    config: TrainConfig, bucket: Bucket | None, folder: Path
) -> Iterator[Callable[[], None]]:
    if bucket is None:
        yield _nothing
        return
    others = {name for _, name in _in_cloud(config)}
    saves = CloudSaves(bucket, folder, others)
    saves.bring()
    try:
        yield saves.put_later
    except BaseException:
        try:
            saves.finish()
        except UserError as error:  # which isn't why it ended
            log.error("%s", error)
        raise
    saves.finish()


def _nothing() -> None:
    """What is done after each save where a folder of this machine holds it."""


def _refuse_outside(config: TrainConfig) -> None:
    """Raises UserError for a file in object storage that isn't in `--ckpt-dir`."""
    for flag, _ in _in_cloud(config):
        given = _FILES[flag](config)
        assert given is not None
        root, place = cloud_root(config.ckpt_dir), cloud_root(given)
        assert place is not None
        if root is None or not place.mirror.parent.is_relative_to(root.mirror):
            raise UserError(
                f"{flag} {given}: a file in object storage goes with the saves, so it must lie in "
                "a --ckpt-dir that is there too; name it in that one, or a file of this machine"
            )


_FILES: dict[str, Callable[[TrainConfig], str | None]] = {
    "--metrics-out": lambda config: config.metrics_out,
    "--status-file": lambda config: config.status_file,
    "--split-manifest": lambda config: config.split_manifest,
}


def _in_cloud(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Yield the flags whose files have addresses, and the files' names from `--ckpt-dir` on."""
    for flag, given_by in _FILES.items():
        given = given_by(config)
        if given is not None and cloud_root(given) is not None:
            name = os.path.relpath(written_to(given), written_to(config.ckpt_dir))
            yield flag, name.replace(os.sep, "/")


def check_outputs(config: TrainConfig) -> None:
    """Raises UserError for an output that can't be written, or that is or lies in an input."""
    folder = written_to(config.ckpt_dir)
    for name in FILE_NAMES:
        check_output_file("--ckpt-dir", folder / name)
    if config.debug_batch:
        check_output_file("--debug-batch", folder / DEBUG_NAME)
    if config.tensorboard is not None:
        check_output_folder("--tensorboard", config.tensorboard)
    if config.mlflow is not None and (runs := mlflow_folder(config.mlflow)) is not None:
        check_output_folder("--mlflow", runs)
    if config.metrics_out is not None:
        check_output_file("--metrics-out", written_to(config.metrics_out), appended=True)
    if config.status_file is not None:
        check_output_file("--status-file", written_to(config.status_file))
    if (manifest := _manifest_to_write(config)) is not None:
        check_output_file("--split-manifest", written_to(manifest))
    _refuse_one_file_twice(config)
    _refuse_in_inputs(config)
    if config.metrics_out is not None:
        refuse_no_metrics("--metrics-out", written_to(config.metrics_out))


def _refuse_no_status(file: str) -> None:
    """Raises UserError if something else is there, which would be written over."""
    path = written_to(file)
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
    if given is None or "--split-manifest" in config.unused or written_to(given).exists():
        return None
    return given


def _refuse_one_file_twice(config: TrainConfig) -> None:
    """Raise UserError if two outputs are one file, or an output is a file that is read."""
    start = config.demo_checkpoint if config.demo_checkpoint != PACKAGED else None
    ranges = config.randomization
    folder = written_to(config.ckpt_dir)
    written = [folder / name for name in FILE_NAMES]
    if start is not None and Path(start).resolve() in [path.resolve() for path in written]:
        raise UserError(
            f"--demo-checkpoint {start}: the training would write over it; give another --ckpt-dir"
        )
    refuse_same(
        {f"--ckpt-dir ({path.name})": path for path in written}
        | {
            "--debug-batch": folder / DEBUG_NAME if config.debug_batch else None,
            "--demo-checkpoint": start,
            "--randomization": ranges and ranges_file(ranges),
        }
        | {
            flag: None if (given := given_by(config)) is None else written_to(given)
            for flag, given_by in _FILES.items()
        }
    )


def _refuse_in_inputs(config: TrainConfig) -> None:
    roots = {"--real-val-dir": config.real_val_dir}
    if not config.simulate:
        roots["--input-root"] = config.input_root
    outputs = {
        "--ckpt-dir": config.ckpt_dir,
        "--tensorboard": config.tensorboard,
        "--mlflow": config.mlflow and mlflow_folder(config.mlflow),
        "--metrics-out": config.metrics_out,
        "--status-file": config.status_file,
        "--split-manifest": _manifest_to_write(config),
    }
    for root_flag, root in roots.items():
        for flag, output in outputs.items():
            if root is not None and output is not None:
                refuse_in_runs(flag, output, root_flag, root)
