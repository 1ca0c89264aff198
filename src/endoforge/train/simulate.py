"""What a training with --simulate learns from and is validated on."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from endoforge.backends.group import Group
from endoforge.core.errors import UserError
from endoforge.core.machine import cpu_cores
from endoforge.data.classes import Classes
from endoforge.data.loader import BatchSource
from endoforge.data.pack import Pack
from endoforge.data.simulated import SimulatedLoader, simulated_classes, validation_pack
from endoforge.data.split import fingerprint
from endoforge.sim.bakery import Recipe
from endoforge.sim.engine import Engine, RendererName, start_engine
from endoforge.sim.randomization import Randomization, load_randomization
from endoforge.sim.simulator import LEAST_SIDE_PX, MOST_SIDE_PX
from endoforge.sim.timetable import RUNS_AT_ONCE, VIEWS_A_RUN
from endoforge.train.config import TrainConfig
from endoforge.train.data import log_dropped, log_unknown, pack_validation, real_index, usable
from endoforge.train.saved import Facts

log = logging.getLogger(__name__)

MOST_WORKERS = 8
"""Processes that make runs: together some 45 runs a second, four times what 10,000 frames take."""


@dataclass(frozen=True)
class SimulatedData:
    """Frames to render and learn from, and a fixed set to validate on."""

    engine: Engine
    recipe: Recipe
    steps_an_epoch: int
    val: Pack
    class_names: Classes
    train: None = None
    """No frame of these is there before it is learned from."""

    def loader(
        self,
        config: TrainConfig,
        group: Group,
        device: torch.device,  # noqa: ARG002
    ) -> BatchSource:
        """Batches, rendered as they are asked for: this process's part of them."""
        return SimulatedLoader(
            self.engine,
            self.recipe,
            batch_size=config.batch_size,
            batches_an_epoch=self.steps_an_epoch,
            max_boxes=config.max_boxes,
            class_names=self.class_names,
            runs_at_once=RUNS_AT_ONCE,
            workers=num_workers(group.size),
            shard=group.shard,
        )

    @property
    def facts(self) -> Facts:
        """What must not change under a training."""
        ranges = json.dumps(asdict(self.recipe.randomization), sort_keys=True)
        return {
            "the training frames": "simulated",
            "--steps / --epochs": str(self.steps_an_epoch),
            "--randomization": hashlib.sha256(ranges.encode()).hexdigest()[:12],
            "the validation frames": f"{len(self.val)} ({fingerprint(self.val.frames)[:12]})",
        }


def simulate(config: TrainConfig, device: torch.device) -> SimulatedData:
    """What `config`, with `simulate`, asks for, rendered on `device`; tell the user.

    Raises UserError for a size, a device or a file that can't be used.
    """
    assert config.steps is not None
    for flag, size in (
        ("--target-size", config.input_size),
        ("--val-target-size", config.val_input_size),
    ):
        _check_size(flag, size)
    ranges = Randomization()
    if config.randomization is not None:
        ranges = load_randomization(Path(config.randomization))
    engine = engine_on(device)
    recipe = Recipe(config.seed, ranges, config.input_size, VIEWS_A_RUN)
    classes = simulated_classes(config.label)
    data = SimulatedData(
        engine,
        recipe,
        config.steps // config.epochs,
        _validation(config, engine, ranges, classes),
        classes,
    )
    log_unknown(data.val, classes)
    _log_summary(config, data)
    return data


def _validation(
    config: TrainConfig, engine: Engine, ranges: Randomization, classes: Classes
) -> Pack:
    real = real_index(config)
    if real is not None:
        pack = pack_validation(config, usable(real), classes)
    else:
        max_boxes = config.val_max_boxes or config.max_boxes
        pack = validation_pack(engine, ranges, config.val_input_size, max_boxes, classes)
    log_dropped(pack.tally)
    return pack


def num_workers(processes: int) -> int:
    """Processes that make runs, for each of so many that train."""
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
            "--simulate renders on the first GPU of a machine only: start one process a machine"
        )
    return start_engine(names[device.type])


def _check_size(flag: str, size: tuple[int, int]) -> None:
    if min(size) < LEAST_SIDE_PX or max(size) > MOST_SIDE_PX:
        width, height = size
        raise UserError(
            f"{flag} {width}x{height}: with --simulate each side must be {LEAST_SIDE_PX} to "
            f"{MOST_SIDE_PX} pixels"
        )


def _log_summary(config: TrainConfig, data: SimulatedData) -> None:
    assert config.steps is not None
    frames = config.steps * config.batch_size
    runs = RUNS_AT_ONCE + (frames - 1) // VIEWS_A_RUN
    log.info(
        "training on %s simulated frames of %d runs on %s: %d runs at a time, %s views of each",
        f"{frames:,}", runs, data.engine.name, RUNS_AT_ONCE, f"{VIEWS_A_RUN:,}",
    )  # fmt: skip
    with_boxes = sum(len(boxes) > 0 for boxes in data.val.boxes)
    log.info(
        "validating on %s %s frames of %d runs, %d with boxes (%.1f %%)",
        f"{len(data.val):,}",
        "recorded" if config.real_val_dir else "simulated",
        len({frame.run for frame in data.val.frames}),
        with_boxes,
        100 * with_boxes / len(data.val),
    )
