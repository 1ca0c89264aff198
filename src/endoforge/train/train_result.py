"""What a training left behind."""

from dataclasses import dataclass
from pathlib import Path

from endoforge.evaluate.metrics import Metrics
from endoforge.train.config import Watch
from endoforge.train.watch import NAMES as WATCHED
from endoforge.train.watch import Score


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training left behind."""

    checkpoint: Path
    """The weights at the end."""
    best_checkpoint: Path
    """The weights of the best validation."""
    epochs: int
    """Epochs done, those before a resume too."""
    watch: Watch
    """What decided which validation was the best."""
    best_score: Score | None
    """What was watched at that validation; None where there was nothing to find."""
    best_epoch: int | None
    """The epoch of that validation, from 0; None where its weights are gone."""
    metrics: Metrics | None
    """The metrics of the last validation; None where there was nothing left to do."""
    best_is_used: bool
    """Whether the weights at the end are the best ones, as they are with a patience."""
    address: str | None = None
    """Where both lie too, if `--ckpt-dir` is an address."""

    def lines(self) -> list[str]:
        """The summary for people."""
        metrics, scores = self.metrics, list[str]()
        if metrics is not None:
            scores = [f"last validation: {metrics.summary()}", *metrics.class_lines()]
        best = list[str]()
        if self.best_epoch is not None:
            told = f"epoch {self.best_epoch + 1}"
            if self.best_score is not None:
                told += f", {WATCHED[self.watch]} {self.best_score[0]:.3f}"
            best = [f"best     {self._shown(self.best_checkpoint)} ({told})"]
        used = " (the best)" if self.best_is_used else ""
        return [*scores, f"weights  {self._shown(self.checkpoint)}{used}", *best]

    def _shown(self, path: Path) -> str:
        return str(path) if self.address is None else f"{self.address}/{path.name}"
