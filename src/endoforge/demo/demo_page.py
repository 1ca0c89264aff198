"""The report of `demo`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.datagen.job_report import DatagenReport
from endoforge.demo.config import RANGES
from endoforge.demo.lessons import Learned
from endoforge.evaluate.metrics import Metrics
from endoforge.evaluate.result import EvalResult
from endoforge.report.charts import ap50_by_epoch, loss_by_epoch
from endoforge.report.drawn_frames import DrawnFrame, evenly_spread, frame_with_boxes
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
    ColumnTable,
    Commands,
    Facts,
    FrameGroup,
    FrameGroups,
    Report,
    Table,
    headline,
    write_report,
)

AS_IT_COMES = "packaged"
FRAMES_FOLLOWED = 2
"""Unseen frames that are shown again and again as it learns."""
FOLLOWED_RULE = "Taken a quarter and three quarters through those with a polyp, whatever they show."


@dataclass(frozen=True, kw_only=True)
class DemoFindings:
    """All that the demo found: `learned` are its trainings, the last of which gave `further`."""

    packaged: EvalResult
    """Of the weights that come with EndoForge, before they learn more."""
    further: EvalResult
    learned: Sequence[Learned]
    generated: dict[str, DatagenReport]
    """The colons by what they are for."""
    seconds: dict[str, float]
    """What each step took."""
    commands: Sequence[str]

    def scores(self) -> list[tuple[str, Metrics]]:
        """The detectors by name, each measured on the unseen colons; the last one is `further`."""
        *others, last = self.learned
        return [
            *((one.name, one.metrics[-1]) for one in others),
            (AS_IT_COMES, self.packaged.metrics),
            (last.name, self.further.metrics),
        ]


def write_demo_report(path: Path, findings: DemoFindings) -> None:
    """Write the page of the demo to `path`."""
    further = findings.further
    report = Report(
        title="EndoForge demo",
        subtitle=_subtitle(findings),
        tiles=headline(further.metrics),
        sections=[
            _detectors(findings),
            _curves(findings),
            FrameGroups("The same unseen frames, while it learns", _followed(findings)),
            Charts("How good the last detector is on the unseen colons", quality_charts(further)),
            FrameGroups("What it finds in unseen frames", frame_groups(further)),
            _facts(findings),
            Commands("Make it again, or step by step", findings.commands),
        ],
        footer=SIMULATED_ONLY,
    )
    write_report(path, report)


def _subtitle(findings: DemoFindings) -> str:
    seen, unseen = findings.generated.values()
    return (
        f"Two detectors learn from {len(seen.run_dirs)} simulated colons, one from nothing and the "
        f"one that comes with EndoForge, and are measured on {findings.further.metrics.images} "
        f"frames of {len(unseen.run_dirs)} colons that neither ever saw. These scores are of the "
        "second:"
    )


def _detectors(findings: DemoFindings) -> ColumnTable:
    scores = findings.scores()
    heads = ("", *(name for name, _ in headline(findings.further.metrics)))
    rows = [(name, *(value for _, value in headline(metrics))) for name, metrics in scores]
    return ColumnTable(
        "What training does",
        heads,
        rows,
        [
            "All were measured on the same frames, none of which any of them learned from.",
            "Weights are those after the last epoch: none were chosen by the unseen colons.",
        ],
    )


def _curves(findings: DemoFindings) -> Charts:
    curves = [one.curve for one in findings.learned]
    level = (AS_IT_COMES, findings.packaged.metrics.ap50)
    return Charts("How it learned", [ap50_by_epoch(curves, level), loss_by_epoch(curves)])


def _followed(findings: DemoFindings) -> list[FrameGroup]:
    """Some unseen frames, each with what was found in it in the course of time."""
    frames, truths = findings.further.frames, findings.further.truths
    with_polyps = [place for place, truth in enumerate(truths) if len(truth)]
    quarters = evenly_spread(len(with_polyps), 2 * FRAMES_FOLLOWED + 1)[1::2]
    return [
        FrameGroup(
            f"{frames[place].run} #{frames[place].frame_id}",
            FOLLOWED_RULE,
            _in_the_course(findings, place),
        )
        for place in (with_polyps[quarter] for quarter in quarters)
    ]


def _in_the_course(findings: DemoFindings, place: int) -> list[DrawnFrame]:
    """A frame as the first training has it at its beginning, in the middle and at its end; with the
    packaged weights; and as the other trainings have it at both ends."""
    first, *others = findings.learned
    pictures = [_after(findings, first, epoch, place) for epoch in _spread_epochs(first, 3)]
    pictures.append(frame_with_boxes(findings.packaged, place, AS_IT_COMES))
    for other in others:
        pictures += [_after(findings, other, epoch, place) for epoch in _spread_epochs(other, 2)]
    return pictures


def _spread_epochs(learned: Learned, count: int) -> list[int]:
    """The places of up to `count` epochs, from the first to the last."""
    return evenly_spread(len(learned.found), count)


def _after(findings: DemoFindings, learned: Learned, epoch: int, place: int) -> DrawnFrame:
    # A validation has the frames in the order in which `eval` has them, and as large.
    as_then = replace(findings.further, detections=learned.found[epoch])
    return frame_with_boxes(as_then, place, f"{learned.name}, epoch {epoch + 1}")


def _facts(findings: DemoFindings) -> Facts:
    further = findings.further
    return Facts(
        "What was measured",
        [
            ("Detector", detector_facts(further)),
            ("Data", _data_facts(findings)),
            ("Thresholds", threshold_facts(further)),
            ("Machine", _machine_facts(findings)),
        ],
    )


def _data_facts(findings: DemoFindings) -> Table:
    parts = findings.generated
    runs = [run for part in parts.values() for run in part.run_dirs]
    kinds = ", ".join(f"{count} {kind}" for kind, count in _polyps_by_kind(runs))
    return [
        *(
            (name, f"{len(part.run_dirs)} runs, {part.frames} frames, {part.boxes} boxes")
            for name, part in parts.items()
        ),
        ("world", f"the plain one (--randomization {RANGES})"),
        ("polyps", kinds),
        ("files", str(findings.further.root.parent)),
    ]


def _polyps_by_kind(run_dirs: Sequence[Path]) -> list[tuple[str, int]]:
    """How many polyps of each Paris kind the scenes of these runs hold."""
    kinds: Counter[str] = Counter()
    for run_dir in run_dirs:
        manifest = parse_json(read_regular(run_dir / MANIFEST_NAME, MOST_LABEL_BYTES))
        kinds.update(polyp["paris"] for polyp in manifest["endoforge"]["scene"]["polyps"])
    return sorted(kinds.items())


def _machine_facts(findings: DemoFindings) -> Table:
    seen, _ = findings.generated.values()
    return [
        *machine_facts(findings.further),
        ("renderer", seen.renderer),
        *((step, f"{seconds:.1f} s") for step, seconds in findings.seconds.items()),
    ]
