"""A fixed set of simulated frames to validate on."""

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.tally import Tally
from endoforge.core.progress import progress
from endoforge.data.classes import Classes
from endoforge.data.images import Images
from endoforge.data.pack import LabelledInputs, largest_boxes
from endoforge.data.split import fingerprint_of
from endoforge.sim.engine import Engine
from endoforge.sim.randomization import Randomization
from endoforge.sim.renderer import Renderer
from endoforge.sim.simulator import FrameTruth, bake, default_batch_size, render_runs
from endoforge.sim.streams import validation_seed
from endoforge.train.recorded import log_dropped
from endoforge.train.simulated_batches import place_of

log = logging.getLogger(__name__)

VALIDATION_RUNS, VALIDATION_FRAMES = 12, 50
"""Runs to validate on, and frames of each, spread evenly over all of its captures."""


@dataclass(frozen=True)
class ValidationSet:
    """Frames to validate on, of how many runs; the fingerprint tells the set from others."""

    inputs: LabelledInputs
    fingerprint: str
    num_runs: int


def simulated_validation(
    engine: Engine,
    randomization: Randomization,
    size: tuple[int, int],
    max_boxes: int,
    class_names: Classes,
) -> ValidationSet:
    """VALIDATION_FRAMES frames of each of VALIDATION_RUNS runs that no training learns from.

    As `datagen --max-frames` would record them: of a whole procedure, with and without polyps. The
    same for all trainings with the same ranges; `size` is (width, height). Warns of boxes that are
    left out, over `max_boxes` in a frame.
    """
    renderer = Renderer(*size, engine, default_batch_size(engine))
    tally = Tally(strict=False)
    images: list[NDArray[np.uint8]] = []
    boxes: list[NDArray[np.float32]] = []
    classes: list[NDArray[np.int64]] = []
    named: list[tuple[str, bytes]] = []
    runs = (
        bake(validation_seed(run), randomization, size, VALIDATION_FRAMES)
        for run in range(VALIDATION_RUNS)
    )
    total = VALIDATION_RUNS * VALIDATION_FRAMES
    log.info("rendering the fixed %d frames to validate on", total)
    with progress("rendering validation frames", total, "frames") as advance:
        for batch in render_runs(renderer, runs):
            images.append(batch.rgb.cpu().clone().numpy())  # the renderer's own comes anew
            for truth in batch.labels:
                name, content = _identity(truth, randomization, size)
                own = np.asarray(truth.boxes / np.array([*size, *size]), np.float32)
                places = np.array([place_of(class_names, kind) for kind in truth.kinds], np.int64)
                rows = largest_boxes(own, max_boxes, name, tally)
                boxes.append(own[rows])
                classes.append(places[rows])
                named.append((name, content))
            advance(len(batch))
    log_dropped(tally)
    block = np.concatenate(images)
    pixels = Images([block], np.zeros(len(block), np.int64), np.arange(len(block)))
    inputs = LabelledInputs(pixels, boxes, classes, class_names)
    return ValidationSet(inputs, fingerprint_of(named), VALIDATION_RUNS)


def _identity(
    truth: FrameTruth, randomization: Randomization, size: tuple[int, int]
) -> tuple[str, bytes]:
    """The frame's name, and a digest of all that its pixels and boxes follow from."""
    run = f"simulated_{truth.run.seed}"
    made_of = f"{run} {truth.frame_id} {size} {randomization}"
    digest = hashlib.sha256(made_of.encode()).digest()[:16]
    # Named, and padded by a size of 0 bytes, as if it had been recorded: so fingerprints stay what
    # they were in the states of trainings that are under way.
    return f"{run}/labels/frame_{truth.frame_id:05d}.json", digest + bytes(8)
