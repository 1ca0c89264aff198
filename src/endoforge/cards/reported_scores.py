"""How good weights were found to be: the lines that `eval` and benchmarks/real.py wrote of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoforge.captures.tally import Tally
from endoforge.cards.markdown import UNKNOWN, number, plain, table
from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import decode_text, printable

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**12)]
_HEADS = (
    "measured on", "frames", "true boxes", "AP50", "AP", "AP75",
    "recall at 1 false alarm a frame", "found, missed, false alarms",
)  # fmt: skip
_MEND = "name a file that `endoforge eval --metrics-out` wrote"


@dataclass(frozen=True, kw_only=True)
class ReportedScores:
    """One measurement. Scores are 0..1, None where they aren't told."""

    of: str
    """Which frames, in Markdown."""
    frames: int
    boxes: int
    ap50: float | None
    ap: float | None
    ap75: float | None
    recall_at_1: float | None = None
    """With as many false alarms as there are frames."""
    counts: str = UNKNOWN
    """Found, missed and false ones, at which thresholds."""
    found_by_share: dict[float, tuple[int, float]] = field(default_factory=dict)
    """Of the boxes up to such a share of the picture: how many there are, and the part found."""


class _ReportPart(BaseModel):
    """What a line must hold; fields that aren't known are passed over."""

    model_config = ConfigDict(strict=True, frozen=True)


class _AtIou(_ReportPart):
    iou: Share
    tp: Count
    fp: Count
    fn: Count


class ValidationLine(_ReportPart):
    """The metrics of a set of frames, as `Metrics.to_record` makes them."""

    images: Count
    ap: Share | None
    ap50: Share | None
    ap75: Share | None
    obj_thresh: Share
    val_metrics: Annotated[list[_AtIou], Field(min_length=1)]

    def scores(self, of: str) -> ReportedScores:
        """The metrics, which are `of` those frames."""
        first = self.val_metrics[0]
        at = f"(score {self.obj_thresh:g}, IoU {first.iou:g})"
        return ReportedScores(
            of=of,
            frames=self.images,
            boxes=first.tp + first.fn,
            ap50=self.ap50,
            ap=self.ap,
            ap75=self.ap75,
            counts=f"{first.tp}, {first.fn}, {first.fp} {at}",
        )


class _EvalLine(ValidationLine):
    """What `eval --metrics-out` wrote."""

    input_root: str
    split_manifest: str | None

    def told(self) -> ReportedScores:
        which = "every frame of" if self.split_manifest is None else "held-out frames of"
        return self.scores(f"{which} {plain(Path(self.input_root).name)}")


class _RealLine(_ReportPart):
    """What benchmarks/real.py wrote."""

    of: str
    frames: Count
    boxes: Count
    ap: Share | None
    ap50: Share | None
    ap75: Share | None
    recall_at_1_fp_a_frame: Share
    found_by_share: dict[Share, tuple[Count, Share]]

    def told(self) -> ReportedScores:
        return ReportedScores(
            of=plain(self.of),
            frames=self.frames,
            boxes=self.boxes,
            ap50=self.ap50,
            ap=self.ap,
            ap75=self.ap75,
            recall_at_1=self.recall_at_1_fp_a_frame,
            found_by_share=self.found_by_share,
        )


def scores_of(report: Path, digest: str) -> tuple[list[ReportedScores], Tally]:
    """The scores in `report` of the weights with the SHA-256 `digest`, and what was left out.

    Raises UserError for a file that can't be read, and where no line is about these weights.
    """
    left_out, scores = Tally(), []
    for place, text in _lines(report):
        found = _scores_in(text, digest)
        if isinstance(found, str):
            left_out.count(found, place)
        else:
            scores.append(found)
    if not scores:
        why = "; ".join(left_out.lines()) or "it is empty"
        raise UserError(
            f"{_named(report)}: tells nothing of these weights ({why}); {_MEND} of them"
        )
    return scores, left_out


def _lines(report: Path) -> Iterator[tuple[str, str]]:
    """Each line that isn't empty, with its place for people."""
    try:
        texts = decode_text(read_regular(report, MOST_LABEL_BYTES)).splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{_named(report)}: is no text; {_MEND}") from error
    except OSError as error:
        raise UserError(f"{_named(report)}: {error.strerror or error}; {_MEND}") from error
    return ((f"line {place}", text) for place, text in enumerate(texts, 1) if text.strip())


def _named(report: Path) -> str:
    return f"--report {printable(str(report))}"


def _scores_in(text: str, digest: str) -> ReportedScores | str:
    """What a line tells of the weights; if nothing, the reason why."""
    line = _object(text)
    kind = _kind(line)
    if kind is None:
        return "line: no measurement by `eval` or benchmarks/real.py"
    if line.get("weights_sha256") is None:
        return "measurement: doesn't say of which weights"
    if line["weights_sha256"] != digest:
        return "measurement: of other weights"
    try:
        return kind.model_validate_json(text).told()
    except ValidationError:
        return "measurement: not as EndoForge writes it"


def _object(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _kind(line: dict[str, Any]) -> type[_EvalLine | _RealLine] | None:
    if line.get("benchmark") == "real":
        return _RealLine
    return _EvalLine if "input_root" in line and "val_metrics" in line else None


def score_table(scores: Sequence[ReportedScores]) -> str:
    """The scores in Markdown, a row each."""
    rows = [
        [
            one.of,
            str(one.frames),
            str(one.boxes),
            *map(number, (one.ap50, one.ap, one.ap75, one.recall_at_1)),
            one.counts,
        ]
        for one in scores
    ]
    return table(_HEADS, rows)


def found_table(scores: Sequence[ReportedScores]) -> str:
    """What is found of small boxes and of large ones, in Markdown; "" where no score tells."""
    told = [one for one in scores if one.found_by_share]
    if not told:
        return ""
    limits = sorted({limit for one in told for limit in one.found_by_share})
    heads = ["found of the boxes of", *(f"up to {100 * limit:g} %" for limit in limits)]
    return table(heads, [[one.of, *(_found(one, limit) for limit in limits)] for one in told])


def _found(scores: ReportedScores, limit: float) -> str:
    boxes, share = scores.found_by_share.get(limit, (0, 0.0))
    return f"{share:.0%} of {boxes}" if boxes else "no such box"
