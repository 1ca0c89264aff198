"""Renew the cards of docs/cards/ from the packaged weights and committed results: `make cards`."""

import json
import sys
from dataclasses import fields
from pathlib import Path
from string import Template
from typing import Any

from endoforge import __version__
from endoforge.cards.card_command import run_card
from endoforge.cards.config import CardConfig
from endoforge.cards.markdown import table
from endoforge.cards.reported_scores import found_table, score_table, scores_of
from endoforge.detect.packaged import PACKAGED, weights_digest, weights_file
from endoforge.sim.polyps import KINDS
from endoforge.sim.randomization import Randomization

ROOT = Path(__file__).parents[1]
TEXTS = ROOT / "tools" / "cards"
RESULTS = ROOT / "benchmarks" / "results"
SCORES, DRAWN = RESULTS / "2026-12-01.jsonl", RESULTS / "2026-11-30.jsonl"
"""Of the packaged weights, and of what the simulator draws; other weights want another file."""
SHOWN = {
    "frames with a box": lambda drawn: f"{drawn['with_boxes'] / drawn['frames']:.0%}",
    "boxes": lambda drawn: str(drawn["boxes"]),
    "a box's share of the picture in %, 5th, 50th and 95th percentile": lambda drawn: _three(
        drawn["area_percent"]
    ),
    "distance in mm, likewise": lambda drawn: _three(drawn["distance_mm"]),
    "boxes of polyps that are less than 60 % visible": lambda drawn: (
        f"{drawn['share_less_than_0.6_visible']:.0%}"
    ),
}


def model_card_of_the_package() -> str:
    """The card of the packaged weights, as `endoforge card` writes it."""
    notes = TEXTS / "packaged_notes.md"
    return run_card(CardConfig(checkpoint=PACKAGED, report=str(SCORES), notes=str(notes))).card


def data_card() -> str:
    """The card of the simulator's frames."""
    drawn = _drawn()
    [(runs, frames)] = {(one["runs"], one["frames"]) for one in drawn}
    scores, _ = scores_of(SCORES, weights_digest(weights_file(PACKAGED)))
    return Template((TEXTS / "simulated_data.md").read_text(encoding="utf-8")).substitute(
        version=__version__,
        num_ranges=len(fields(Randomization)),
        runs=runs,
        frames_a_run=frames // runs,
        shown=_columns(drawn, [[name, *map(told, drawn)] for name, told in SHOWN.items()]),
        kinds=_columns(drawn, [[kind, *(_percent(one, kind) for one in drawn)] for kind in KINDS]),
        scores=score_table(scores),
        found=found_table(scores),
    )


def _drawn() -> list[dict[str, Any]]:
    """What `benchmarks/boxes.py` drew, for each of the worlds."""
    lines = map(json.loads, DRAWN.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["benchmark"] == "boxes"]


def _columns(drawn: list[dict[str, Any]], rows: list[list[str]]) -> str:
    return table(["ranges", *(f"`{one['randomization']}`" for one in drawn)], rows)


def _percent(drawn: dict[str, Any], kind: str) -> str:
    return f"{drawn['kinds'].get(kind, 0) / drawn['boxes']:.0%}"


def _three(percentiles: list[float]) -> str:
    low, _, middle, _, high = percentiles
    return f"{low:g}, {middle:g}, {high:g}"


CARDS = {"packaged.md": model_card_of_the_package, "simulated-data.md": data_card}
"""The committed cards by their names in docs/cards/."""


def main() -> None:
    for name, written in CARDS.items():
        path = ROOT / "docs" / "cards" / name
        path.write_text(written(), encoding="utf-8")
        print(path.relative_to(ROOT), file=sys.stderr)


if __name__ == "__main__":
    main()
