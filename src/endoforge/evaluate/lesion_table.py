"""The metrics of lesions for people: one table, detections alone beside tracks."""

from collections.abc import Callable

from endoforge.core.text import counted
from endoforge.evaluate.lesion_result import LesionResult
from endoforge.evaluate.lesions import EARLY_SECONDS, LesionGroup, LesionMetrics

Row = tuple[str, Callable[[LesionMetrics], str]]
Groups = Callable[[LesionMetrics], tuple[LesionGroup, ...]]

HEADS = ("frame by frame", "tracks")


def lesion_lines(result: LesionResult) -> list[str]:
    """The table, a line a row, below a line that says what it is of; then what to note."""
    rows = [("", *HEADS), *lesion_rows(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        f"{name:<{widths[0]}}  {single:>{widths[1]}}  {tracks:>{widths[2]}}"
        for name, single, tracks in rows
    ]
    return [_head(result), *table, *(f"note: {note}" for note in result.notes)]


def lesion_rows(result: LesionResult) -> list[tuple[str, str, str]]:
    """The rows of the table: what is measured, and its value under each of HEADS."""
    single, tracks = result.single.metrics, result.tracks.metrics
    return [(name, shown(single), shown(tracks)) for name, shown in _rows(single)]


def _head(result: LesionResult) -> str:
    metrics = result.single.metrics
    runs, polyps = counted(metrics.sequences, "run"), counted(len(metrics.polyps), "polyp")
    return f"lesions: {polyps} in {runs}, {_long(metrics.seconds)}"


def _rows(metrics: LesionMetrics) -> list[Row]:
    """The rows; the sizes and kinds of polyps are the same for whatever was shown."""
    return [
        ("polyps found", lambda m: _share(m.found, m.num_found, len(m.polyps))),
        *(_early(seconds) for seconds in EARLY_SECONDS),
        *_grouped("{}", LesionMetrics.by_size, metrics),
        *_grouped("kind {}", LesionMetrics.by_kind, metrics),
        ("delay, median; 90 % within", lambda m: f"{_s(m.delay(0.5))}; {_s(m.delay(0.9))}"),
        ("time in view with a box on them", lambda m: _percent(m.seen_found)),
        ("flicker, changes/s in view", lambda m: _number(m.flicker)),
        ("false alarms/min", lambda m: f"{m.false_alarms_a_minute:.2f}"),
        ("false alarms/run", lambda m: f"{m.false_alarms_a_sequence:.2f}"),
        ("time with a false box", lambda m: _percent(m.false_time)),
        ("flicker of false boxes, changes/s", lambda m: _number(m.false_flicker)),
    ]


def _early(seconds: float) -> Row:
    return f"  within {seconds:g} s in view", lambda m: _percent(m.found_within(seconds))


def _grouped(form: str, groups: Groups, metrics: LesionMetrics) -> list[Row]:
    names = [form.format(group.name) for group in groups(metrics)]
    return [_group(name, place, groups) for place, name in enumerate(names)]


def _group(name: str, place: int, groups: Groups) -> Row:
    def shown(metrics: LesionMetrics) -> str:
        group = groups(metrics)[place]
        return _share(group.found / group.polyps, group.found, group.polyps)

    return f"  {name}", shown


def _long(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:,.1f} minutes"


def _share(share: float | None, part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}, {_percent(share)}"


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{100 * share:.1f} %"


def _s(seconds: float | None) -> str:
    return "undefined" if seconds is None else f"{seconds:.2f} s"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
