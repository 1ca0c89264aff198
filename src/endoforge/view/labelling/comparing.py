"""Two detectors on the same held-out frames, in a process of its own."""

import io
import multiprocessing
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Event
from typing import Any

from endoforge.core.children import become_child, starting_children
from endoforge.core.errors import UserError
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.matching import match_picture
from endoforge.evaluate.result import EvalResult
from endoforge.report.drawn_frames import frames_with_boxes
from endoforge.report.eval_command import run_eval
from endoforge.view.labelling.label_messages import (
    ComparedFrame,
    ComparisonView,
    DetectorScore,
)

MOST_SHOWN = 6
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class DetectorChange:
    """What was measured, and of each of its frames the JPEGs of the old and the new detector."""

    view: ComparisonView
    pictures: list[tuple[bytes, bytes]]


def compare_apart(old: EvalConfig, new: EvalConfig, stop: Event) -> DetectorChange | None:
    """`compare`, in a process that is gone afterwards; None if it was told to `stop`.

    Raises UserError if it fails.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, old, new), daemon=True)
    with starting_children():
        process.start()
    theirs.close()
    try:
        while not ours.poll(LOOK_EVERY_S):
            if stop.is_set():
                return None
        answer: DetectorChange | str = ours.recv()
    except EOFError:
        answer = "the detectors couldn't be measured: the process ended"
    finally:
        process.terminate()
        process.join()
        ours.close()
    if isinstance(answer, str):
        raise UserError(answer)
    return answer


def _work(
    answers: "Connection[DetectorChange | str, Any]", old: EvalConfig, new: EvalConfig
) -> None:
    """In the process."""
    become_child()
    sys.stderr = io.StringIO()  # its progress is none of the server's
    try:
        answers.send(compare(old, new))
    except (UserError, OSError) as error:
        answers.send(str(error))


def compare(old: EvalConfig, new: EvalConfig) -> DetectorChange:
    """Measure both detectors, and draw the frames on which they differ most."""
    results = run_eval(old), run_eval(new)
    places = most_different(*results)
    drawn = [frames_with_boxes(result, places) for result in results]
    pairs = list(zip(*drawn, strict=True))
    view = ComparisonView(
        boxes=sum(map(len, results[0].truths)),
        threshold=old.val_obj_thresh,
        old=_score("before", results[0]),
        new=_score("after", results[1]),
        frames=[ComparedFrame(old=a.caption, new=b.caption) for a, b in pairs],
    )
    return DetectorChange(view, [(a.jpeg, b.jpeg) for a, b in pairs])


def most_different(old: EvalResult, new: EvalResult) -> list[int]:
    """The places of the frames on which two detectors' errors differ most, in the frames' order."""
    changes = [abs(a - b) for a, b in zip(_errors(old), _errors(new), strict=True)]
    by_change = sorted(range(len(changes)), key=lambda place: (-changes[place], place))
    return sorted(by_change[:MOST_SHOWN])


def _errors(result: EvalResult) -> list[int]:
    """Of each frame, the boxes that were missed and the false ones."""
    metrics = result.metrics
    errors = []
    for found, truth in zip(result.detections, result.truths, strict=True):
        shown = found.above(metrics.obj_thresh)
        hits = int((match_picture(shown, truth, metrics.at_iou[0].iou) > 0).sum())
        errors.append(len(shown) + len(truth) - 2 * hits)
    return errors


def _score(name: str, result: EvalResult) -> DetectorScore:
    counts = result.metrics.at_iou[0]
    return DetectorScore(
        name=name,
        ap50=result.metrics.ap50,
        ap=result.metrics.ap,
        found=counts.true_positives,
        missed=counts.false_negatives,
        false=counts.false_positives,
    )
