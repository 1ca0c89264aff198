"""Lesions in simulated procedures, frame by frame against tracks: found, delay, alarms, flicker.

    python benchmarks/video.py --runs 20 --from 200 --to 215
    python benchmarks/video.py --speed clip.mp4

Records the runs with fixed seeds into --root, or goes on with those that are there, measures them
as `eval --lesions` does, and prints the table, then one line of JSON. Beside the two at one score
it tells how many false alarms a minute frame by frame would have at the score at which it finds as
many polyps as the tracks do. With --speed it prints how many times faster than it plays `detect`
goes through a video, without drawing and with.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from endoforge import __version__
from endoforge.captures.video import Video
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.detect.decode import MIN_SCORE
from endoforge.detect.neural import NeuralDetector
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.lesion_links import frame_by_frame
from endoforge.evaluate.lesion_outcomes import follow
from endoforge.evaluate.lesion_result import LesionResult
from endoforge.evaluate.lesion_table import lesion_lines
from endoforge.evaluate.lesions import LesionMetrics, sum_up
from endoforge.evaluate.result import EvalResult
from endoforge.inference.config import DetectConfig
from endoforge.inference.detecting_files import run_detect
from endoforge.report.eval_command import run_eval
from endoforge.tracking.tracker import Tracker

MOST_TRACKED = 300
SCORES = np.round(np.arange(0.05, 1.0, 0.01), 2)


def record(arguments: argparse.Namespace, root: Path) -> None:
    """Record the runs that aren't there yet."""
    config = DatagenConfig(
        seed=arguments.seed,
        runs=arguments.runs,
        fps=25.0,
        from_s=arguments.begin,
        to_s=arguments.end,
        resolution=arguments.resolution,
        randomization="plain",
        output_root=str(root),
        renderer=arguments.renderer,
        resume=True,
    )
    generate(config)


def as_many_found(result: EvalResult, lesions: LesionResult) -> tuple[float, LesionMetrics] | None:
    """The score at which frame by frame finds as many polyps as the tracks with the fewest false
    alarms, and its metrics; None if it never finds so many."""
    wanted = lesions.tracks.metrics.num_found
    fitting = []
    for score in SCORES.tolist():
        outcomes = [
            follow(
                shown.run.sequence,
                frame_by_frame(
                    shown.run.sequence,
                    [result.detections[place] for place in shown.run.places],
                    score,
                ),
            )
            for shown in lesions.runs
        ]
        metrics = sum_up(outcomes)
        if metrics.num_found >= wanted:
            fitting.append((score, metrics))
    return min(fitting, key=lambda one: one[1].false_alarms_a_minute) if fitting else None


def measure_lesions_of(arguments: argparse.Namespace, root: Path) -> dict[str, object]:
    """The table, printed, and what a line of results says of it."""
    record(arguments, root)
    result = run_eval(
        EvalConfig(checkpoint=arguments.checkpoint, input_root=str(root), lesions=True)
    )
    lesions = result.lesions
    if lesions is None:
        raise AssertionError("lesions were asked for")
    print("\n".join(lesion_lines(lesions)))
    single, tracks = lesions.single.metrics, lesions.tracks.metrics
    said = {
        "polyps": len(single.polyps),
        "minutes": round(single.seconds / 60, 2),
        "frame_by_frame": shortly(single),
        "tracks": shortly(tracks),
    }
    if (same := as_many_found(result, lesions)) is not None:
        said["frame_by_frame_finding_as_many"] = {"score": same[0], **shortly(same[1])}
    return said


def shortly(metrics: LesionMetrics) -> dict[str, float | None]:
    """The numbers that the issue of tracks is about."""
    numbers = {
        "found": metrics.num_found,
        "delay_median_s": metrics.delay(0.5),
        "delay_p90_s": metrics.delay(0.9),
        "false_alarms_per_min": metrics.false_alarms_a_minute,
        "false_time": metrics.false_time,
        "flicker_per_s": metrics.flicker,
    }
    return {name: None if one is None else round(one, 3) for name, one in numbers.items()}


def speed(clip: Path, checkpoint: str) -> dict[str, object]:
    """How many times faster than it plays a video goes through `detect`."""
    video = Video(clip)
    times: dict[str, object] = {"frames": video.num_frames, "fps": video.fps}
    for draw in ("none", "all"):
        with tempfile.TemporaryDirectory() as out:
            config = DetectConfig(paths=(str(clip),), checkpoint=checkpoint, output=out, draw=draw)
            report = run_detect(config)
        times[f"real_time_drawing_{draw}"] = round(video.duration / report.seconds, 2)
    return times | tracker_ms(video, checkpoint)


def tracker_ms(video: Video, checkpoint: str) -> dict[str, float]:
    """Milliseconds that a tracker takes for a frame, the median, on one core: without and with the
    picture by which the camera's motion is told."""
    cv2.setNumThreads(1)
    detector = NeuralDetector(checkpoint)
    detector.set_thresholds(MIN_SCORE, detector.iou)
    frames = [
        (detector.detect(picture), seconds, picture)
        for _, seconds, picture in islice(video.frames(), MOST_TRACKED)
    ]
    said = {}
    for name, with_picture in (("tracker_ms", False), ("tracker_with_camera_ms", True)):
        tracker, taken = Tracker(), []
        for found, seconds, picture in frames:
            begun = time.perf_counter()
            tracker.update(found, seconds, picture if with_picture else None)
            taken.append(time.perf_counter() - begun)
        said[name] = round(1000 * statistics.median(taken), 3)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--from", type=float, default=200.0, dest="begin")
    parser.add_argument("--to", type=float, default=215.0, dest="end")
    parser.add_argument("--resolution", default="320x256")
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--checkpoint", default="packaged")
    parser.add_argument("--speed", type=Path, help="a video, in place of simulated procedures")
    arguments = parser.parse_args()
    if arguments.speed is not None:
        said = speed(arguments.speed, arguments.checkpoint)
    elif arguments.root is not None:
        said = measure_lesions_of(arguments, arguments.root)
    else:
        with tempfile.TemporaryDirectory() as root:
            said = measure_lesions_of(arguments, Path(root))
    result = {"benchmark": "video", "version": __version__, "cpus": os.cpu_count(), **said}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
