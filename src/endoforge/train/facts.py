"""What makes a training the one that it is: what it starts from, and what must not change."""

import logging
from dataclasses import dataclass, replace

from torch import Tensor

from endoforge.core.errors import UserError
from endoforge.detect.packaged import weights_digest, weights_file
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet, take_by_class
from endoforge.detect.weights import load_weights
from endoforge.roots.fetching import fetch_file
from endoforge.train.config import TrainConfig
from endoforge.train.saved import Facts
from endoforge.train.sources import TrainingSource

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StartWeights:
    """Weights to start a new training from, of which classes, and the SHA-256 of their file."""

    tensors: dict[str, Tensor]
    classes: tuple[str, ...]
    digest: str


def load_start(path: str | None, model: TinyDetConfig) -> StartWeights | None:
    """The weights of `--demo-checkpoint`; raises UserError if they aren't of `model`.

    Their classes may be others.
    """
    if path is None:
        return None
    fetch_file(path, "--demo-checkpoint")
    file = weights_file(path)
    start, metadata = load_weights(file)
    if replace(metadata.model, classes=model.classes) != model:
        found = metadata.model.name
        if found == model.name:
            raise UserError(
                f"--demo-checkpoint {path}: of another {found} ({metadata.model.in_words()}) than "
                f"the one to train ({model.in_words()}): name weights of that one"
            )
        raise UserError(
            f"--demo-checkpoint {path}: of another model, {found}, than the one to train: give "
            f"--model {found}, or name weights of {model.name}"
        )
    return StartWeights(start.state_dict(), metadata.model.classes, weights_digest(file))


def with_classes(start: StartWeights, model: TinyDetConfig, seed: int) -> StartWeights:
    """Fit `start` to the classes of `model`, by name; a new class begins as `seed` has it."""
    if start.classes == model.classes:
        return start
    kept = [name for name in model.classes if name in start.classes]
    new = [name for name in model.classes if name not in start.classes]
    log.info(
        "--demo-checkpoint: classes kept by name: %s; that begin anew: %s; left behind: %s",
        *(
            ", ".join(names) or "none"
            for names in (kept, new, [n for n in start.classes if n not in kept])
        ),
    )
    fresh = build_tinydet(model, seed).state_dict()
    tensors = take_by_class(start.tensors, start.classes, fresh, model.classes)
    return StartWeights(tensors, model.classes, start.digest)


def training_facts(
    config: TrainConfig,
    source: TrainingSource,
    model: TinyDetConfig,
    start: StartWeights | None,
) -> Facts:
    """What a resumed training must share with the one that was saved.

    Beside what decides each step, these are the settings that decide which validation is the best.
    """
    return {
        "the model": model.in_words(),
        "--label": config.label,
        "the weights of --demo-checkpoint": start.digest[:12] if start else "none",
        "--seed": str(config.seed),
        "--batch-size": str(config.batch_size),
        "--drop-last": str(config.drop_last),
        "--target-size": config.target_size,
        "--resize-mode": config.resize_mode,
        "--paint": f"{config.paint:g}",
        "--max-boxes": str(config.max_boxes),
        "--val-target-size": config.val_target_size or config.target_size,
        "--val-resize-mode": config.val_resize_mode or config.resize_mode,
        "--val-max-boxes": str(config.val_max_boxes or config.max_boxes),
        "--val-flip-prob": str(config.val_flip_prob),
        "--val-obj-thresh": str(config.val_obj_thresh),
        "--val-iou-thresh": str(config.val_iou_thresh),
        "--watch": config.watch,
        **source.facts,
    }
