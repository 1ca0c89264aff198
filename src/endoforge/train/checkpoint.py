"""Checkpoints: weights to use, a state to resume from, and a JSON file to read."""

import io
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import endoforge
from endoforge.backends.arrays import Arrays, to_arrays, to_tensors
from endoforge.core.errors import UserError
from endoforge.core.files import FolderLock, remove_unfinished, write_atomic, write_json_atomic
from endoforge.detect.weights import WeightsMetadata, save_weights
from endoforge.train.config import TrainConfig
from endoforge.train.state import TrainState

log = logging.getLogger(__name__)

STATE_FORMAT = 2

Facts = dict[str, str]
"""What must be the same for a training to resume, by the name that people know it by."""


@dataclass(frozen=True)
class Saved:
    """What a state file holds: where the training stood, all of the backend, and the settings."""

    state: TrainState
    backend: dict[str, Any]
    config: dict[str, Any]


class CheckpointFolder:
    """The files of one training in `--ckpt-dir`.

    `tinydet_state.pt` alone decides where a training resumes. It is written last, so that whatever
    is cut short, resuming from the state that is there writes the other files anew. The state
    before it is kept too, for the case that the disk spoils the last one.
    """

    def __init__(
        self, folder: Path, *, config: TrainConfig, metadata: WeightsMetadata, facts: Facts
    ) -> None:
        self.weights_path = folder / "tinydet.safetensors"
        self.best_path = folder / "tinydet_best.safetensors"
        self.state_path = folder / "tinydet_state.pt"
        self.previous_path = folder / "tinydet_state_previous.pt"
        self.json_path = folder / "train.json"
        self._folder = folder
        self._lock: FolderLock | None = None
        self._config = config
        self._metadata = metadata
        self._facts = facts

    def open(self) -> None:
        """Make the folder ready to be written to; with `--fresh`, remove the training in it.

        Raises UserError if another training has it open.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = FolderLock(self._folder)
        except BlockingIOError as error:
            raise UserError(
                f"another training is running in {self._folder}: wait for it, or give another "
                "--ckpt-dir"
            ) from error
        for path in self._files:
            remove_unfinished(self._folder, path.name)
        states = (self.previous_path, self.state_path)
        if self._config.fresh and any(path.exists() for path in states):
            log.info("--fresh: removing the training in %s", self._folder)
            for path in self._files:
                path.unlink(missing_ok=True)

    @property
    def _files(self) -> tuple[Path, ...]:
        """Every file that a training writes here; the states first, for without them it is none."""
        states = (self.previous_path, self.state_path)
        return (*states, self.best_path, self.weights_path, self.json_path)

    def close(self) -> None:
        """Let other trainings have the folder."""
        if self._lock is not None:
            self._lock.release()

    def load(self) -> Saved | None:
        """Where the training stands; None where there is none.

        A last state that is truncated or foreign is named, and the one before it taken. Raises
        UserError if that can't be used either, or if it is of another training.
        """
        spoilt: UserError | None = None
        for path in (self.state_path, self.previous_path):
            if not path.exists():
                continue
            try:
                saved = _read_state(path)
            except UserError as error:
                spoilt = spoilt or error
                continue
            if spoilt:
                log.warning("%s; going on from the state before it, %s", spoilt, path)
            self._check_same(path, saved["facts"])
            return Saved(TrainState(**saved["state"]), to_arrays(saved["backend"]), saved["config"])
        if spoilt:
            raise UserError(f"{spoilt}; --fresh starts over, another --ckpt-dir starts beside it")
        return None

    def save(self, weights: Arrays, backend: dict[str, Any], state: TrainState) -> None:
        """Write all but the best weights; on return they outlive a power cut."""
        save_weights(self.weights_path, to_tensors(weights), self._metadata)
        write_json_atomic(self.json_path, self._readable(state), sync=True)
        self.save_state(backend, state)

    def save_state(self, backend: dict[str, Any], state: TrainState) -> None:
        """Write the state alone: enough to resume from."""
        contents = {
            "format": STATE_FORMAT,
            "facts": self._facts,
            "config": asdict(self._config),
            "state": asdict(state),
            "backend": to_tensors(backend),
        }
        buffer = io.BytesIO()
        torch.save(contents, buffer)
        self._keep_previous()
        write_atomic(self.state_path, buffer.getvalue(), sync=True)
        log.debug("saved %s", self.state_path)

    def save_best(self, weights: Arrays) -> None:
        """Keep `weights` as the best so far."""
        save_weights(self.best_path, to_tensors(weights), self._metadata)

    def use_best(self) -> None:
        """Make the best weights the ones to use."""
        write_atomic(self.weights_path, self.best_path.read_bytes(), sync=True)

    def _keep_previous(self) -> None:
        """Give the present state a second name; there is always a state under the first."""
        if not self.state_path.exists():
            return
        spare = self.previous_path.with_name(f".{self.previous_path.name}.tmp")
        spare.unlink(missing_ok=True)
        try:
            os.link(self.state_path, spare)
        except OSError:  # a file system without hard links
            shutil.copyfile(self.state_path, spare)
        spare.replace(self.previous_path)

    def _check_same(self, path: Path, saved: Facts) -> None:
        differing = [
            f"{name} was {saved.get(name, 'not there')}, now {self._facts.get(name, 'not there')}"
            for name in (*self._facts, *(saved.keys() - self._facts.keys()))
            if saved.get(name) != self._facts.get(name)
        ]
        if differing:
            raise UserError(
                f"{path} is of another training ({'; '.join(differing)}): give the same settings "
                "and data to go on with it, another --ckpt-dir to train beside it, or --fresh to "
                "start over in its place"
            )

    def _readable(self, state: TrainState) -> dict[str, Any]:
        return {
            "version": endoforge.__version__,
            "config": asdict(self._config),
            "model": self._metadata.model.to_json(),
            "facts": self._facts,
            "state": asdict(state),
        }


def changed_settings(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What was told otherwise when the training was saved: "--epochs was 2, now 4"."""
    return [
        f"--{name.replace('_', '-')} was {_shown(saved.get(name))}, now {_shown(value)}"
        for name, value in now.items()
        if saved.get(name) != value
    ]


def _shown(value: Any) -> str:
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        if (damaged := zipfile.ZipFile(path).testzip()) is not None:  # torch.load doesn't look
            raise ValueError(f"wrong checksum of {damaged}")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that aren't ours make the unpickler raise anything
        raise UserError(f"{path}: truncated, damaged, or not a training state") from error
    if not isinstance(saved, dict) or saved.get("format") != STATE_FORMAT:
        raise UserError(f"{path}: not a training state of this version of EndoForge")
    return saved
