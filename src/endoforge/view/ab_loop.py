"""A loop between two moments of a flight or a file."""

from dataclasses import dataclass

from endoforge.core.errors import UserError

LEAST_S = 0.5
"""A shorter loop would show a trembling picture, and of a file little but its leaps."""


@dataclass(frozen=True)
class Loop:
    """From the moment `begin_s` on, up to `end_s`, and again; with one mark alone it isn't yet.

    Who leaps out of it, or comes from elsewhere, plays on: it goes round only at its end.
    """

    begin_s: float
    end_s: float | None = None

    def goes_round(self, before_s: float, now_s: float) -> bool:
        """Whether the clock has come from within the loop to its end."""
        return self.end_s is not None and self.begin_s <= before_s < self.end_s <= now_s


def next_loop(loop: Loop | None, now_s: float) -> Loop | None:
    """What a press of the one key makes of a loop: its beginning, then its end, then none again.

    The marks may come in either order; raises UserError if they lie too near to each other.
    """
    if loop is None:
        return Loop(now_s)
    if loop.end_s is not None:
        return None
    begin_s, end_s = sorted((loop.begin_s, now_s))
    if end_s - begin_s < LEAST_S:
        raise UserError(f"a loop is {LEAST_S:g} s long at least: go on a little, and mark its end")
    return Loop(begin_s, end_s)
