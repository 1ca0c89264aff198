"""The simulated frames of a training: what it learns from, and what it is validated on."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass

import torch

from endoforge.backends.group import Group
from endoforge.core.checks import check_render_size
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.machine import cpu_cores
from endoforge.core.noticeboard import Noticeboard
from endoforge.core.text import counted
from endoforge.data.classes import Classes
from endoforge.data.loader import Shard
from endoforge.data.pack import LabelledInputs
from endoforge.data.split import fingerprint
from endoforge.sim.bakery import LOOKS, Recipe
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.randomization import Randomization, chosen_randomization
from endoforge.sim.timetable import RUNS_AT_ONCE, VIEWS_A_RUN
from endoforge.train.config import TrainConfig
from endoforge.train.recorded import (
    fetch_real,
    log_dropped,
    log_unknown,
    pack_validation,
    real_index,
    usable,
)
from endoforge.train.saved import Facts
from endoforge.train.simulated_batches import SimulatedLoader, simulated_classes
from endoforge.train.simulated_validation import ValidationSet, simulated_validation
from endoforge.train.summary import lines_on_missing_boxes

log = logging.getLogger(__name__)

MOST_WORKERS = 16
"""Processes that make runs. Eight let an H200 wait, whose host's cores took a second a colon."""


@dataclass(frozen=True)
class SimulatedSource:
    """Frames to render and learn from, and a fixed set to validate on: a `TrainingSource`."""

    config: TrainConfig
    engine: Engine
    recipe: Recipe
    steps_an_epoch: int
    shard: Shard
    board: Noticeboard
    class_names: Classes
    validation: ValidationSet

    @property
    def val(self) -> LabelledInputs:
        """The frames to validate on; classes beyond those that are learned come last."""
        return self.validation.inputs

    def batches(self) -> SimulatedLoader:
        """Batches, rendered as they are asked for: this process's part of them."""
        return SimulatedLoader(
            self.engine,
            self.recipe,
            batch_size=self.config.batch_size,
            batches_an_epoch=self.steps_an_epoch,
            max_boxes=self.config.max_boxes,
            class_names=self.class_names,
            runs_at_once=RUNS_AT_ONCE,
            workers=num_workers(self.board.count),
            shard=self.shard,
            board=self.board,
        )

    @property
    def facts(self) -> Facts:
        """What must not change under a training: all that its frames follow from."""
        ranges = json.dumps(asdict(self.recipe.randomization), sort_keys=True)
        return {
            "the training frames": "simulated",
            "--steps / --epochs": str(self.steps_an_epoch),
            "--randomization": hashlib.sha256(ranges.encode()).hexdigest()[:12],
            "the validation frames": f"{len(self.val)} ({self.validation.fingerprint[:12]})",
        }


def load_simulated(
    config: TrainConfig, steps: int, device: torch.device, group: Group
) -> SimulatedSource:
    """Make ready to render what `config` asks for on `device`, in `steps` steps; tell the user.

    Raises UserError for a size, a device or a file that can't be used.
    """
    for flag, size in (
        ("--target-size", config.input_size),
        ("--val-target-size", config.val_input_size),
    ):
        check_render_size(f"{flag} {size[0]}x{size[1]}", size, when="with --simulate ")
    ranges = chosen_randomization(config.randomization)
    engine = engine_on(device)
    recipe = Recipe(config.seed, ranges, config.input_size, VIEWS_A_RUN)
    classes = simulated_classes(config.label)
    source = SimulatedSource(
        config,
        engine,
        recipe,
        steps // config.epochs,
        group.shard,
        group.board,
        classes,
        _validation(config, engine, ranges, classes),
    )
    log_unknown(source.val, classes)
    _log_summary(source)
    for line in lines_on_missing_boxes(None, source.val, config.label):
        log.warning("%s", line)
    return source


def _validation(
    config: TrainConfig, engine: Engine, ranges: Randomization, classes: Classes
) -> ValidationSet:
    fetch_real(config)
    real = real_index(config)
    if real is None:
        max_boxes = config.val_max_boxes or config.max_boxes
        return simulated_validation(engine, ranges, config.val_input_size, max_boxes, classes)
    pack = pack_validation(config, usable(real), classes)
    log_dropped(pack.tally)
    return ValidationSet(pack, fingerprint(pack.frames), len({frame.run for frame in pack.frames}))


def num_workers(processes: int) -> int:
    """How many processes make runs for each of so many `processes` that train on a machine."""
    return max(1, min(MOST_WORKERS, cpu_cores() // processes))


def engine_on(device: torch.device) -> Engine:
    """What renders on the device that is trained on; UserError if nothing does."""
    names: dict[str, RendererName] = {
        "cpu": "cpu",
        "cuda": "amdgpu" if torch.version.hip else "cuda",
        "mps": "metal",
    }
    if device.type not in names:
        raise UserError(
            f"--simulate: nothing renders on {device.type}: give --device cpu, or record runs "
            "with `endoforge datagen` first"
        )
    if device.index:
        raise UserError(
            f"--simulate renders on the first GPU that a process sees, not on {device}: set "
            "CUDA_VISIBLE_DEVICES for each process"
        )
    return start_engine(names[device.type])


def _log_summary(source: SimulatedSource) -> None:
    config, val = source.config, source.val
    frames = source.steps_an_epoch * config.epochs * config.batch_size
    # Those it begins with, and one more each time that as many frames as a run has were shown.
    runs = RUNS_AT_ONCE + (frames - 1) // VIEWS_A_RUN
    log.info(
        "training on %s of %s (%d colons, %d looks of each) on %s: %d runs "
        "at a time, %s views of each",
        counted(frames, "simulated frame"), counted(runs, "run"), -(-runs // LOOKS), LOOKS,
        source.engine.name, RUNS_AT_ONCE, f"{VIEWS_A_RUN:,}",
    )  # fmt: skip
    with_boxes = sum(len(boxes) > 0 for boxes in val.boxes)
    log.info(
        "validating on %s of %s, %d with boxes (%.1f %%)",
        counted(len(val), "recorded frame" if config.real_val_dir else "simulated frame"),
        counted(source.validation.num_runs, "run"),
        with_boxes,
        100 * with_boxes / len(val),
    )
