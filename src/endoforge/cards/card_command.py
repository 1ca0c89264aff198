"""The `card` command: a model card of a file of weights."""

import logging
from dataclasses import dataclass
from pathlib import Path

from endoforge.cards.config import CardConfig
from endoforge.cards.model_card import known_weights, model_card
from endoforge.cards.reported_scores import ReportedScores, scores_of
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import make_folder_of
from endoforge.core.outputs import check_output_file, refuse_same
from endoforge.core.reading import MOST_NAMES_BYTES, read_regular
from endoforge.core.text import decode_text, printable
from endoforge.detect.packaged import weights_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CardResult:
    """The card, and the file that holds it, if one was asked for."""

    card: str
    output: Path | None

    def lines(self) -> list[str]:
        """The card, or where it is."""
        if self.output is None:
            return self.card.splitlines()
        return [f"wrote {self.output}"]


def run_card(config: CardConfig) -> CardResult:
    """Make the card of `config.checkpoint`; write it to `config.output`, if that is given.

    Raises UserError for weights, a report, notes or an output that can't be used.
    """
    path = weights_file(config.checkpoint)
    _check_output(config, path)
    weights = known_weights(path)
    scores: list[ReportedScores] = []
    if config.report is not None:
        scores, left_out = scores_of(Path(config.report), weights.digest)
        for line in left_out.lines():
            log.warning("left out of --report: %s", line)
    card = model_card(weights, scores, "" if config.notes is None else _notes(config.notes))
    if config.output is None:
        return CardResult(card, None)
    output = Path(config.output)
    make_folder_of(output)
    write_atomic(output, card.encode())
    return CardResult(card, output)


def _check_output(config: CardConfig, weights: Path) -> None:
    if config.output is None:
        return
    check_output_file("--output", config.output)
    refuse_same(
        {
            "CHECKPOINT": weights,
            "--report": config.report,
            "--notes": config.notes,
            "--output": config.output,
        }
    )


def _notes(given: str) -> str:
    try:
        return decode_text(read_regular(given, MOST_NAMES_BYTES))
    except UnicodeDecodeError as error:
        raise UserError(
            f"--notes {printable(given)}: is no text; name a file of Markdown"
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"--notes {printable(given)}: {why}; name a file of Markdown") from error
