"""The charts of a report, as SVG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from endoforge.evaluate.breakdown import SizeBin
from endoforge.evaluate.lesion_result import LesionResult
from endoforge.evaluate.lesion_table import HEADS
from endoforge.evaluate.metrics import COCO_IOUS, Metrics

INK, QUIET, LINES = "#c3ccd6", "#7d8894", "#2b323b"
GREEN, AMBER, BLUE = "#4fd1a5", "#f2b05e", "#7ab7ff"
"""The colours of `page.html`."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "endoforge",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINES,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINES,
    "legend.frameon": False,
}
SIZE_INCHES = (4.8, 3.2)
LEARNING_COLORS = (GREEN, BLUE)
"""Of the trainings that stand beside each other in a chart."""


@dataclass(frozen=True)
class Chart:
    """A drawing, as the text of an SVG, and what it shows."""

    title: str
    svg: str


@dataclass(frozen=True)
class LearningCurve:
    """A training, epoch by epoch: its losses, and the AP50 of its validations."""

    name: str
    losses: Sequence[float]
    ap50s: Sequence[float | None]


def loss_by_epoch(curves: Sequence[LearningCurve]) -> Chart:
    """Training loss of each of one or two trainings."""
    with rc_context(STYLE):
        figure, axes = _new_chart("epoch", "loss")
        for curve, color in zip(curves, LEARNING_COLORS, strict=False):
            _plot(axes, range(1, len(curve.losses) + 1), curve.losses, color, curve.name)
        axes.set_ylim(bottom=0)
        _whole_epochs(axes)
        _legend(axes, columns=2)
        return _finish(figure, "Training loss")


def ap50_by_epoch(curves: Sequence[LearningCurve], level: tuple[str, float | None]) -> Chart:
    """AP50 of each of one or two trainings, and as a level line that of a detector that didn't
    learn meanwhile, with its name."""
    with rc_context(STYLE):
        figure, axes = _new_chart("epoch", "AP50")
        name, ap50 = level
        axes.axhline(_number(ap50), color=AMBER, linestyle="--", linewidth=1.4, label=name)
        for curve, color in zip(curves, LEARNING_COLORS, strict=False):
            ap50s = [_number(ap50) for ap50 in curve.ap50s]
            _plot(axes, range(1, len(ap50s) + 1), ap50s, color, curve.name)
        _share(axes)
        _whole_epochs(axes)
        _legend(axes, columns=2)
        return _finish(figure, "AP50 on the unseen colons, after each epoch")


def precision_recall_curve(metrics: Metrics) -> Chart:
    """Precision over recall at IoU 0.5, with the point of the score threshold."""
    with rc_context(STYLE):
        figure, axes = _new_chart("recall", "precision")
        curve = metrics.curve
        axes.plot(curve.recall, curve.precision, color=GREEN, linewidth=2)
        axes.fill_between(curve.recall, curve.precision, color=GREEN, alpha=0.12, linewidth=0)
        kept = int(np.count_nonzero(curve.scores >= metrics.obj_thresh))
        if kept:
            point = (float(curve.recall[kept - 1]), float(curve.precision[kept - 1]))
            axes.plot(*point, "o", color=AMBER, markersize=7, clip_on=False, zorder=3)
            _note(axes, f"score {metrics.obj_thresh:g}", point)
        axes.set_xlim(0, 1)
        _share(axes)
        return _finish(figure, "Precision over recall, at IoU 0.5")


def score_curves(metrics: Metrics) -> Chart:
    """Precision, recall and F1 over the score threshold, with the one that was chosen."""
    with rc_context(STYLE):
        figure, axes = _new_chart("score threshold")
        sweep = metrics.pr_curve
        scores = [point.obj_thresh for point in sweep]
        some = [point.true_positives + point.false_positives > 0 for point in sweep]
        precision = [
            point.precision if any_found else float("nan")
            for point, any_found in zip(sweep, some, strict=True)
        ]
        _plot(axes, scores, precision, BLUE, "precision")
        _plot(axes, scores, [point.recall for point in sweep], GREEN, "recall")
        _plot(axes, scores, [point.f1 for point in sweep], INK, "F1")
        axes.axvline(metrics.obj_thresh, color=AMBER, linestyle="--", linewidth=1.4, label="chosen")
        axes.set_xlim(0, 1)
        _share(axes)
        _legend(axes)
        return _finish(figure, f"What the score threshold does, at IoU {metrics.at_iou[0].iou:g}")


def precision_by_iou(metrics: Metrics) -> Chart:
    """AP at each of COCO's IoU thresholds, and their mean."""
    with rc_context(STYLE):
        figure, axes = _new_chart("IoU from which a detection is right", "AP")
        if metrics.ap_by_iou is not None and metrics.ap is not None:
            bars = axes.bar(COCO_IOUS, metrics.ap_by_iou, width=0.036, color=BLUE)
            axes.bar_label(bars, fmt="%.2f", color=INK, fontsize=8, padding=2)
            axes.axhline(metrics.ap, color=AMBER, linestyle="--", linewidth=1.4)
            axes.annotate(
                f"mean {metrics.ap:.3f}",
                (1.0, metrics.ap),
                xycoords=("axes fraction", "data"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="right",
                color=AMBER,
            )
        axes.set_xticks(COCO_IOUS, [f"{iou:.2f}"[1:] for iou in COCO_IOUS])
        _share(axes)
        axes.grid(False, axis="x")
        return _finish(figure, "AP by IoU threshold")


def froc_curve(lesions: LesionResult) -> Chart:
    """Share of polyps found over false alarms a minute, frame by frame and by tracks.

    The points are those of the score thresholds; the one that was asked for is filled.
    """
    with rc_context(STYLE):
        figure, axes = _new_chart("false alarms a minute", "polyps found")
        scores = ((lesions.single, AMBER, HEADS[0]), (lesions.tracks, BLUE, HEADS[1]))
        for score, color, name in scores:
            alarms = [point.false_alarms_a_minute for point in score.froc]
            found = [_number(point.found) for point in score.froc]
            axes.plot(alarms, found, "o-", color=color, linewidth=2, markersize=4, label=name)
            chosen = (score.metrics.false_alarms_a_minute, _number(score.metrics.found))
            axes.plot(*chosen, "o", color=color, markersize=9, clip_on=False, zorder=3)
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(left=0)
        _share(axes)
        _legend(axes)
        return _finish(figure, "Polyps found over false alarms, at scores of 0.1 to 0.9")


def recall_by_size_chart(bins: Sequence[SizeBin]) -> Chart:
    """Recall for each size of box, with the number of boxes."""
    with rc_context(STYLE):
        figure, axes = _new_chart("box area, % of the picture", "recall")
        places = range(len(bins))
        bars = axes.bar(places, [size.recall for size in bins], width=0.7, color=GREEN)
        labels = [f"{size.hits} of\n{size.truths}" if size.truths else "none" for size in bins]
        axes.bar_label(bars, labels, color=INK, fontsize=8, padding=2)
        axes.set_xticks(places, [_range(size) for size in bins])
        axes.tick_params("x", labelsize=9)
        _share(axes, top=1.18)
        axes.grid(False, axis="x")
        return _finish(figure, "Recall by size of the polyp in the picture")


def _range(size: SizeBin) -> str:
    """Name a range of areas: "2-5" for shares from 0.02 to 0.05."""
    least, most = f"{100 * size.least:g}", f"{100 * size.most:g}"
    if size.least == 0:
        return f"< {most}"
    return f"> {least}" if size.most == 1 else f"{least}-{most}"


def _new_chart(x_label: str, y_label: str = "") -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(True)
    axes.tick_params(length=0, pad=6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finish(figure: Figure, title: str) -> Chart:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return Chart(title, text[text.index("<svg") :])


def _plot(axes: Axes, x: Sequence[float], y: Sequence[float], color: str, label: str) -> None:
    axes.plot(x, y, color=color, label=label, linewidth=2, marker="o", markersize=3)


def _note(axes: Axes, text: str, point: tuple[float, float]) -> None:
    """`text` beside `point`, on the side where there is room."""
    left = point[0] > 0.5
    below = point[1] > 0.25
    axes.annotate(
        text,
        point,
        xytext=(-10 if left else 10, -16 if below else 10),
        textcoords="offset points",
        ha="right" if left else "left",
        color=AMBER,
    )


def _share(axes: Axes, top: float = 1.02) -> None:
    """Let the y axis go from 0 to 1."""
    axes.set_ylim(0, top)
    axes.set_yticks(np.linspace(0, 1, 6))


def _whole_epochs(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(axes: Axes, columns: int = 4) -> None:
    """Put the legend above the curves, where it hides none; long names want few `columns`."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0,
        columnspacing=1.4,
        handlelength=1.6,
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
