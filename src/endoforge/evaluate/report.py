"""A report as one HTML file that needs nothing beside it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from endoforge import __version__
from endoforge.core.files import write_atomic
from endoforge.evaluate.figures import Picture
from endoforge.evaluate.metrics import Metrics

Table = Sequence[tuple[str, str]]
"""Rows of a name and its value."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report says. Charts are SVG; all other texts are plain and get escaped."""

    title: str
    subtitle: str
    metrics: Metrics
    charts: Sequence[str]
    pictures: Sequence[Picture]
    facts: Sequence[tuple[str, Table]]
    """Tables, each with its heading."""
    commands: Sequence[str]
    """What makes this again."""


def write_report(path: Path, report: Report) -> None:
    """Write `report` to `path` in one step."""
    template = files("endoforge.evaluate").joinpath("report.html").read_text(encoding="utf-8")
    page = Template(template).substitute(
        title=escape(report.title),
        subtitle=escape(report.subtitle),
        version=__version__,
        tiles="\n".join(_tile(name, value) for name, value in headline(report.metrics)),
        charts="\n".join(f'<figure class="chart">{chart}</figure>' for chart in report.charts),
        pictures="\n".join(_picture(picture) for picture in report.pictures),
        facts="\n".join(_table(heading, table) for heading, table in report.facts),
        commands=escape("\n".join(report.commands)),
    )
    write_atomic(path, page.encode())


def headline(metrics: Metrics) -> Table:
    """The numbers that people look for first."""
    first = metrics.at_iou[0]
    return [
        ("AP50", _score(metrics.ap50)),
        ("AP 50:95", _score(metrics.ap)),
        ("mean IoU", _score(first.mean_iou)),
        ("precision", _score(first.precision)),
        ("recall", _score(first.recall)),
    ]


def _score(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _tile(name: str, value: str) -> str:
    return f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.jpeg).decode()
    caption = escape(picture.caption)
    return (
        f'<figure class="frame"><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(heading: str, table: Table) -> str:
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in table)
    return f"<section><h3>{escape(heading)}</h3><table>{rows}</table></section>"
