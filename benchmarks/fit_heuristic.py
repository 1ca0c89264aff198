"""Fit the weights of the heuristic detector to simulated runs, and write them into its source.

    endoforge datagen --randomization plain --seed 100 --runs 48 --max-frames 24 \\
        --resolution 320x180 --output-root seen
    python benchmarks/fit_heuristic.py seen
    ruff format src/endoforge/detect/classical/regression.py

Every contour that the detector looks at is an example: of a polyp if its box overlaps a true one by
half, of something else if by less than 0.4. First it says how good weights are that two thirds of
the runs give on the other third, in turns.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge import __version__
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.run_frames import FrameRecord
from endoforge.core.progress import progress
from endoforge.detect.classical import weights
from endoforge.detect.heuristic import pick, propose
from endoforge.detect.overlap import pairwise_iou
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure

Array = NDArray[np.float64]

RIDGE = 1e-4
POLYP, OTHER = 0.5, 0.4
FOLDS = 3
STEPS = 10
SOURCE = Path(weights.__file__)
BEGIN, END = "# fitted: begin\n", "# fitted: end\n"


@dataclass(frozen=True)
class Examples:
    """What the detector looks at: in `frames` (N,) by place, `iou` (N,) with the nearest polyp."""

    names: list[str]
    values: Array
    boxes: NDArray[np.float32]
    iou: Array
    frames: NDArray[np.intp]


@dataclass(frozen=True)
class Fit:
    """A logistic regression: `means`, `deviations`, `linear` and `square` are (F,)."""

    means: Array
    deviations: Array
    linear: Array
    square: Array
    bias: float

    def scores(self, values: Array) -> NDArray[np.float32]:
        even = weights.standardised(values, self.means, self.deviations)
        logits = even @ self.linear + even**2 @ self.square + self.bias
        return (1 / (1 + np.exp(-logits))).astype(np.float32)


def collect(frames: list[FrameRecord]) -> Examples:
    """Every contour of every frame."""
    names, values, boxes, ious, places = [], [], [], [], []
    with progress("looking at", len(frames), "frames") as advance:
        for place, frame in enumerate(frames):
            advance(1)
            found = propose(read_picture(frame.image_path))
            if found is None:
                continue
            names = list(found[1])
            values.append(np.stack(list(found[1].values()), axis=1).astype(np.float64))
            boxes.append(found[0])
            overlaps = pairwise_iou(found[0], frame.boxes)
            ious.append(overlaps.max(axis=1, initial=0.0))
            places.append(np.full(len(found[0]), place))
    return Examples(names, *(np.concatenate(part) for part in (values, boxes, ious, places)))


def fit(values: Array, iou: Array) -> Fit:
    """Newton's method on the ridge-penalised log likelihood."""
    means, deviations = values.mean(axis=0), values.std(axis=0) + 1e-6
    clear = (iou >= POLYP) | (iou < OTHER)
    even = weights.standardised(values[clear], means, deviations)
    inputs = np.column_stack([even, even**2, np.ones(len(even))])
    wanted = iou[clear] >= POLYP
    ridge = np.full(inputs.shape[1], 2 * RIDGE * len(even))
    ridge[-1] = 0
    solution = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ solution, -30, 30)))
        slope = inputs.T @ (chance - wanted) + ridge * solution
        rooted = (inputs * np.sqrt(chance * (1 - chance))[:, None]).astype(np.float32)
        curve = (rooted.T @ rooted).astype(np.float64) + np.diag(ridge + 1e-9)
        solution -= np.linalg.solve(curve, slope)
    count = values.shape[1]
    parts = solution[:count], solution[count:-1], float(solution[-1])
    return Fit(means, deviations, *parts)


def cross_validated(examples: Examples, frames: list[FrameRecord]) -> str:
    """How good fits are on runs that they haven't seen."""
    runs = sorted({frame.run for frame in frames})
    fold_of = np.array([runs.index(frame.run) % FOLDS for frame in frames])
    fold = fold_of[examples.frames]
    scores = np.zeros(len(fold), np.float32)
    for number in range(FOLDS):
        seen = fold != number
        fitted = fit(examples.values[seen], examples.iou[seen])
        scores[~seen] = fitted.scores(examples.values[~seen])
    found = []
    for place in range(len(frames)):
        rows = examples.frames == place
        found.append(pick(examples.boxes[rows], scores[rows], objectness=0.01))
    truths = [Truth(frame.boxes, np.zeros(len(frame.boxes), np.int64)) for frame in frames]
    metrics = measure(found, truths, class_names=("polyp",), obj_thresh=0.3, iou_threshs=[0.5])
    return metrics.summary()


def write(names: list[str], fitted: Fit) -> None:
    """Into the source, between its marks."""
    rows = np.column_stack([fitted.means, fitted.deviations, fitted.linear, fitted.square])
    lines = [f"BIAS = {fitted.bias:.4g}\n", "WEIGHTS = {\n"]
    for name, row in zip(names, rows, strict=True):
        numbers = ", ".join(repr(float(f"{value:.4g}")) for value in row)
        lines.append(f'    "{name}": ({numbers}),\n')
    lines.append("}\n")
    before, _, rest = SOURCE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    SOURCE.write_text(before + BEGIN + "".join(lines) + END + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="runs to learn from")
    frames = index_root(parser.parse_args().root).frames
    examples = collect(frames)
    result = {
        "benchmark": "fit_heuristic",
        "version": __version__,
        "frames": len(frames),
        "contours": len(examples.iou),
        "cross_validated": cross_validated(examples, frames),
    }
    write(examples.names, fit(examples.values, examples.iou))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
