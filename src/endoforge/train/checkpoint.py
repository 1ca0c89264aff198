"""Checkpoints: weights to use, a state to resume from, and a JSON file to read."""

import io
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import endoforge
from endoforge.backends.base import Backend
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic, write_json_atomic
from endoforge.detect.weights import WeightsMetadata, save_weights
from endoforge.train.config import TrainConfig
from endoforge.train.state import TrainState

log = logging.getLogger(__name__)

STATE_FORMAT = 1

Facts = dict[str, str]
"""What must be the same for a training to resume, by the name that people know it by."""


class CheckpointFolder:
    """The files of one training in `--ckpt-dir`.

    `tinydet_state.pt` alone decides where a training resumes. It is written last, so that whatever
    is cut short, resuming from the state that is there writes the other files anew.
    """

    def __init__(
        self, folder: Path, *, config: TrainConfig, metadata: WeightsMetadata, facts: Facts
    ) -> None:
        self.weights_path = folder / "tinydet.safetensors"
        self.best_path = folder / "tinydet_best.safetensors"
        self.state_path = folder / "tinydet_state.pt"
        self.json_path = folder / "train.json"
        self._config = config
        self._metadata = metadata
        self._facts = facts
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, backend: Backend) -> TrainState:
        """Where the training stands, with `backend` brought there; a new one where none is.

        Raises UserError for a state that is truncated, foreign, or of another training.
        """
        if not self.state_path.exists():
            return TrainState()
        saved = _read_state(self.state_path)
        self._check_same(saved["facts"])
        backend.load_state_dict(saved["backend"])
        return TrainState(**saved["state"])

    def save(self, backend: Backend, state: TrainState) -> None:
        """Write all but the best weights; on return they outlive a power cut."""
        save_weights(self.weights_path, backend.weights(), self._metadata)
        write_json_atomic(self.json_path, self._readable(state), sync=True)
        contents = {
            "format": STATE_FORMAT,
            "facts": self._facts,
            "state": asdict(state),
            "backend": backend.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(contents, buffer)
        write_atomic(self.state_path, buffer.getvalue(), sync=True)
        log.debug("saved %s", self.state_path)

    def save_best(self, backend: Backend) -> None:
        """Keep the present weights as the best so far."""
        save_weights(self.best_path, backend.weights(), self._metadata)

    def _check_same(self, saved: Facts) -> None:
        differing = [
            f"{name} was {saved.get(name, 'not there')}, now {value}"
            for name, value in self._facts.items()
            if saved.get(name) != value
        ]
        if differing:
            raise UserError(
                f"{self.state_path} is of another training ({'; '.join(differing)}): give another "
                "--ckpt-dir to start a new one, or the same settings to go on with this one"
            )

    def _readable(self, state: TrainState) -> dict[str, Any]:
        return {
            "version": endoforge.__version__,
            "config": asdict(self._config),
            "model": self._metadata.model.to_json(),
            "facts": self._facts,
            "state": asdict(state),
        }


def _read_state(path: Path) -> dict[str, Any]:
    mend = "delete it, or give another --ckpt-dir, to start a new training"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that aren't ours make the unpickler raise anything
        raise UserError(f"{path}: truncated, or not a training state; {mend}") from error
    if not isinstance(saved, dict) or saved.get("format") != STATE_FORMAT:
        raise UserError(f"{path}: not a training state of this version of EndoForge; {mend}")
    return saved
