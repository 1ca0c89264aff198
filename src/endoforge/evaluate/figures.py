"""The pictures of a report: curves as SVG, frames with their boxes as JPEG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from endoforge.captures.index import FrameRecord
from endoforge.captures.overlay import Color, draw_boxes
from endoforge.captures.pictures import read_picture
from endoforge.data.letterbox import resize_picture
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import match_picture
from endoforge.evaluate.metrics import Metrics
from endoforge.evaluate.result import EvalResult

INK, LINES = "#aeb7c2", "#2b323b"
GREEN, AMBER, BLUE = "#4fd1a5", "#f2b05e", "#7ab7ff"
"""The colours of `report.html`."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "endoforge",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINES,
    "axes.facecolor": "none",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINES,
    "legend.frameon": False,
}

TRUTH: Color = (79, 209, 165)
HIT: Color = (122, 183, 255)
FALSE: Color = (242, 176, 94)
"""Box colours: a truth box, a detection that found one, a detection that found none."""
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """A frame with its boxes drawn, as the bytes of a JPEG, and a line about it."""

    jpeg: bytes
    caption: str


def loss_curve(history: Sequence[dict[str, Any]]) -> str:
    """Training loss by epoch, as SVG; `history` holds the lines of a training's metrics file."""
    with rc_context(STYLE):
        figure, axes = _new_chart()
        epochs = [record["epoch"] for record in history]
        _plot(axes, epochs, [_number(record["loss"]) for record in history], AMBER, "loss")
        return _finish(figure, axes, "Training loss", "epoch")


def quality_curves(history: Sequence[dict[str, Any]]) -> str:
    """AP50, AP and mean IoU of each epoch's validation, as SVG; `history` as above."""
    with rc_context(STYLE):
        figure, axes = _new_chart()
        epochs = [record["epoch"] for record in history]
        _plot(axes, epochs, [_number(record["ap50"]) for record in history], GREEN, "AP50")
        _plot(axes, epochs, [_number(record["ap"]) for record in history], BLUE, "AP 50:95")
        mean_iou = [record["val_metrics"][0]["mean_iou"] for record in history]
        _plot(axes, epochs, mean_iou, INK, "mean IoU")
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right")
        return _finish(figure, axes, "Validation, runs held out of training", "epoch")


def precision_recall_curve(metrics: Metrics) -> str:
    """Precision over recall at IoU 0.5, with the point of the score threshold, as SVG."""
    with rc_context(STYLE):
        figure, axes = _new_chart()
        curve = metrics.curve
        axes.plot(curve.recall, curve.precision, color=GREEN, linewidth=2)
        axes.fill_between(curve.recall, curve.precision, color=GREEN, alpha=0.12)
        point = metrics.at_iou[0]
        axes.plot(point.recall, point.precision, "o", color=AMBER, markersize=8)
        axes.annotate(
            f"score {metrics.obj_thresh:g}",
            (point.recall, point.precision),
            xytext=(-10, -16),
            textcoords="offset points",
            ha="right",
            color=AMBER,
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        return _finish(figure, axes, "Precision over recall, IoU 0.5", "recall", "precision")


def detection_grid(result: EvalResult, count: int, obj_thresh: float) -> list[Picture]:
    """`count` of the measured frames, evenly spread, with truth boxes and detections."""
    places = np.unique(np.linspace(0, len(result.frames) - 1, count).round().astype(int))
    return [_frame_with_boxes(result, int(place), obj_thresh) for place in places]


def _frame_with_boxes(result: EvalResult, place: int, obj_thresh: float) -> Picture:
    frame = result.frames[place]
    picture = read_picture(frame.image_path)
    _, placement = resize_picture(picture, result.metadata.input_size, result.metadata.resize_mode)
    found = result.detections[place].above(obj_thresh)
    hits = match_picture(found, result.truths[place], 0.5) > 0
    in_picture = placement.to_picture(found.boxes)
    drawn = draw_boxes(picture, placement.to_picture(result.truths[place]), TRUTH, thickness=2)
    for mask, color in ((hits, HIT), (~hits, FALSE)):
        captions = [f"{score:.2f}" for score in found.scores[mask]]
        drawn = draw_boxes(drawn, in_picture[mask], color, captions, thickness=2)
    return Picture(_jpeg(drawn), _caption(frame, found, hits, len(result.truths[place])))


def _caption(
    frame: FrameRecord, found: Detections, hits: NDArray[np.bool_], num_truths: int
) -> str:
    right = int(hits.sum())
    return (
        f"{frame.run} #{frame.frame_id}: {right} of {num_truths} found, {len(found) - right} false"
    )


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _plot(axes: Axes, x: Sequence[float], y: Sequence[float], color: str, label: str) -> None:
    axes.plot(x, y, color=color, label=label, linewidth=2, marker="o", markersize=3)


def _new_chart() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    return figure, figure.subplots()


def _finish(figure: Figure, axes: Axes, title: str, x_label: str, y_label: str = "") -> str:
    """Label the chart and give it as SVG."""
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(True)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
