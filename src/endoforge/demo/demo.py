"""The journey of `demo`, step by step."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from endoforge.captures.config import PruneConfig
from endoforge.captures.prune import prune_empty
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.errors import Resumable, UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.folders import is_link, make_folder, remove_tree
from endoforge.core.outputs import check_output_folder
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.job_report import DatagenReport
from endoforge.demo.config import DemoConfig
from endoforge.detect.packaged import PACKAGED
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.result import EvalResult
from endoforge.report.charts import loss_curve, quality_curves
from endoforge.report.eval_command import run_eval
from endoforge.report.eval_page import (
    detector_facts,
    frame_groups,
    machine_facts,
    quality_charts,
    threshold_facts,
)
from endoforge.report.page import (
    SIMULATED_ONLY,
    Charts,
    Commands,
    Facts,
    FrameGroups,
    Report,
    headline,
    write_report,
)
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from endoforge.train.train_result import TrainResult

log = logging.getLogger(__name__)

TRAIN_RUNS, UNSEEN_RUNS = 36, 6
FRAMES_A_RUN, RESOLUTION = 56, "384x216"
"""Small frames of many colons teach more in a minute than large ones of few."""
RANGES = "plain"
"""The rich world takes longer to learn than a demo may."""
EPOCHS, BATCH_SIZE = 8, 16
VAL_RATIO = 0.06
MARK, MADE_BY = "demo.json", "endoforge demo"
"""This file says that a folder was made by the demo, and may be made anew."""


@dataclass
class DemoResult:
    """What the demo measured, and where everything that it made lies."""

    root: Path
    evaluation: EvalResult
    seconds: dict[str, float]

    def lines(self) -> list[str]:
        """Sum it up for people, a line each."""
        scores = "  ".join(f"{name} {value}" for name, value in headline(self.evaluation.metrics))
        spent = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.seconds.items())
        return [
            "",
            f"on {UNSEEN_RUNS} colons that training never saw: {scores}",
            f"({spent}; {sum(self.seconds.values()):.0f} s in all)",
            "",
            f"report      {self.root / 'report.html'}",
            f"metrics     {self.root / 'metrics.jsonl'}",
            f"detector    {self.root / 'checkpoints' / 'tinydet_best.safetensors'}",
            f"frames      {self.root / 'captures'} (pruned: {self.root / 'captures_filtered'})",
            f"unseen      {self.root / 'unseen'}",
        ]


@dataclass
class _Stopwatch:
    """The seconds that each step took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        log.info("")
        log.info("%s: %s", name, what)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def run_demo(config: DemoConfig) -> DemoResult:
    """Simulate, prune, train, evaluate and report; everything lies under `config.output_root`."""
    check_output_folder("--output-root", config.output_root)
    root = Path(config.output_root)
    _start_afresh(root, config)
    clock = _Stopwatch()
    with clock.step(
        "simulate", f"{TRAIN_RUNS} colons to learn from, {UNSEEN_RUNS} to be tested on"
    ):
        generated = _simulate(root / "captures", config.seed, TRAIN_RUNS)
        unseen = _simulate(root / "unseen", config.seed + 1, UNSEEN_RUNS)
    with clock.step("prune", "copy the frames that show a polyp"):
        pruning = PruneConfig(input=str(root / "captures"), output=str(root / "captures_filtered"))
        pruned = prune_empty(pruning)
        _log_lines(pruned.lines())
    with clock.step(
        "train", f"the weights that come with EndoForge, {EPOCHS} epochs on {pruned.kept} frames"
    ):
        result = _train(root, config.seed)
    with clock.step("evaluate", "on the colons that training never saw, empty frames too"):
        evaluation = run_eval(
            EvalConfig(
                checkpoint=str(result.best_checkpoint),
                input_root=str(root / "unseen"),
                metrics_out=str(root / "metrics.jsonl"),
            )
        )
    demo = DemoResult(root, evaluation, clock.seconds)
    _write_report(demo, config, [generated, unseen])
    return demo


def _start_afresh(root: Path, config: DemoConfig) -> None:
    """Make `root`, without what an earlier demo left; leave folders of other origin alone."""
    if root.exists() and any(root.iterdir()) and not _is_demo(root):
        raise UserError(f"--output-root {root}: holds files that no demo made; name another folder")
    if root.exists():
        remove_tree(root)
    make_folder(root)
    write_json_atomic(root / MARK, {"made_by": MADE_BY, "seed": config.seed})


def _is_demo(root: Path) -> bool:
    """Whether a demo left its mark there: a file of that name alone is none."""
    if is_link(root / MARK):
        return False
    try:
        mark = parse_json(read_regular(root / MARK, MOST_LABEL_BYTES))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("made_by") == MADE_BY


def _simulate(root: Path, seed: int, runs: int) -> DatagenReport:
    config = DatagenConfig(
        seed=seed,
        runs=runs,
        randomization=RANGES,
        max_frames=FRAMES_A_RUN,
        resolution=RESOLUTION,
        output_root=str(root),
    )
    report = generate(config)
    _log_lines(report.lines())
    return report


def _train(root: Path, seed: int) -> TrainResult:
    try:
        return train(_train_config(root, seed))
    except Resumable:
        raise KeyboardInterrupt from None  # the demo would start afresh


def _train_config(root: Path, seed: int) -> TrainConfig:
    return TrainConfig(
        input_root=str(root / "captures_filtered"),
        ckpt_dir=str(root / "checkpoints"),
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        demo_checkpoint=PACKAGED,
        val_ratio=VAL_RATIO,
        lr_start=1e-3,
        lr_end=1e-5,
        scheduler="cosine",
        seed=seed,
        drop_last=True,
        log_every=0,
        metrics_out=str(root / "train_metrics.jsonl"),
        status_file=str(root / "status.json"),
    )


def _write_report(demo: DemoResult, config: DemoConfig, generated: list[DatagenReport]) -> None:
    root, metrics = demo.root, demo.evaluation.metrics
    metrics_file = read_regular(root / "train_metrics.jsonl", MOST_LABEL_BYTES)
    history = [parse_json(line) for line in metrics_file.splitlines()]
    evaluation = demo.evaluation
    report = Report(
        title="EndoForge demo",
        subtitle=(
            f"The detector that comes with EndoForge, trained further in {TRAIN_RUNS} simulated "
            f"colons, and measured on {metrics.images} frames of {UNSEEN_RUNS} that it never saw."
        ),
        tiles=headline(metrics),
        sections=[
            Charts("How it learned", [loss_curve(history), quality_curves(history)]),
            Charts("How good it is on the unseen colons", quality_charts(evaluation)),
            FrameGroups("Unseen frames, with truth and detections", frame_groups(evaluation)),
            Facts(
                "What was measured",
                [
                    ("Detector", detector_facts(evaluation)),
                    ("Data", _data_facts(root, generated)),
                    ("Thresholds", threshold_facts(evaluation)),
                    ("Machine", _machine_facts(demo, generated[0].renderer)),
                ],
            ),
            Commands("Make it again", [f"endoforge demo --seed {config.seed}"]),
        ],
        footer=SIMULATED_ONLY,
    )
    write_report(root / "report.html", report)


def _data_facts(root: Path, generated: list[DatagenReport]) -> list[tuple[str, str]]:
    rows = [
        (name, f"{len(part.run_dirs)} runs, {part.frames} frames, {part.boxes} boxes")
        for name, part in zip(("learned from", "unseen"), generated, strict=True)
    ]
    rows.append(("world", f"the plain one (--randomization {RANGES})"))
    kinds = _polyps_by_kind([run for part in generated for run in part.run_dirs])
    rows.append(("polyps", ", ".join(f"{count} {kind}" for kind, count in kinds)))
    rows.append(("files", str(root.resolve())))
    return rows


def _polyps_by_kind(run_dirs: list[Path]) -> list[tuple[str, int]]:
    """How many polyps of each Paris kind the scenes of these runs hold."""
    kinds: Counter[str] = Counter()
    for run_dir in run_dirs:
        manifest = parse_json(read_regular(run_dir / MANIFEST_NAME, MOST_LABEL_BYTES))
        kinds.update(polyp["paris"] for polyp in manifest["endoforge"]["scene"]["polyps"])
    return sorted(kinds.items())


def _machine_facts(demo: DemoResult, renderer: str) -> list[tuple[str, str]]:
    return [
        *machine_facts(demo.evaluation),
        ("renderer", renderer),
        *((step, f"{seconds:.1f} s") for step, seconds in demo.seconds.items()),
    ]


def _log_lines(lines: list[str]) -> None:
    for line in lines:
        log.info("%s", line)
