"""The report of `eval`, and the parts of it that other reports share."""

import os
import platform
from dataclasses import replace
from pathlib import Path

import torch

from endoforge.core.text import counted
from endoforge.evaluate.breakdown import (
    BEST_RULE,
    WORST_RULE,
    best_frames,
    recall_by_size,
    score_frames,
    worst_frames,
)
from endoforge.evaluate.config import REPORT_NAME, EvalConfig
from endoforge.evaluate.result import EvalResult
from endoforge.report.charts import (
    Chart,
    precision_by_iou,
    precision_recall_curve,
    recall_by_size_chart,
    score_curves,
)
from endoforge.report.command_lines import command_line
from endoforge.report.drawn_frames import detection_grid, frames_with_boxes
from endoforge.report.lesion_sections import lesion_sections
from endoforge.report.page import (
    RESEARCH_ONLY,
    SIMULATED_ONLY,
    Charts,
    Commands,
    Facts,
    FrameGroup,
    FrameGroups,
    Report,
    Section,
    Table,
    headline,
    number,
    write_report,
)
from endoforge.report.timeline import ASSETS

FRAMES_A_GROUP = 6


def write_eval_report(folder: Path, result: EvalResult) -> Path:
    """Write `folder`/report.html about `result`, and say where it is."""
    metrics = result.metrics
    report = Report(
        title=f"Evaluation of {result.subject.name}",
        subtitle=(
            f"Measured on {counted(metrics.images, 'frame')} of "
            f"{counted(_num_runs(result), 'run')}, "
            f"in which polyps show {counted(metrics.num_truths, 'time')}."
        ),
        tiles=headline(metrics),
        sections=[
            Charts("Curves", quality_charts(result)),
            FrameGroups("Frames, with truth and detections", frame_groups(result)),
            *class_section(result),
            *_lesions(result),
            Facts(
                "What was measured",
                [
                    ("Detector", detector_facts(result)),
                    ("Data", data_facts(result)),
                    ("Thresholds", threshold_facts(result)),
                    ("Machine", [*machine_facts(result), ("seconds", f"{result.seconds:.1f}")]),
                ],
            ),
            Commands("Make it again", [command_to_repeat(result.config)]),
        ],
        footer=_footer(result),
        assets=ASSETS if result.lesions is not None else (),
    )
    path = folder / REPORT_NAME
    write_report(path, report)
    return path


def _lesions(result: EvalResult) -> list[Section]:
    return [] if result.lesions is None else lesion_sections(result, result.lesions)


def quality_charts(result: EvalResult) -> list[Chart]:
    """Charts that show from four sides how good the detections are."""
    return [
        precision_recall_curve(result.metrics),
        score_curves(result.metrics),
        precision_by_iou(result.metrics),
        recall_by_size_chart(recall_by_size(result)),
    ]


def frame_groups(result: EvalResult) -> list[FrameGroup]:
    """The worst frames, the best ones, and some that are spread over all."""
    scores = score_frames(result)
    worst = [score.place for score in worst_frames(scores, FRAMES_A_GROUP)]
    best = [score.place for score in best_frames(scores, FRAMES_A_GROUP)]
    return [
        FrameGroup("Worst", WORST_RULE, frames_with_boxes(result, worst)),
        FrameGroup("Best", BEST_RULE, frames_with_boxes(result, best)),
        FrameGroup("Evenly spread", "Whatever they show.", detection_grid(result, FRAMES_A_GROUP)),
    ]


def class_section(result: EvalResult) -> list[Facts]:
    """A table of the AP of each class, where there are several."""
    by_class = result.metrics.by_class
    if len(by_class) == 1:
        return []
    counts = [(one.name, f"{one.num_truths:,}") for one in by_class]
    parts = {
        "AP50": [(one.name, number(one.ap50)) for one in by_class],
        "AP 50:95": [(one.name, number(one.ap)) for one in by_class],
        "True boxes": counts,
    }
    return [Facts("By class", list(parts.items()))]


def detector_facts(result: EvalResult) -> Table:
    """What it is, what it finds, and what it is shown."""
    subject = result.subject
    width, height = subject.input_size
    return [
        *subject.facts,
        ("classes", ", ".join(subject.classes)),
        ("input", f"{width}x{height}, {subject.resize_mode}"),
    ]


def data_facts(result: EvalResult) -> Table:
    """Which frames were measured, and how many were left out for which reason."""
    with_boxes = sum(len(boxes) > 0 for boxes in result.truths)
    split = result.config.split_manifest
    return [
        ("root", str(result.root.resolve())),
        *([] if split is None else [("split", f"validation frames of {Path(split).resolve()}")]),
        ("runs", f"{_num_runs(result):,}"),
        ("frames", f"{len(result.frames):,}"),
        ("with polyps", f"{with_boxes:,}, {counted(result.metrics.num_truths, 'box')}"),
        ("empty", f"{len(result.frames) - with_boxes:,}"),
        *(("left out", line) for line in result.left_out or ["nothing"]),
    ]


def threshold_facts(result: EvalResult) -> Table:
    """What was counted, from which score on, at each IoU."""
    metrics = result.metrics
    counts = [
        (
            f"IoU {entry.iou:g}",
            f"{entry.true_positives:,} found, {entry.false_negatives:,} missed, "
            f"{entry.false_positives:,} false",
        )
        for entry in metrics.at_iou
    ]
    return [("score", f"{metrics.obj_thresh:g} or more"), *counts]


def machine_facts(result: EvalResult) -> Table:
    """What the measuring ran on."""
    return [
        (
            "system",
            f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'core')}",
        ),
        ("device", result.subject.device),
        ("Python, torch", f"{platform.python_version()}, {torch.__version__}"),
    ]


def command_to_repeat(config: EvalConfig) -> str:
    """What a shell makes the same evaluation of: all that isn't a default, and what is measured."""
    shown = replace(config, checkpoint=config.weights)
    return command_line("eval", shown, always=("input_root",))


def _num_runs(result: EvalResult) -> int:
    return len({frame.run for frame in result.frames})


def _footer(result: EvalResult) -> str:
    return SIMULATED_ONLY if result.simulated else RESEARCH_ONLY
