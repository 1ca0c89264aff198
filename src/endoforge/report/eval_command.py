"""The `eval` command: a detector, measured on the frames of a root."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.only_read import refuse_in_runs
from endoforge.core.errors import UserError
from endoforge.core.files import append_json_line
from endoforge.core.outputs import (
    check_output_file,
    check_output_folder,
    refuse_no_metrics,
    refuse_same,
)
from endoforge.core.progress import progress
from endoforge.core.text import counted, shortened
from endoforge.data.classes import boxes_by_class, unknown_classes, with_others
from endoforge.data.loader import Loader
from endoforge.data.pack import Pack, pack_frames
from endoforge.data.split import load_split, read_split_manifest
from endoforge.evaluate.config import REPORT_NAME, EvalConfig
from endoforge.evaluate.lesion_result import LesionResult, measure_lesions
from endoforge.evaluate.lesion_runs import LesionRuns, lesion_runs
from endoforge.evaluate.result import EvalResult
from endoforge.evaluate.subject import Subject, subject_of
from endoforge.evaluate.validate import Validation, validate
from endoforge.roots.fetching import UNUSED_IN_TRAINING, fetch

log = logging.getLogger(__name__)

EVERY_BOX = 1_000_000


def run_eval(config: EvalConfig) -> EvalResult:
    """Measure the detector that `config` names on the frames of `config.input_root`.

    Raises UserError for a checkpoint, a root, a split or an output that can't be used, and if
    lesions are asked for of runs of which none can tell. Where a file can't be written in the end,
    the scores are printed before the error.
    """
    _check_outputs(config)
    if config.split_manifest is not None:
        read_split_manifest(Path(config.split_manifest))
    subject = subject_of(config)
    index, pack, left_out = _load_frames(config, subject)
    runs = _lesion_runs(pack) if config.lesions else None
    loader = Loader(pack, config.batch_size, seed=None)
    started = time.monotonic()
    with progress("measuring", len(pack), "frames") as advance:
        validation = validate(
            subject.predict,
            loader,
            obj_thresh=config.val_obj_thresh,
            iou_threshs=config.iou_thresholds,
            on_batch=advance,
        )
    lesions = None if runs is None else _measure_lesions(config, runs, validation)
    seconds = time.monotonic() - started
    result = EvalResult(
        config=config,
        metrics=validation.metrics,
        subject=subject,
        root=index.root,
        simulated=_simulated(index, pack),
        left_out=left_out,
        frames=pack.frames,
        images=pack.images,
        detections=validation.detections,
        truths=validation.truths,
        class_names=validation.class_names,
        seconds=seconds,
        lesions=lesions,
    )
    with _scores_before_errors(result):
        if config.metrics_out is not None:
            append_json_line(Path(config.metrics_out), _record(result, validation.batches))
        return result if config.report is None else _with_report(result, Path(config.report))


def _check_outputs(config: EvalConfig) -> None:
    page = None if config.report is None else Path(config.report) / REPORT_NAME
    if page is not None:
        check_output_folder("--report", page.parent)
        check_output_file("--report", page)
        refuse_in_runs("--report", page.parent, "--input-root", config.input_root)
    if config.metrics_out is not None:
        check_output_file("--metrics-out", config.metrics_out, appended=True)
        refuse_in_runs("--metrics-out", config.metrics_out, "--input-root", config.input_root)
    refuse_same(
        {
            "--checkpoint": config.weights,
            "--split-manifest": config.split_manifest,
            "--report": page,
            "--metrics-out": config.metrics_out,
        }
    )
    if config.metrics_out is not None:
        refuse_no_metrics("--metrics-out", config.metrics_out)


@contextmanager
def _scores_before_errors(result: EvalResult) -> Iterator[None]:
    """Print the scores if a file can't be written, for they would be lost."""
    try:
        yield
    except Exception:
        print("\n".join(map(shortened, result.lines())), flush=True)
        raise


def _with_report(result: EvalResult, folder: Path) -> EvalResult:
    from endoforge.report.eval_page import write_eval_report  # matplotlib takes its time

    return replace(result, report=write_eval_report(folder, result))


def _load_frames(config: EvalConfig, subject: Subject) -> tuple[CaptureIndex, Pack, list[str]]:
    """What the root holds, the frames to measure, and what was left out and why."""
    index = index_root(
        fetch(config.input_root, "--input-root", without=UNUSED_IN_TRAINING),
        label_field=subject.label_field,
        strict=config.strict,
    )
    frames, left_out = index.frames, index.tally.lines()
    if config.split_manifest is not None:
        split = load_split(Path(config.split_manifest), index)
        frames = split.val
        others = len(index.frames) - len(frames)
        left_out.append(f"{others} x frame: not of the validation in {config.split_manifest}")
    if not frames:
        why = "; ".join(left_out) or "its runs hold none"
        raise UserError(f"--input-root {config.input_root}: no frame can be measured: {why}")
    pack = pack_frames(
        frames,
        class_names=with_others(subject.classes, frames),
        size=subject.input_size,
        resize_mode=subject.resize_mode,
        max_boxes=EVERY_BOX,
        strict=config.strict,
        label="evaluation",
    )
    left_out += pack.tally.lines()
    num_runs = len({frame.run for frame in pack.frames})
    log.info("%s of %s in %s", counted(len(pack), "frame"), counted(num_runs, "run"), index.root)
    for line in left_out:
        log.warning("left out: %s", line)
    if (unknown := unknown_classes(pack, subject.classes)) is not None:
        log.warning("%s", unknown)
    if not boxes_by_class(pack):
        log.warning(
            "no true box in %s (field %s of their labels): there is nothing to find, "
            "so AP is undefined, and precision, recall and mean IoU are 0 whatever is detected",
            counted(len(pack), "frame"), subject.label_field,
        )  # fmt: skip
    return index, pack, left_out


def _simulated(index: CaptureIndex, pack: Pack) -> bool:
    """Whether every measured run has a scene in its manifest."""
    simulated = {
        run.name
        for run in index.runs
        if run.manifest is not None and "scene" in (run.manifest.endoforge or {})
    }
    return {frame.run for frame in pack.frames} <= simulated


def _lesion_runs(pack: Pack) -> LesionRuns:
    """The runs of which lesions are measured; says which others aren't, and why."""
    runs = lesion_runs(pack)
    for line in runs.left_out:
        log.warning("left out of the lesions: %s", line)
    return runs


def _measure_lesions(config: EvalConfig, runs: LesionRuns, validation: Validation) -> LesionResult:
    with progress("tracking", runs.num_frames, "frames") as advance:
        return measure_lesions(
            runs,
            validation.detections,
            validation.images,
            obj_thresh=config.val_obj_thresh,
            on_frames=advance,
        )


def _record(result: EvalResult, batches: int) -> dict[str, Any]:
    """What a line of the metrics file says."""
    config, metrics = result.config, result.metrics
    record = {
        "detector": config.detector,
        "checkpoint": config.weights,
        "weights_sha256": result.subject.weights_sha256,
        "input_root": config.input_root,
        "split_manifest": config.split_manifest,
        **metrics.to_record(batches),
        "seconds": round(result.seconds, 3),
        "pr_curve": [point.to_record() for point in metrics.pr_curve],
    }
    if result.lesions is not None:
        record["lesions"] = result.lesions.to_record()
    return record
