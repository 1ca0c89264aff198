"""What was dropped, why, and how often: nothing is skipped in silence."""

from collections import Counter
from dataclasses import dataclass, field

from endoforge.core.errors import UserError
from endoforge.core.text import shortened

EXAMPLES_KEPT = 3
MOST_SHOWN = 300
"""Examples are shortened to so many characters."""


class Unusable(Exception):
    """A frame or a box that can't be used: `reason` is counted, `detail` shown with examples."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass
class Tally:
    """Counts by reason, with the first examples of each; `strict` turns a drop into an error.

    `by_run` counts by reason and the name of the run.
    """

    strict: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    by_run: Counter[tuple[str, str]] = field(default_factory=Counter)

    def drop(self, reason: str, where: str, detail: str = "") -> None:
        """Count a defect at `where`, which begins with its run; raises UserError if strict."""
        example = f"{where} ({detail})" if detail else where
        if self.strict:
            shown = shortened(example, MOST_SHOWN)
            raise UserError(f"{shown}: {reason}; fix it, or leave out --strict to go on without")
        self.count(reason, example)

    def count(self, reason: str, example: str, number: int = 1) -> None:
        """Count what was left out by design, strict or not; `example` begins with its run."""
        self.counts[reason] += number
        self.by_run[reason, example.partition("/")[0]] += number
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES_KEPT:
            shown.append(shortened(example, MOST_SHOWN))

    def add(self, later: "Tally") -> None:
        """Count what `later` counted too, and take its examples while there is room."""
        self.counts.update(later.counts)
        self.by_run.update(later.by_run)
        for reason, examples in later.examples.items():
            shown = self.examples.setdefault(reason, [])
            shown += examples[: EXAMPLES_KEPT - len(shown)]

    def lines(self) -> list[str]:
        """One line a reason, the most frequent first: `12 x frame: image missing, such as ...`."""
        return [
            f"{number} x {reason}, such as {', '.join(self.examples[reason])}"
            for reason, number in self.counts.most_common()
        ]
