"""Measures the detector: milliseconds a frame, in all and part by part, and frames a second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.backends.compute import TorchCompute
from endoforge.bench.limits import NearLimit, count_operations, measure_near_limit
from endoforge.bench.timing import median_seconds
from endoforge.core.folders import scratch_folder
from endoforge.data.letterbox import resize_picture
from endoforge.detect.boxes import make_cells
from endoforge.detect.decode import decode_batch
from endoforge.detect.detections import Detector
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.predict import to_input
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights

FRAME_SIZE, INPUT_SIZE = (640, 360), (320, 192)
"""(width, height) of the frames, and of the detector's input."""
FOUND = 8
"""Detections in the frame: about as many as a frame with a few polyps gives at low thresholds."""


@contextmanager
def one_core() -> Iterator[None]:
    """Run PyTorch and OpenCV on one thread each, as in a program that needs the other cores."""
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def fresh_detector(device: torch.device) -> NeuralDetector:
    """Make a TinyDet that has learned nothing, which takes as long as one that has."""
    model = build_tinydet(TinyDetConfig(), seed=0)
    metadata = WeightsMetadata(model=model.config, input_size=INPUT_SIZE, resize_mode="letterbox")
    with scratch_folder() as folder:
        path = folder / "fresh.safetensors"
        save_weights(path, model.state_dict(), metadata)
        detector = NeuralDetector(path, place=TorchCompute(device).net)
    detector.set_thresholds(0.0, detector.iou)
    scores = detector.detect(frame()).scores
    detector.set_thresholds(float(scores[min(FOUND, len(scores)) - 1]), detector.iou)
    return detector


def frame() -> NDArray[np.uint8]:
    """Make a frame, (H, W, 3) uint8, of noise as coarse as a colon's texture."""
    coarse = np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, FRAME_SIZE), np.uint8)


def milliseconds_per_frame(detector: Detector, *, repeats: int) -> float:
    """Measure the time from a frame to its boxes, the median of `repeats`."""
    one = frame()
    return 1e3 * median_seconds(lambda: detector.detect(one), warm_up=10, repeats=repeats)


def frames_per_second(detector: NeuralDetector, batch: int, *, repeats: int) -> float:
    """Measure `detect_batch` on `batch` frames at once."""
    frames = [frame()] * batch
    return batch / median_seconds(lambda: detector.detect_batch(frames), warm_up=2, repeats=repeats)


@torch.inference_mode()
def near_limit(detector: NeuralDetector, *, repeats: int) -> tuple[NearLimit, NearLimit]:
    """Measure a frame, and its network alone, beside the floor of the network's operations.

    All three in turn, for a detector on a CPU.
    """
    one, (width, height) = frame(), detector.metadata.input_size
    images = to_input(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    whole, network = measure_near_limit(
        [lambda: detector.detect(one), lambda: detector.net(images)],
        count_operations(detector.metadata.model, (width, height)),
        device=images.device,
        warm_up=10,
        repeats=repeats,
    )
    return whole, network


@torch.inference_mode()
def milliseconds_by_part(detector: NeuralDetector, *, repeats: int) -> dict[str, float]:
    """Measure what a frame goes through on a CPU, each part by itself."""
    one, mode = frame(), detector.metadata.resize_mode
    picture, _ = resize_picture(one, INPUT_SIZE, mode)
    pixels = torch.from_numpy(picture[None])
    images = to_input(pixels)
    raw = detector.net(images)
    cells = make_cells((INPUT_SIZE[1], INPUT_SIZE[0]), detector.model.config.strides, raw.device)
    parts: dict[str, Callable[[], object]] = {
        "resize": lambda: resize_picture(one, INPUT_SIZE, mode),
        "to float": lambda: to_input(pixels),
        "network": lambda: detector.net(images),
        "decode": lambda: decode_batch(
            raw,
            cells,
            score_threshold=detector.objectness,
            iou_threshold=detector.iou,
        ),
    }
    return {
        name: 1e3 * median_seconds(part, warm_up=10, repeats=repeats)
        for name, part in parts.items()
    }
