"""A report as one HTML file that needs nothing beside it."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Protocol

from endoforge import __version__
from endoforge.core.files import write_atomic
from endoforge.core.folders import make_folder_of
from endoforge.core.text import printable
from endoforge.evaluate.metrics import Metrics
from endoforge.report.charts import Chart
from endoforge.report.drawn_frames import DrawnFrame

Table = Sequence[tuple[str, str]]
"""Rows of a name and its value."""

SIMULATED_ONLY = "Simulated frames only: these numbers say nothing about real patients."
RESEARCH_ONLY = "A research tool: these numbers say nothing about real patients."


class Section(Protocol):
    """A part of a report, under a heading of its own. Texts are plain, and get escaped."""

    @property
    def heading(self) -> str:
        """The words above the section."""
        ...

    def html(self) -> str:
        """The HTML below the heading."""
        ...


@dataclass(frozen=True)
class Charts:
    """A section of charts that stand beside each other."""

    heading: str
    charts: Sequence[Chart]

    def html(self) -> str:
        return f'<div class="charts">{_joined(map(_chart, self.charts))}</div>'


@dataclass(frozen=True)
class FrameGroup:
    """Frames that were picked by one rule, which the reader is told."""

    heading: str
    rule: str
    pictures: Sequence[DrawnFrame]


@dataclass(frozen=True)
class FrameGroups:
    """Frames with their boxes, in groups, and a key to the colours."""

    heading: str
    groups: Sequence[FrameGroup]

    def html(self) -> str:
        return KEY + _joined(_frame_group(group) for group in self.groups)


@dataclass(frozen=True)
class Facts:
    """Tables beside each other, each with its heading."""

    heading: str
    tables: Sequence[tuple[str, Table]]

    def html(self) -> str:
        return f'<div class="facts">{_joined(_table(*table) for table in self.tables)}</div>'


@dataclass(frozen=True)
class ColumnTable:
    """A table with a heading for each of its columns, and notes below it."""

    heading: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def html(self) -> str:
        heads = "".join(f'<th scope="col">{_escaped(head)}</th>' for head in self.heads)
        rows = _joined(map(_row, self.rows))
        notes = _joined(f"<p>{_escaped(note)}</p>" for note in self.notes)
        return f'<table class="columns"><tr>{heads}</tr>\n{rows}</table>\n{notes}'


@dataclass(frozen=True)
class Commands:
    """A section of lines to paste into a shell."""

    heading: str
    lines: Sequence[str]

    def html(self) -> str:
        return f"<pre>{chr(10).join(map(_escaped, self.lines))}</pre>"


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page in parts, before it becomes HTML."""

    title: str
    subtitle: str
    tiles: Table
    sections: Sequence[Section]
    footer: str
    assets: Sequence[str] = ()
    """Files of this package, `.css` and `.js`, that sections need; they come with the page."""


def write_report(path: Path, report: Report) -> None:
    """Write `report` to `path` in one step, making its folder if need be."""
    page = Template(_file("page.html")).substitute(
        title=_escaped(report.title),
        subtitle=_escaped(report.subtitle),
        version=__version__,
        tiles=_joined(_tile(name, value) for name, value in report.tiles),
        sections=_joined(map(_section, report.sections)),
        footer=_escaped(report.footer),
        styles=_joined(map(_file, _ending(report.assets, ".css"))),
        scripts=_joined(
            f"<script>\n{_file(name)}</script>" for name in _ending(report.assets, ".js")
        ),
    )
    make_folder_of(path)
    write_atomic(path, page.encode())


def headline(metrics: Metrics) -> Table:
    """The numbers that people look for first, as names and values."""
    first = metrics.at_iou[0]
    return [
        ("AP50", number(metrics.ap50)),
        ("AP 50:95", number(metrics.ap)),
        ("mean IoU", number(first.mean_iou)),
        ("precision", number(first.precision)),
        ("recall", number(first.recall)),
    ]


KEY = """
<p class="key"><span><i style="color: var(--green)"></i>truth</span>
<span><i style="color: var(--blue)"></i>detection that found a polyp</span>
<span><i style="color: var(--amber)"></i>detection that found none</span></p>
"""


def number(value: float | None) -> str:
    """Write three digits, or say that there is no such number."""
    return "undefined" if value is None else f"{value:.3f}"


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(parts)


def _file(name: str) -> str:
    return files("endoforge.report").joinpath(name).read_text(encoding="utf-8")


def _ending(names: Sequence[str], suffix: str) -> list[str]:
    return [name for name in names if name.endswith(suffix)]


def _script(name: str) -> str:
    return f"<script>\n{_file(name)}</script>"


def _section(section: Section) -> str:
    return f"<section>\n<h2>{_escaped(section.heading)}</h2>\n{section.html()}\n</section>"


def _tile(name: str, value: str) -> str:
    size = "" if value[:1].isdigit() else ' class="word"'
    return f'<div class="tile"><b{size}>{_escaped(value)}</b><span>{_escaped(name)}</span></div>'


def _chart(chart: Chart) -> str:
    title = _escaped(chart.title)
    return f'<figure class="chart" aria-label="{title}"><h3>{title}</h3>{chart.svg}</figure>'


def _frame_group(group: FrameGroup) -> str:
    pictures = _joined(map(_picture, group.pictures)) or '<p class="none">There is none.</p>'
    heading, rule = _escaped(group.heading), _escaped(group.rule)
    return (
        f'<div class="group"><h3>{heading}</h3><p>{rule}</p></div>'
        f'\n<div class="frames">{pictures}</div>'
    )


def _picture(picture: DrawnFrame) -> str:
    data = base64.b64encode(picture.jpeg).decode()
    caption = _escaped(picture.caption)
    return (
        f'<figure class="frame"><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(heading: str, table: Table) -> str:
    rows = "".join(f"<tr><th>{_escaped(k)}</th><td>{_escaped(v)}</td></tr>" for k, v in table)
    return f"<div><h3>{_escaped(heading)}</h3><table>{rows}</table></div>"


def _row(cells: Sequence[str]) -> str:
    first, *others = map(_escaped, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _escaped(text: str) -> str:
    return escape(printable(text))
