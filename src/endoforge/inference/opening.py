"""Opens the detector that flags name, says in words which one it is, and shows it pictures."""

import logging
import time
from collections.abc import Iterator

from endoforge.backends.compute import pick_compute
from endoforge.backends.loading import describe_detector
from endoforge.core.text import printable
from endoforge.detect.decode import MIN_SCORE
from endoforge.detect.detections import Detections
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.packaged import packaged_weights, provenance_of, weights_digest
from endoforge.inference.config import DetectConfig
from endoforge.inference.material import InputPicture

log = logging.getLogger(__name__)


class OpenedDetector:
    """The detector that `config` names, which gives all from MIN_SCORE on.

    `described` says its weights, what they are, and where it computes; `name` is what people know
    it by, without a path; `digest` is the SHA-256 of the weights' file, "" of the heuristic one.
    `seconds` is how long it has computed.
    """

    def __init__(self, config: DetectConfig) -> None:
        """Raises UserError for weights or a device that can't be used."""
        self.seconds = 0.0
        self.detector: NeuralDetector | HeuristicDetector
        if config.detector == "heuristic":
            self.detector, self.digest = HeuristicDetector(), ""
            self.name, self.described = "heuristic", "the heuristic detector on the CPU"
        else:
            compute = pick_compute(config.backend, config.device, config.adapter)
            neural = NeuralDetector(config.checkpoint, place=compute.net)
            path = neural.path
            if (made := provenance_of(path)) is not None:
                log.info("these weights were made by: %s", made)
            self.detector = neural
            self.digest = weights_digest(path)
            is_ours = path == packaged_weights()
            self.name = "packaged weights" if is_ours else printable(path.name)
            self.described = describe_detector(neural, compute)
        given = config.infer_iou_thresh
        self.iou = self.detector.iou if given is None else given
        self.detector.set_thresholds(objectness=MIN_SCORE, iou=self.iou)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of what it finds."""
        return self.detector.classes

    def look_at(
        self, pictures: Iterator[InputPicture], batch_size: int
    ) -> Iterator[tuple[InputPicture, Detections]]:
        """Give each picture with every detection in it; `batch_size` of them are shown at once."""
        for batch in _batches(pictures, batch_size):
            before = time.perf_counter()
            found = self.detector.detect_batch([picture.pixels for picture in batch])
            self.seconds += time.perf_counter() - before
            yield from zip(batch, found, strict=True)


def _batches(pictures: Iterator[InputPicture], size: int) -> Iterator[list[InputPicture]]:
    batch: list[InputPicture] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
