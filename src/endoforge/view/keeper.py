"""Keeps a detector ready: the checkpoint's, or the heuristic one where that can't be had."""

import copy
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endoforge.core.choices import DetectorKind
from endoforge.core.errors import UserError
from endoforge.core.reading import open_regular
from endoforge.detect.detections import Detector
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.packaged import PACKAGED
from endoforge.detect.predict import Net
from endoforge.detect.tinydet import TinyDet
from endoforge.tracking.tracker import LOW_SHARE
from endoforge.view.events import Events
from endoforge.view.weight_choices import HEURISTIC, shown_name

LOOK_EVERY_S = 0.5
"""Seconds between two looks at the checkpoint, whether it has changed."""

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Thresholds:
    """Least score of a detection, and the overlap (IoU) from which two are the same, 0 to 1."""

    objectness: float
    iou: float


class Keeper:
    """The detectors of a session: the neural one as its file is now, and the heuristic one.

    `place` brings a net to where it computes.
    """

    def __init__(
        self,
        checkpoint: str,
        place: Callable[[TinyDet], Net],
        thresholds: Thresholds,
        events: Events,
        make_heuristic: Callable[[], Detector] = HeuristicDetector,
        *,
        stand_in: Path | None = None,
    ) -> None:
        """`stand_in` names other weights, for as long as there is no file `checkpoint`."""
        self.checkpoint = checkpoint
        self.wanted: DetectorKind = "neural"
        self.thresholds = thresholds
        self._place, self._events = place, events
        self._make_heuristic = make_heuristic
        self._stand_in = stand_in
        self._heuristic: Detector | None = None
        self._neural: NeuralDetector | None = None
        self._digits = ""
        self._loaded: Path | None = None
        self._missing: str | None = None
        """Why there is no neural detector, in a line."""
        self._stamp: Stamp | Literal["never"] = "never"
        self._next_look = 0.0

    @property
    def mode(self) -> DetectorKind:
        """Which detector is at work."""
        neural = self.wanted == "neural" and self._neural is not None
        return "neural" if neural else "heuristic"

    @property
    def weights(self) -> str | None:
        """The weights at work: the file, or that they are packaged, and what tells them apart."""
        return f"{self.chosen} {self._digits}" if self.mode == "neural" else None

    @property
    def chosen(self) -> str:
        """Which of the choices of pages is the one that is wanted, or that stands in for it."""
        if self.wanted == "heuristic":
            return HEURISTIC
        path = self._loaded or Path(self.checkpoint)
        return PACKAGED if path == self._stand_in else shown_name(path)

    @property
    def at_work(self) -> str:
        """What detects now, in words."""
        return self.weights or "the heuristic detector"

    @property
    def fallback(self) -> str | None:
        """Why the wanted detector isn't at work, in a line."""
        return self._missing if self.wanted == "neural" else None

    def current(self) -> Detector:
        """The detector to use now, to give weak detections too, which continue tracks.

        May load weights, for some tenths of a second.
        """
        self.look_again()
        detector: Detector | None = self._neural
        if self.wanted == "heuristic" or detector is None:
            detector = self._heuristic = self._heuristic or self._make_heuristic()
        detector.set_thresholds(LOW_SHARE * self.thresholds.objectness, self.thresholds.iou)
        return detector

    def look_again(self) -> None:
        """Do as `look` does, unless that was done within LOOK_EVERY_S."""
        if time.monotonic() >= self._next_look:
            self.look()

    def classes_are_kinds(self, detector: Detector) -> bool:
        """Whether a detector tells Paris kinds apart."""
        metadata = getattr(detector, "metadata", None)
        return metadata is not None and metadata.label_field == "paris"

    def choose(self, path: Path) -> None:
        """Use other weights from now on.

        Raises UserError if they can't be loaded: then those before stay. Of the thread that
        detects, since it loads where that computes.
        """
        stamp = _stamp(path)
        self._load(path)
        self.checkpoint, self._stand_in, self._stamp = str(path), None, stamp
        self.wanted = "neural"

    def another(self) -> "Keeper":
        """A keeper of the same weights and thresholds, to be chosen others."""
        other = copy.copy(self)  # so it neither loads nor tells again what this one has
        other._heuristic = None
        return other

    def look(self) -> None:
        """Load the checkpoint if it is another one than before."""
        self._next_look = time.monotonic() + LOOK_EVERY_S
        stamp = _stamp(Path(self.checkpoint))
        if stamp == self._stamp:
            return
        first, self._stamp = self._stamp == "never", stamp
        path = self._stand_in if stamp is None and self._stand_in else Path(self.checkpoint)
        try:
            self._load(path)
        except UserError as error:
            self._fall_back(str(error))
        else:
            again = "loaded" if first else "loaded again: it has changed"
            if path == self._stand_in:
                again = "not there; the weights that come with EndoForge are used until it is"
            self._events.tell("info", f"{self.checkpoint}: {again}")

    def _load(self, path: Path) -> None:
        try:
            neural = NeuralDetector(path, place=self._place)
            with open_regular(path) as file:
                digits = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        except UserError:
            raise
        except Exception as error:  # a device that fails, or memory that is full
            raise UserError(f"{path}: {type(error).__name__}: {error}") from error
        self._neural, self._missing = neural, None
        self._loaded, self._digits = path, digits

    def _fall_back(self, reason: str) -> None:
        self._neural, self._missing, self._loaded = None, reason, None
        self._events.tell("warning", f"{reason}; the heuristic detector takes over")


def _stamp(path: Path) -> Stamp:
    """What differs whenever the file is another one; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
