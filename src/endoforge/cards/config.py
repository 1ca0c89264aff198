"""The flags of `card`; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from endoforge.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class CardConfig:
    """Write a model card of weights: what they are, how they were made, and how good they are.

    It says what the weights' file, the train.json beside it and the measurements of --report say.
    What none of them knows, it calls unknown.
    """

    checkpoint: Positional[Annotated[str, arg(metavar="CHECKPOINT")]] = ""
    """Weights, as `train` writes them; packaged: those that come with EndoForge."""

    output: Annotated[str | None, arg(metavar="FILE")] = None
    """The file to write, in Markdown. Default: print the card."""

    report: Annotated[str | None, arg(metavar="FILE")] = None
    """Measurements of these weights: lines that `eval --metrics-out` or benchmarks/real.py wrote.
    Those of other weights are left out, and counted."""

    notes: Annotated[str | None, arg(metavar="FILE")] = None
    """What you know of the weights and no file does, in Markdown: it becomes the card's end."""

    def __post_init__(self) -> None:
        if not self.checkpoint.strip():
            raise UserError(
                "CHECKPOINT: name a file of weights, or packaged for those that come with EndoForge"
            )
