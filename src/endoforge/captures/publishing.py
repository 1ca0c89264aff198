"""Complete runs where their root wants them: in its folder, or put whole into object storage."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from pydantic import ValidationError

from endoforge.captures.run_frames import read_manifest
from endoforge.captures.schema import MANIFEST_NAME, RunManifest
from endoforge.core.errors import UserError
from endoforge.core.files import move_file, write_json_atomic
from endoforge.core.folders import FolderLock, make_folder, remove_tree, scratch_folder
from endoforge.roots.bucket import AT_ONCE, Bucket
from endoforge.roots.places import is_plain_name
from endoforge.roots.putting import files_of, put_files

log = logging.getLogger(__name__)

COMPLETE = "complete"
"""The manifest's field, under `endoforge`, that says whether all frames are there."""


def publish_run(run_dir: Path, bucket: Bucket | None, *, stopping: Event | None = None) -> str:
    """Have the complete run at `run_dir`, which nobody writes any more, where its root is.

    Returns its path there, or its address. Without a `bucket` the root is the folder around it, and
    there is nothing to do. Else its files are put, images before labels and the manifest that says
    `complete` last, and it is removed here. Safe to call again after any end, also of a run that is
    there already. Where another run has its name in the bucket, it gets the next one that is free.
    Raises UserError if something can't be put: the run stays here. `stopping` ends it between two
    files, by PutStopped. Several processes and machines may publish to one root at once; raises
    BlockingIOError if another process of this machine is at this very run.
    """
    if bucket is None:
        return str(run_dir)
    with _own(run_dir):
        run_dir, manifest = _claimed(run_dir, bucket)
        names = files_of(run_dir)
        labels = [name for name in names if name.startswith("labels/")]
        images = [name for name in names if name not in labels and name != MANIFEST_NAME]
        stages = [images, labels, [MANIFEST_NAME]]
        put_files(bucket, run_dir, stages, below=run_dir.name, stopping=stopping)
        remove_tree(run_dir)
    log.debug("put %s/%s", bucket.root, run_dir.name)
    return manifest.run_dir


def complete_runs(folder: Path) -> list[Path]:
    """The runs in `folder` that say they are complete: those that a kill kept from being put."""
    return [run for run in sorted(folder.glob("run_*")) if _is_complete(run)]


def _is_complete(run: Path) -> bool:
    try:
        manifest = read_manifest(run)
    except (OSError, ValidationError):
        return False
    return bool(manifest is not None and (manifest.endoforge or {}).get(COMPLETE))


@contextmanager
def manifests_in(bucket: Bucket) -> Iterator[Path]:
    """A folder with a folder for each run of the bucket, which holds its manifest alone.

    It is gone at the end. Raises UserError if one can't be had.
    """
    with scratch_folder() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        fetched = []
        for name, stored in bucket.listed().items():
            run, _, file = name.partition("/")
            if run.startswith("run_") and file == MANIFEST_NAME and is_plain_name(name):
                make_folder(folder / run)
                fetched.append(pool.submit(bucket.fetch, name, folder / name, stored))
        for one in fetched:
            one.result()
        yield folder


def _claimed(run_dir: Path, bucket: Bucket) -> tuple[Path, RunManifest]:
    """The run's folder and manifest, by a name that is its own in the bucket.

    The name is taken by a manifest that isn't complete, which one of several machines gets written.
    """
    while True:
        manifest = read_manifest(run_dir)
        if manifest is None:
            raise UserError(f"{run_dir}: has no {MANIFEST_NAME}, so it is no complete run")
        unfinished = {**(manifest.endoforge or {}), COMPLETE: False}
        claim = manifest.model_copy(update={"endoforge": unfinished})
        name = f"{run_dir.name}/{MANIFEST_NAME}"
        if bucket.claim(name, claim.model_dump_json().encode()):
            return run_dir, manifest
        if _is_same(bucket.read(name), manifest):  # an earlier call didn't get to the end
            return run_dir, manifest
        number = int(run_dir.name.removeprefix("run_"))
        other = run_dir
        while other.exists():
            number += 1
            other = run_dir.with_name(f"run_{number}")
        named = manifest.model_copy(update={"run_dir": f"{bucket.root}/{other.name}"})
        write_json_atomic(run_dir / MANIFEST_NAME, named.model_dump(mode="json"))
        move_file(run_dir, other)
        run_dir = other


def _is_same(data: bytes | None, manifest: RunManifest) -> bool:
    try:
        there = RunManifest.model_validate_json(data or b"")
    except ValidationError:
        return False
    return (there.seed, there.started_at_unix) == (manifest.seed, manifest.started_at_unix)


@contextmanager
def _own(run_dir: Path) -> Iterator[None]:
    """Keep other processes of this machine away from the run."""
    lock = FolderLock(run_dir)
    try:
        yield
    finally:
        lock.release()
