"""Exported ONNX files beside each other: AP on labelled frames, and milliseconds a frame.

    endoforge export --output whole.onnx
    endoforge export --precision int8 --output int8.onnx
    python benchmarks/exported.py assets/real whole.onnx int8.onnx

Each frame goes through all files in turn, on one core in ONNX Runtime. The times are those of the
core itself, from a picture of the input's size to detections, medians; `times_the_first` compares
them. Files have their NMS inside. Frames are for measuring only: nothing is calibrated on them.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime

from endoforge import __version__
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.core.sizes import parse_size
from endoforge.data.letterbox import resize_picture
from endoforge.detect.decode import MAX_DETECTIONS
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure


class File:
    """An ONNX file with its NMS inside, the times it took, and what it found."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.path = path
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.facts = self.session.get_modelmeta().custom_metadata_map
        self.seconds: list[float] = []
        self.found: list[Detections] = []

    def detect(self, frame: np.ndarray) -> None:
        """Find polyps in (H, W, 3) uint8 RGB, and keep them and the time that it took."""
        size = parse_size(self.facts["input_size"], "input_size")
        mode = self.facts["resize_mode"]
        picture, place = resize_picture(frame, size, "force" if mode == "force" else "letterbox")
        image = (picture.astype(np.float32) / 255).transpose(2, 0, 1)[None].copy()
        started = time.thread_time()
        boxes, scores, classes, _ = self.session.run(None, {"images": image})
        self.seconds.append(time.thread_time() - started)
        best = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
        boxes = (boxes[best] / (size * 2)).astype(np.float32)
        self.found.append(Detections(place.to_picture(boxes), scores[best], classes[best]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="capture runs")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    frames = index_root(arguments.root).frames
    truths = [Truth(frame.boxes, np.zeros(len(frame.boxes), np.int64)) for frame in frames]
    files = [File(path) for path in arguments.files]
    for frame in frames:
        picture = read_picture(frame.image_path)
        for file in files:
            file.detect(picture)
    times = [statistics.median(file.seconds) for file in files]
    for file, own in zip(files, times, strict=True):
        names = json.loads(file.facts["names"])
        metrics = measure(file.found, truths, class_names=names, obj_thresh=0.3, iou_threshs=[0.5])
        scores = {"ap50": metrics.ap50, "ap": metrics.ap, "ap75": metrics.ap75}
        result = {
            "benchmark": "exported",
            "version": __version__,
            "onnxruntime": onnxruntime.__version__,
            "file": file.path.name,
            "precision": file.facts["precision"],
            "bytes": file.path.stat().st_size,
            "frames": len(frames),
            **{key: value and round(value, 4) for key, value in scores.items()},
            "core_ms": round(1e3 * own, 2),
            "times_the_first": round(times[0] / own, 2),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
