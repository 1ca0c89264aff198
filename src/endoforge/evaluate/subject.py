"""What `eval` measures: a detector, and the pictures that it is to be shown."""

import logging
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from endoforge.backends.compute import pick_compute
from endoforge.core.choices import LabelField, ResizeMode
from endoforge.detect.decode import MIN_SCORE
from endoforge.detect.detections import Detections
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.packaged import (
    DEFAULT_CHECKPOINT,
    packaged_weights,
    provenance_of,
    weights_digest,
)
from endoforge.detect.predict import predict
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.validate import Predict

log = logging.getLogger(__name__)

HEURISTIC_SIZE = (640, 360)
"""Pictures for the heuristic detector, which takes any: those of `datagen` stay as they are."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A detector to measure, and how it wants its pictures.

    `predict` takes pictures of `input_size` (width, height); `classes` are those it knows, by their
    names in the field `label_field` of labels.
    """

    name: str
    predict: Predict
    classes: tuple[str, ...]
    label_field: LabelField
    input_size: tuple[int, int]
    resize_mode: ResizeMode
    device: str
    """What computes, for people."""
    facts: list[tuple[str, str]]
    """What else there is to say of it, for people."""
    weights_sha256: str | None = None
    """Of the weights' file, as hex digits; None of a detector that has none."""


def subject_of(config: EvalConfig) -> Subject:
    """The detector that `config` names; raises UserError where it can't be used."""
    return _heuristic() if config.detector == "heuristic" else _trained(config)


def _trained(config: EvalConfig) -> Subject:
    compute = pick_compute(config.backend, config.device, config.adapter)
    # Exact, so that `eval` agrees with the validation in training to the last digit.
    detector = NeuralDetector(config.checkpoint, place=compute.net, exact=True)
    checkpoint, metadata = detector.path, detector.metadata
    is_packaged = checkpoint == packaged_weights()
    origin = "the weights that come with EndoForge, " if is_packaged else ""
    missed = is_packaged and config.checkpoint is None
    why = f"no {DEFAULT_CHECKPOINT}: " if missed else ""
    log.info("%smeasuring %s%s", why, origin, checkpoint)
    num_parameters = sum(parameter.numel() for parameter in detector.model.parameters())
    provenance = provenance_of(checkpoint)
    return Subject(
        name=checkpoint.name,
        predict=partial(predict, detector.net),
        classes=metadata.model.classes,
        label_field=metadata.label_field,
        input_size=metadata.input_size,
        resize_mode=metadata.resize_mode,
        device=compute.describe(),
        facts=[
            ("checkpoint", f"{origin}{checkpoint.resolve()}"),
            ("parameters", f"{num_parameters:,}"),
            ("written by", f"EndoForge {metadata.version}"),
            *([("made by", str(provenance))] if provenance else []),
        ],
        weights_sha256=weights_digest(checkpoint),
    )


def _heuristic() -> Subject:
    detector = HeuristicDetector(objectness=MIN_SCORE)

    def detect_each(images: Tensor) -> list[Detections]:
        return [detector.detect(image) for image in images.numpy()]

    return Subject(
        name="the heuristic detector",
        predict=detect_each,
        classes=detector.classes,
        label_field="label",
        input_size=HEURISTIC_SIZE,
        resize_mode="letterbox",
        device="cpu, OpenCV",
        facts=[("kind", "heuristic: classical vision, no checkpoint")],
    )
