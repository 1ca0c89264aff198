"""The journey of `demo`, step by step."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from endoforge.captures.config import PruneConfig
from endoforge.captures.prune import prune_empty
from endoforge.core.errors import UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.folders import is_link, make_folder, remove_tree
from endoforge.core.outputs import check_output_folder
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.job_report import DatagenReport
from endoforge.demo.config import RANGES, DemoConfig
from endoforge.demo.demo_page import DemoFindings, write_demo_report
from endoforge.demo.lessons import LESSONS, Learned, Lesson, learn
from endoforge.detect.packaged import PACKAGED, WEIGHTS_NAME
from endoforge.evaluate.config import REPORT_NAME, EvalConfig
from endoforge.evaluate.result import EvalResult
from endoforge.report.command_lines import command_line
from endoforge.report.eval_command import run_eval
from endoforge.report.page import headline, number

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

TRAIN_RUNS, UNSEEN_RUNS = 48, 10
FRAMES_A_RUN, RESOLUTION = 40, "320x180"
"""Small frames of many colons teach more in a minute than large ones of few."""
MARK, MADE_BY = "demo.json", "endoforge demo"
"""This file says that a folder was made by the demo, and may be made anew."""


@dataclass
class DemoResult:
    """What the demo measured, and where everything that it made lies."""

    root: Path
    findings: DemoFindings

    @property
    def evaluation(self) -> EvalResult:
        """Of the detector that the demo ends with."""
        return self.findings.further

    def lines(self) -> list[str]:
        """Sum it up for people, a line each."""
        root, seconds = self.root, self.findings.seconds
        scores = "  ".join(f"{name} {value}" for name, value in headline(self.evaluation.metrics))
        spent = ", ".join(f"{step} {taken:.0f} s" for step, taken in seconds.items())
        return [
            "",
            f"on {UNSEEN_RUNS} colons that training never saw, AP50:",
            *(f"  {number(one.ap50)}  {name}" for name, one in self.findings.scores()),
            f"the last of them: {scores}",
            f"({spent}; {sum(seconds.values()):.0f} s in all)",
            "",
            f"report      {root / REPORT_NAME}",
            f"metrics     {root / 'metrics.jsonl'}",
            f"detector    {weights_of(root, LESSONS[-1])}",
            f"frames      {root / 'captures'} (pruned: {root / 'captures_filtered'})",
            f"unseen      {root / 'unseen'}",
        ]


@dataclass
class _Journal:
    """The seconds that each step took, and the commands that would do the same."""

    seconds: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        log.info("")
        log.info("%s: %s", name, what)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started

    def note(self, command: str, config: "DataclassInstance") -> None:
        """Tell what to type for the part that follows."""
        self.commands.append(command_line(command, config))
        log.info("$ %s", self.commands[-1])


def run_demo(config: DemoConfig) -> DemoResult:
    """Simulate, prune, train, evaluate and report; everything lies under `config.output_root`."""
    check_output_folder("--output-root", config.output_root)
    root = Path(config.output_root)
    _start_afresh(root, config)
    journal = _Journal()
    with journal.step(
        "simulate", f"{TRAIN_RUNS} colons to learn from, {UNSEEN_RUNS} to be tested on"
    ):
        seen = _simulate(journal, root / "captures", config.seed, TRAIN_RUNS)
        unseen = _simulate(journal, root / "unseen", config.seed + 1, UNSEEN_RUNS)
    with journal.step("prune", "copy the frames that show a polyp"):
        _prune(journal, root)
    with journal.step("evaluate packaged", "the detector as it comes, on the unseen colons"):
        packaged = _measure(journal, root, PACKAGED)
    learned = [_learn(journal, root, lesson, config.seed) for lesson in LESSONS]
    with journal.step("evaluate", "the detector that was trained further, on the same frames"):
        further = _measure(
            journal, root, weights_of(root, LESSONS[-1]), metrics_out=str(root / "metrics.jsonl")
        )
    findings = DemoFindings(
        packaged=packaged,
        further=further,
        learned=learned,
        generated={"learned from": seen, "unseen": unseen},
        seconds=journal.seconds,
        commands=[command_line("demo", config, always=("seed",)), *journal.commands],
    )
    write_demo_report(root / REPORT_NAME, findings)
    return DemoResult(root, findings)


def weights_of(root: Path, lesson: Lesson) -> str:
    """The file of the weights that a training ends with."""
    return str(root / lesson.folder / WEIGHTS_NAME)


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


def _simulate(journal: _Journal, root: Path, seed: int, runs: int) -> DatagenReport:
    config = DatagenConfig(
        seed=seed,
        runs=runs,
        randomization=RANGES,
        max_frames=FRAMES_A_RUN,
        resolution=RESOLUTION,
        output_root=str(root),
    )
    journal.note("datagen", config)
    report = generate(config)
    _log_lines(report.lines())
    return report


def _prune(journal: _Journal, root: Path) -> None:
    config = PruneConfig(input=str(root / "captures"), output=str(root / "captures_filtered"))
    journal.note("prune-empty", config)
    _log_lines(prune_empty(config).lines())


def _measure(
    journal: _Journal, root: Path, checkpoint: str, metrics_out: str | None = None
) -> EvalResult:
    config = EvalConfig(
        checkpoint=checkpoint, input_root=str(root / "unseen"), metrics_out=metrics_out
    )
    journal.note("eval", config)
    result = run_eval(config)
    _log_lines(result.lines())
    return result


def _learn(journal: _Journal, root: Path, lesson: Lesson, seed: int) -> Learned:
    start = lesson.start or "random"
    with journal.step(lesson.step, f"{lesson.epochs} epochs, beginning with {start} weights"):
        config = lesson.config(root, seed)
        journal.note("train", config)
        return learn(lesson, config)


def _log_lines(lines: list[str]) -> None:
    for line in lines:
        log.info("%s", line)
