"""Checkpoints: weights to use, a state to resume from, and a JSON file to read."""

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from os.path import lexists
from pathlib import Path
from typing import Any

import torch

import endoforge
from endoforge.backends.arrays import Arrays, to_tensors
from endoforge.core.errors import UserError
from endoforge.core.files import (
    link_or_copy,
    link_or_copy_over,
    write_atomic,
    write_json_atomic,
)
from endoforge.core.folders import (
    FolderLock,
    make_folder,
    remove_files,
    remove_if_empty,
    remove_unfinished,
)
from endoforge.core.reading import read_regular
from endoforge.detect.packaged import MOST_WEIGHTS_BYTES, WEIGHTS_NAME
from endoforge.detect.weights import WeightsMetadata, save_weights
from endoforge.train.config import TrainConfig
from endoforge.train.saved import STATE_FORMAT, Facts, Saved, Spoilt, read_stored
from endoforge.train.state import TrainState

log = logging.getLogger(__name__)

DECIDE_FRAMES = ("input_root", "val_ratio", "stratify_split", "split_manifest", "real_val_dir")
"""Settings that show among the facts by the frames alone."""
FRAMES = ("the training frames", "the validation frames")
"""The facts by which they show."""

PREVIOUS_NAME, STATE_NAME = "tinydet_state_previous.pt", "tinydet_state.pt"
FILE_NAMES = (
    PREVIOUS_NAME,
    STATE_NAME,
    "tinydet_best.safetensors",
    WEIGHTS_NAME,
    "train.json",
)
"""Every file that a training writes; the states first, for without them it is none."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have `folder`, which is made if need be, to oneself; leave none that stays empty.

    Raises UserError if another training has it.
    """
    is_new = not lexists(folder)
    make_folder(folder)
    try:
        lock = FolderLock(folder)
    except BlockingIOError as error:
        raise UserError(
            f"another training is running in {folder}: wait for it, or give another --ckpt-dir"
        ) from error
    try:
        yield
    finally:
        lock.release()
        if is_new:
            remove_if_empty(folder)


class CheckpointFolder:
    """The files of one training in `--ckpt-dir`, which is `held`.

    `tinydet_state.pt` alone decides where a training resumes. It is written last, so that whatever
    is cut short, resuming from the state that is there writes the other files anew. The state
    before it is kept too, for the case that the disk spoils the last one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: TrainConfig,
        metadata: WeightsMetadata,
        facts: Facts,
        on_save: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_save` is called whenever the folder holds a save that is whole."""
        self.weights_path = folder / WEIGHTS_NAME
        self.best_path = folder / "tinydet_best.safetensors"
        self.state_path = folder / STATE_NAME
        self.previous_path = folder / PREVIOUS_NAME
        self.json_path = folder / "train.json"
        self._folder = folder
        self._config = config
        self._metadata = metadata
        self._facts = facts
        self._on_save = on_save

    def open(self) -> None:
        """Remove what a killed training left unfinished; with `--fresh`, the training itself."""
        for name in FILE_NAMES:
            remove_unfinished(self._folder, name)
        # Without a state the files here may be anybody's weights: `begin` keeps those under others'
        # names, --fresh or not.
        states = (self.previous_path, self.state_path)
        if self._config.fresh and any(path.exists() for path in states):
            log.info("--fresh: removing the training in %s", self._folder)
            remove_files(self._folder, FILE_NAMES)

    def load(self) -> Saved | None:
        """Read where the training stands; None where the folder holds none.

        A last state that is truncated or foreign is named, and the one before it taken. Raises
        UserError if that can't be used either, or if it is of another training.
        """
        spoilt: Spoilt | None = None
        for path in (self.state_path, self.previous_path):
            if not path.exists():
                continue
            try:
                stored = read_stored(path)
                self._check_same(stored.facts, stored.config)
                from_nothing = self._config.demo_checkpoint is None
                saved = stored.of(self._metadata.model, muon=from_nothing)
            except Spoilt as error:
                spoilt = spoilt or error
                continue
            if spoilt:
                log.warning("%s; going on from the state before it, %s", spoilt, path)
            self._miss_best(saved.state)
            return saved
        if spoilt:
            raise UserError(f"{spoilt}; --fresh starts over, another --ckpt-dir starts beside it")
        return None

    def begin(self, backend: dict[str, Any], state: TrainState) -> None:
        """Save the state that a new training starts from.

        Weights that lie here are of none that could go on: they get another name before.
        """
        there = [path for name in FILE_NAMES if (path := self._folder / name).is_file()]
        number = next(n for n in count(1) if not any(lexists(_kept(path, n)) for path in there))
        for path in there:
            link_or_copy(path, _kept(path, number))
        if there:
            names = ", ".join(_kept(path, number).name for path in there)
            log.warning(
                "%s held %s without a training to go on with: kept as %s",
                self._folder, ", ".join(path.name for path in there), names,
            )  # fmt: skip
        self.save_state(backend, state)

    def save(self, weights: Arrays, backend: dict[str, Any], state: TrainState) -> None:
        """Write all but the best weights; on return they outlive a power cut."""
        # The state last: cut short before it, a resume starts from the state of before and writes
        # weights and JSON anew; after it, all three are there.
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
        # Through memory, since torch.save to a path is neither atomic nor synced.
        buffer = io.BytesIO()
        torch.save(contents, buffer)
        self._keep_previous()
        write_atomic(self.state_path, buffer.getvalue(), sync=True)
        log.debug("saved %s", self.state_path)
        self._on_save()

    def save_best(self, weights: Arrays) -> None:
        """Keep `weights` as the best so far."""
        save_weights(self.best_path, to_tensors(weights), self._metadata)

    def use_best(self) -> None:
        """Make the best weights the ones to use."""
        write_atomic(self.weights_path, read_regular(self.best_path, MOST_WEIGHTS_BYTES), sync=True)

    def _keep_previous(self) -> None:
        """Give the present state a second name; there is always a state under the first."""
        if not self.state_path.exists():
            return
        link_or_copy_over(self.state_path, self.previous_path)

    def _miss_best(self, state: TrainState) -> None:
        """Say if the best weights are gone, and let the next validation be the best."""
        if state.best_epoch is None or self.best_path.is_file():
            return
        log.warning(
            "%s is gone, which held the best weights, of epoch %d: those of the next validation "
            "count as the best, however good they are",
            self.best_path, state.best_epoch + 1,
        )  # fmt: skip
        state.forget_best()

    def _check_same(self, saved: Facts, config: Mapping[str, Any]) -> None:
        """Raise UserError if it is another training, with what differs: the facts, and in place of
        the frames' the settings that decide which they are, where those differ."""
        # Names of both: a fact that only one of them knows is a difference too.
        differing = [
            name
            for name in (*self._facts, *(saved.keys() - self._facts.keys()))
            if saved.get(name) != self._facts.get(name)
        ]
        if not differing:
            return
        now = {name: getattr(self._config, name) for name in DECIDE_FRAMES}
        # "--val-ratio was 0.2, now 0.3" says more than two fingerprints, so it is told instead;
        # where no setting differs, the files do, and the fingerprints are all there is to tell.
        lines = changed_settings(config, now) if set(differing) & set(FRAMES) else []
        told = [name for name in differing if not (lines and name in FRAMES)]
        lines = [
            _changed(name, saved.get(name, "not there"), self._facts.get(name, "not there"))
            for name in told
        ] + lines
        raise UserError(
            f"{self._folder} holds another training: {'; '.join(lines)}. To go on with it, give "
            "its settings and data; to train beside it, --ckpt-dir OTHER; to start over in its "
            "place, --fresh"
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
    """The settings that were others when the training was saved: "--epochs was 2, now 4"."""
    return [
        _changed(f"--{name.replace('_', '-')}", saved.get(name), value)
        for name, value in now.items()
        if saved.get(name) != value
    ]


def _kept(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.kept-{number}{path.suffix}")


def _changed(name: str, before: Any, now: Any) -> str:
    return f"{name} was {_shown(before)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    """A setting in words: a flag that is on was given; facts have that as text."""
    if value is None or str(value) == "False":
        return "not given"
    if str(value) == "True":
        return "given"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
