"""The two trainings of the demo, and what each found on the unseen colons."""

from dataclasses import dataclass, field
from pathlib import Path

from endoforge.core.errors import Resumable
from endoforge.detect.detections import Detections
from endoforge.detect.packaged import PACKAGED
from endoforge.evaluate.metrics import Metrics
from endoforge.report.charts import LearningCurve
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from endoforge.train.reports import EpochReport, Outcome, Plan, StepReport

BATCH_SIZE, LR_END = 16, 1e-5
FROM_NOTHING, FURTHER = "from nothing", "packaged, trained further"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A training of the demo: what sets it apart from the other. `step` names it among the steps,
    `name` the detector that it gives."""

    step: str
    name: str
    folder: str
    epochs: int
    lr_start: float
    start: str | None
    """The weights that it begins with; random ones for None."""

    def config(self, root: Path, seed: int) -> TrainConfig:
        """The training in the demo's folder: on its pruned frames, validated on its unseen ones.

        Its last weights are to be used: to choose among the epochs by the unseen colons would be to
        learn from them.
        """
        return TrainConfig(
            input_root=str(root / "captures_filtered"),
            real_val_dir=str(root / "unseen"),
            ckpt_dir=str(root / self.folder),
            demo_checkpoint=self.start,
            epochs=self.epochs,
            batch_size=BATCH_SIZE,
            lr_start=self.lr_start,
            lr_end=LR_END,
            scheduler="cosine",
            seed=seed,
            drop_last=True,
            log_every=0,
            metrics_out=str(root / self.folder / "metrics.jsonl"),
        )


LESSONS = (
    Lesson(
        step="train from nothing",
        name=FROM_NOTHING,
        folder="from_nothing",
        epochs=6,
        lr_start=4e-3,
        start=None,
    ),
    Lesson(
        step="train further",
        name=FURTHER,
        folder="checkpoints",
        epochs=4,
        lr_start=2e-3,
        start=PACKAGED,
    ),
)


@dataclass
class Learned:
    """What a training came to, epoch by epoch; as a `Sink` it is told."""

    name: str
    losses: list[float] = field(default_factory=list)
    metrics: list[Metrics] = field(default_factory=list)
    found: list[list[Detections]] = field(default_factory=list)
    """Of each epoch, what it found in each unseen frame; 0..1 of the input."""

    @property
    def curve(self) -> LearningCurve:
        """For the charts."""
        return LearningCurve(self.name, self.losses, [one.ap50 for one in self.metrics])

    def start(self, plan: Plan) -> None:
        """Nothing has been learned yet."""

    def step(self, report: StepReport) -> None:
        """Steps aren't kept."""

    def epoch(self, report: EpochReport) -> None:
        self.losses.append(report.loss)
        self.metrics.append(report.validation.metrics)
        self.found.append(report.validation.detections)

    def finish(self, status: Outcome, error: str | None) -> None:
        """All has been told."""


def learn(lesson: Lesson, config: TrainConfig) -> Learned:
    """Train as `config` says; a stop ends the demo, which can't be gone on with."""
    learned = Learned(lesson.name)
    try:
        train(config, sinks=[learned])
    except Resumable:
        raise KeyboardInterrupt from None  # the demo would start afresh
    return learned
