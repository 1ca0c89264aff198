"""The metrics of a detector. Training, `eval` and reports all get theirs from `measure`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.core.text import counted
from endoforge.detect.decode import MAX_DETECTIONS
from endoforge.detect.detections import Detections
from endoforge.evaluate.average_precision import average_precisions
from endoforge.evaluate.matching import Matches, Truth, match_all

COCO_IOUS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""0.50, 0.55 .. 0.95, the thresholds over which COCO averages AP, as pycocotools rounds them."""

OBJECTNESS_SWEEP = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""0.05, 0.10 .. 0.95."""


@dataclass(frozen=True, kw_only=True)
class ThresholdMetrics:
    """Where a detection counts as right from this IoU on."""

    iou: float
    mean_iou: float
    """Mean over the truth boxes of the IoU with the detection that found each, 0 if none did."""
    precision: float
    recall: float
    average_precision: float | None
    """Exact AP over all scores at this IoU, as in `Metrics`; None where there is no truth."""
    true_positives: int
    false_positives: int
    false_negatives: int

    def to_record(self, batches: int) -> dict[str, Any]:
        """An entry of `val_metrics` in a metrics file."""
        return {
            "iou": self.iou,
            "mean_iou": self.mean_iou,
            "precision": self.precision,
            "recall": self.recall,
            "map": self.average_precision,
            "tp": self.true_positives,
            "fp": self.false_positives,
            "fn": self.false_negatives,
            "batches": batches,
        }


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """How well one class is found; AP is None where it has no truth."""

    name: str
    num_truths: int
    ap_by_iou: tuple[float, ...] | None
    """At each of COCO_IOUS."""
    ap: float | None
    ap50: float | None
    ap75: float | None

    def to_record(self) -> dict[str, Any]:
        """An entry of `classes` in a metrics file."""
        return {
            "name": self.name,
            "ap": self.ap,
            "ap50": self.ap50,
            "ap75": self.ap75,
            "boxes": self.num_truths,
        }

    def summary(self) -> str:
        """Sum it up in one line for people."""
        return (
            f"{self.name}: AP50 {_number(self.ap50)}, AP {_number(self.ap)} "
            f"({counted(self.num_truths, 'box')})"
        )


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """The detections from one score on: how many are right, and what that makes."""

    obj_thresh: float
    precision: float
    recall: float
    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where both are."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)

    def to_record(self) -> dict[str, float]:
        """An entry of `pr_curve` in a metrics file."""
        return {
            "obj_thresh": self.obj_thresh,
            "precision": self.precision,
            "recall": self.recall,
        }


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision and recall at IoU 0.5 after each detection in turn, best first: three (N,)."""

    scores: NDArray[np.float32]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good the detections of a set of pictures are.

    AP is the mean over the classes that have a truth box; everything else is of all classes
    together.
    """

    obj_thresh: float
    """The score from which a detection counts in precision, recall and mean IoU."""
    at_iou: tuple[ThresholdMetrics, ...]
    """In the order of the thresholds asked for; `summary` tells the first."""
    ap: float | None
    """COCO's AP, averaged over IoU 0.50:0.95; None, like the next two, where there is no truth."""
    ap50: float | None
    ap75: float | None
    ap_by_iou: tuple[float, ...] | None
    """AP at each of COCO_IOUS, whose mean is `ap`."""
    images: int
    num_truths: int
    pr_curve: tuple[SweepPoint, ...]
    """By objectness, at the first IoU threshold."""
    curve: PrecisionRecallCurve
    by_class: tuple[ClassMetrics, ...]
    """Of each class, in the order of the class names."""

    @property
    def mean_iou(self) -> float:
        """The mean IoU of the hits at the first IoU threshold."""
        return self.at_iou[0].mean_iou

    def to_record(self, batches: int) -> dict[str, Any]:
        """The fields of a metrics file that say how good it is."""
        record = {
            "obj_thresh": self.obj_thresh,
            "val_metrics": [entry.to_record(batches) for entry in self.at_iou],
            "ap": self.ap,
            "ap50": self.ap50,
            "ap75": self.ap75,
            "images": self.images,
        }
        if len(self.by_class) > 1:
            record["classes"] = [one.to_record() for one in self.by_class]
        return record

    def summary(self) -> str:
        """Sum it up in one line for people."""
        first = self.at_iou[0]
        return (
            f"AP50 {_number(self.ap50)}, AP {_number(self.ap)}; at score {self.obj_thresh:g} and "
            f"IoU {first.iou:g}: mean IoU {first.mean_iou:.3f}, precision {first.precision:.3f}, "
            f"recall {first.recall:.3f} ({counted(self.num_truths, 'box')} in "
            f"{counted(self.images, 'frame')})"
        )

    def class_lines(self) -> list[str]:
        """A line for each class, where there are several."""
        several = len(self.by_class) > 1
        return [f"  {one.summary()}" for one in self.by_class] if several else []


def measure(
    detections: Sequence[Detections],
    truths: Sequence[Truth],
    *,
    class_names: Sequence[str],
    obj_thresh: float,
    iou_threshs: Sequence[float],
) -> Metrics:
    """Compare `detections[i]` with the truth boxes `truths[i]` of the same picture.

    The classes of both are places in `class_names`; a detection can find truth of its class only.
    AP takes every detection, whatever its score; the other metrics those of at least `obj_thresh`.
    At most 100 detections of a class a picture count.
    """
    counted = [_first_of_each_class(found, MAX_DETECTIONS) for found in detections]
    thresholds = sorted({*COCO_IOUS, *iou_threshs})
    by_class = average_precisions(counted, truths, thresholds)
    precisions = _means(list(by_class.values()), thresholds)
    matches = [match_all(counted, truths, iou) for iou in iou_threshs]
    at_iou = [
        _threshold_metrics(iou, match.above(obj_thresh), precisions[iou])
        for iou, match in zip(iou_threshs, matches, strict=True)
    ]
    ap_by_iou = _known([precisions[iou] for iou in COCO_IOUS])
    return Metrics(
        obj_thresh=obj_thresh,
        at_iou=tuple(at_iou),
        ap=None if ap_by_iou is None else sum(ap_by_iou) / len(ap_by_iou),
        ap_by_iou=ap_by_iou,
        ap50=precisions[0.5],
        ap75=precisions[0.75],
        images=len(truths),
        num_truths=matches[0].num_truths,
        pr_curve=tuple(_sweep_point(matches[0], score) for score in OBJECTNESS_SWEEP),
        curve=_curve(match_all(counted, truths, 0.5)),
        by_class=tuple(
            _class_metrics(
                name,
                sum(int(np.count_nonzero(truth.classes == number)) for truth in truths),
                _means([by_class[number]] if number in by_class else [], thresholds),
            )
            for number, name in enumerate(class_names)
        ),
    )


def _first_of_each_class(detections: Detections, count: int) -> Detections:
    kept = np.zeros(len(detections), dtype=np.bool_)
    for number in np.unique(detections.classes):
        kept[np.flatnonzero(detections.classes == number)[:count]] = True
    return detections[kept]


def _means(
    precisions: Sequence[Sequence[float]], thresholds: Sequence[float]
) -> dict[float, float | None]:
    """AP by threshold, the mean of those of several classes; None where there is none."""
    if not precisions:
        return dict.fromkeys(thresholds)
    columns = zip(*precisions, strict=True)
    means = (sum(column) / len(precisions) for column in columns)
    return dict(zip(thresholds, means, strict=True))


def _class_metrics(
    name: str, num_truths: int, precisions: dict[float, float | None]
) -> ClassMetrics:
    ap_by_iou = _known([precisions[iou] for iou in COCO_IOUS])
    return ClassMetrics(
        name=name,
        num_truths=num_truths,
        ap_by_iou=ap_by_iou,
        ap=None if ap_by_iou is None else sum(ap_by_iou) / len(ap_by_iou),
        ap50=precisions[0.5],
        ap75=precisions[0.75],
    )


def _threshold_metrics(iou: float, matches: Matches, precision: float | None) -> ThresholdMetrics:
    return ThresholdMetrics(
        iou=iou,
        mean_iou=matches.mean_iou,
        precision=matches.precision,
        recall=matches.recall,
        average_precision=precision,
        true_positives=matches.true_positives,
        false_positives=matches.false_positives,
        false_negatives=matches.false_negatives,
    )


def _sweep_point(matches: Matches, score: float) -> SweepPoint:
    counted = matches.above(score)
    return SweepPoint(
        obj_thresh=score,
        precision=counted.precision,
        recall=counted.recall,
        true_positives=counted.true_positives,
        false_positives=counted.false_positives,
        false_negatives=counted.false_negatives,
    )


def _curve(matches: Matches) -> PrecisionRecallCurve:
    right = np.cumsum(matches.ious > 0)
    precision = right / np.arange(1, len(right) + 1)
    return PrecisionRecallCurve(matches.scores, precision, right / max(matches.num_truths, 1))


def _known(values: Sequence[float | None]) -> tuple[float, ...] | None:
    """`values` if all of them are there."""
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
