"""Compares an exported file with its original, on the same pictures.

Rounding differs a little, and where two scores or overlaps are all but equal, that decides which
detection stays: a set of others, as good as the first. So the parts are compared, each in a way
that no tie can turn: what the network gives, the cells that go into suppression, and whether what
comes out of it is what suppression may give.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.detect.boxes import (
    NUM_EDGE_CHANNELS,
    Cells,
    boxes_from_raw,
    make_cells,
)
from endoforge.detect.decode import (
    MAX_CANDIDATES,
    MAX_DETECTIONS,
    MIN_SCORE,
    NMS_IOU,
    decode_batch,
    vote,
)
from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou
from endoforge.detect.predict import to_input
from endoforge.detect.tinydet import TinyDet
from endoforge.export.graph import CANDIDATES, PER_CELL, RAW
from endoforge.export.vote_nodes import BEFORE_VOTE

TOLERANCES = {"raw output": 1e-3, "boxes, in pixels": 0.05, "scores": 1e-3}
"""The largest differences that pass for rounding."""
IOU_TOLERANCE = 1e-4
"""Overlaps this near the limit may count as either side of it."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported file is from its original: the largest difference of each kind."""

    pictures: int
    detections: int
    """Detections of the original in all of them, from the score MIN_SCORE on."""
    largest: dict[str, float]

    def lines(self) -> list[str]:
        """The comparison for people, a line each."""
        return [
            f"{counted(self.pictures, 'picture')}, {counted(self.detections, 'detection')}; "
            f"largest differences:",
            *(f"  {what:<16} {value:.1e}" for what, value in self.largest.items()),
        ]


@dataclass
class _Worst:
    """Keeps the largest difference of each kind so far."""

    largest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TOLERANCES, 0.0))

    def note(self, what: str, differences: NDArray[Any]) -> None:
        """Take differences into account; raises UserError for one that is more than rounding."""
        # np.max keeps NaN, which then is within no tolerance.
        largest = float(np.max([self.largest[what], np.abs(differences).max(initial=0)]))
        self.largest[what] = largest
        if not largest <= TOLERANCES[what]:
            raise UserError(
                f"the exported detector differs from the original: {what} by {largest:.1e}, more "
                f"than {TOLERANCES[what]:g}; no file was written"
            )


@dataclass(frozen=True, eq=False)
class _UnsortedDetections:
    """What a file gives for one picture, in any order: N boxes, or those that suppression left.

    `boxes` is (N, 4) xyxy in pixels of the input; `scores` and `classes` are (N,).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def best_first(self) -> Detections:
        """The same, sorted by score; of equal ones the earlier comes first."""
        order = np.argsort(-self.scores, kind="stable")
        return Detections(self.boxes[order], self.scores[order], self.classes[order])


def compare(
    exported: onnx.ModelProto, original: TinyDet, pictures: NDArray[np.uint8], *, nms_inside: bool
) -> Agreement:
    """Run both on (N, H, W, 3) uint8 pictures of the input's size.

    The first picture goes alone, the others together. Raises UserError where a difference is over
    its tolerance, or where suppression keeps or drops what it mustn't.
    """
    inside = [BEFORE_VOTE, *(PER_CELL + name for name in CANDIDATES)]
    names = inside if nms_inside else [*CANDIDATES]
    session = _session_that_also_gives(exported, [RAW, *names])
    worst, count = _Worst(), 0
    # One picture and several: a batch size that the exporter has fixed shows itself.
    for some in (pictures[:1], pictures[1:]):
        if not len(some):
            continue
        images = to_input(torch.from_numpy(some)).contiguous()
        with torch.inference_mode():
            raw = original(images)
        outputs = _run(session, images.numpy())
        worst.note("raw output", outputs[RAW] - raw.numpy())
        cells = make_cells(some.shape[1:3], original.config.strides, raw.device)
        count += sum(map(len, decode_batch(raw, cells)))
        for place in range(len(some)):
            candidates = _UnsortedDetections(*(outputs[name][place] for name in names[-3:]))
            _compare_candidates(worst, candidates, raw[place], cells)
            if nms_inside:
                _check_suppression(candidates, _kept(outputs, BEFORE_VOTE, place))
                _compare_votes(worst, candidates, outputs, place)
    return Agreement(len(pictures), count, worst.largest)


def _session_that_also_gives(
    exported: onnx.ModelProto, names: list[str]
) -> onnxruntime.InferenceSession:
    """Open `exported` so that it gives these values of its inside too."""
    told = onnx.ModelProto()
    told.CopyFrom(exported)
    given = {output.name for output in told.graph.output}
    wanted = set(names) - given
    told.graph.output.extend(info for info in told.graph.value_info if info.name in wanted)
    return onnxruntime.InferenceSession(
        told.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _run(
    session: onnxruntime.InferenceSession, images: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Run on (B, 3, H, W) float32 in 0..1, and give the outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _kept(outputs: dict[str, NDArray[Any]], boxes: str, picture: int) -> _UnsortedDetections:
    """Pick what the file's own suppression left of a picture, with the boxes of that name."""
    own = outputs["pictures"] == picture
    return _UnsortedDetections(*(outputs[name][own] for name in (boxes, "scores", "classes")))


def _compare_votes(
    worst: _Worst, candidates: _UnsortedDetections, outputs: dict[str, NDArray[Any]], picture: int
) -> None:
    """Check that boxes went where the candidates' vote brings them, by the original's own way."""
    before, after = (_kept(outputs, name, picture) for name in (BEFORE_VOTE, "boxes"))
    expected = vote(before.best_first(), candidates.best_first())
    worst.note("boxes, in pixels", after.best_first().boxes - expected)


def _compare_candidates(
    worst: _Worst, found: _UnsortedDetections, raw: Tensor, cells: Cells
) -> None:
    """Check that each candidate is a cell of the original, and that they are its best ones.

    `raw` is the original's output for the picture, (N, C + NUM_EDGE_CHANNELS).
    """
    height, width = cells.image_hw
    boxes = np.clip(boxes_from_raw(raw[None], cells)[0].numpy(), 0, [width, height] * 2)
    by_class = raw[:, :-NUM_EDGE_CHANNELS].sigmoid().numpy()
    best = np.sort(by_class.max(axis=1))[::-1][:MAX_CANDIDATES]
    if len(found.scores) != len(best):
        raise UserError(
            f"the exported detector takes the best {len(found.scores)} cells of a picture where "
            f"the original takes {len(best)}; no file was written"
        )
    worst.note("scores", np.sort(found.scores)[::-1] - best)
    # (K, N): how far each candidate is from each cell. Where two classes are all but equally
    # likely, a cell may be of either, since its score of both is the best one.
    box_apart = np.abs(found.boxes[:, None] - boxes).max(axis=-1)
    own = by_class.T[found.classes]
    score_apart = np.maximum(np.abs(found.scores[:, None] - own), by_class.max(axis=1) - own)
    apart = np.maximum(
        box_apart / TOLERANCES["boxes, in pixels"], score_apart / TOLERANCES["scores"]
    )
    nearest = np.arange(len(apart)), apart.argmin(axis=1)
    worst.note("boxes, in pixels", box_apart[nearest])
    worst.note("scores", score_apart[nearest])


def _check_suppression(candidates: _UnsortedDetections, kept: _UnsortedDetections) -> None:
    """Check that what is kept are candidates, that none of a class overlaps another too much, and
    that every other candidate of enough score has to go: for a better one that it overlaps, or a
    full class.

    That says what suppression gives but for ties. Raises UserError where it isn't so.
    """
    chosen = _places(candidates, kept)
    overlaps = pairwise_iou(candidates.boxes, candidates.boxes[chosen])
    alike = candidates.classes[:, None] == candidates.classes[chosen]
    others = alike & (np.arange(len(overlaps))[:, None] != chosen)
    if (candidates.scores[chosen] < MIN_SCORE).any():
        raise _wrong_suppression(f"keeps scores below {MIN_SCORE:g}")
    if (others & (overlaps > NMS_IOU + IOU_TOLERANCE))[chosen].any():
        raise _wrong_suppression(f"keeps two of a class that overlap by more than {NMS_IOU:g}")
    better = alike & (candidates.scores[chosen] >= candidates.scores[:, None])
    goes = (better & (overlaps > NMS_IOU - IOU_TOLERANCE)).any(axis=1)
    goes |= candidates.scores < MIN_SCORE
    goes |= better.sum(axis=1) >= MAX_DETECTIONS
    goes[chosen] = True
    if not goes.all():
        raise _wrong_suppression("drops what no better one overlaps")
    if np.bincount(candidates.classes[chosen], minlength=1).max() > MAX_DETECTIONS:
        raise _wrong_suppression(f"keeps more than {MAX_DETECTIONS} of a class")


def _places(candidates: _UnsortedDetections, kept: _UnsortedDetections) -> NDArray[np.intp]:
    """Find the place among the candidates of each that is kept; UserError for one that isn't."""
    places: dict[tuple[float, ...], list[int]] = defaultdict(list)
    # By all their numbers, exactly: suppression copies them. Two alike count as two.
    for place, row in enumerate(_rows(candidates)):
        places[row].append(place)
    try:
        return np.array([places[row].pop() for row in _rows(kept)], np.intp)
    except IndexError as error:
        raise _wrong_suppression("gives what no cell says, or one twice") from error


def _rows(found: _UnsortedDetections) -> list[tuple[float, ...]]:
    columns = (found.boxes.tolist(), found.scores.tolist(), found.classes.tolist())
    return [(*box, score, number) for box, score, number in zip(*columns, strict=True)]


def _wrong_suppression(what: str) -> UserError:
    return UserError(f"the exported detector's suppression {what}; no file was written")
