"""The bar on a terminal: one line, however narrow the window is or becomes."""

from collections.abc import Sequence
from contextlib import suppress

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
from rich.segment import ControlType, Segment
from rich.table import Table

from endoforge.core.text import printable

# Erase from here on, and go on without wrapping; then wrap again, and back to the line's start.
# rich has no names for these; a console that takes no sequences does what stands beside.
_BEGIN = Segment("\x1b[J\x1b[?7l", None, [(ControlType.ERASE_IN_LINE, 0)])
_END = Segment("\x1b[?7h\r", None, [(ControlType.CARRIAGE_RETURN,)])
_ANY_WIDTH = 10_000


class NarrowBar(Progress):
    """What is done, a bar, the count, a text such as the rate, and the time left; gone at the end.

    Where the window is too narrow for all, the bar goes first, then the text, then what is done.
    """

    def __init__(self, label: str, total: int, text: str = "") -> None:
        what, rate, left = (
            TextColumn(f"{{task.{name}}}", markup=False)
            for name in ("description", "fields[text]", "fields[left]")
        )
        count = MofNCompleteColumn()
        self._choices: tuple[tuple[ProgressColumn, ...], ...] = (
            (what, BarColumn(), count, rate, left),
            (what, BarColumn(10), count, rate, left),
            (what, count, rate, left),
            (what, count, left),
            (count, left),
        )
        super().__init__(console=Console(stderr=True), transient=True)
        self.add_task(printable(label), total=total, text=text, left="")

    def start(self) -> None:
        """Show the line; where the terminal is gone, nothing is shown and nothing fails."""
        with suppress(OSError):  # what is done must go on, if only to be saved
            super().start()

    def stop(self) -> None:
        """Take the line away."""
        with suppress(OSError):
            super().stop()

    def show(self, done: int, text: str, left_s: float | None, *, total: int | None = None) -> None:
        """Show that `done` units are done; None: how long the others take isn't known yet."""
        left = "" if left_s is None else clock(left_s)
        self.update(self.task_ids[0], completed=done, total=total, text=text, left=left)

    def get_renderable(self) -> RenderableType:
        """The line that rich is to draw, in its longest form that fits the terminal."""
        return _Line([self._form(columns) for columns in self._choices])

    def _form(self, columns: tuple[ProgressColumn, ...]) -> Table:
        self.columns = columns
        return self.make_tasks_table(self.tasks)


class _Line:
    """The first of its forms that fits on a line; of the last, what fits.

    The cursor is left at its start. A window that becomes narrower breaks the line into several;
    from the start of the first, the next line erases them all. One that became narrower only just
    now, while the line was made, doesn't wrap it.
    """

    def __init__(self, forms: Sequence[Table]) -> None:
        self._forms = forms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        whole = options.update(width=_ANY_WIDTH)
        for form in self._forms:
            if Measurement.get(console, whole, form).maximum <= options.max_width:
                break
        yield _BEGIN
        yield from (part for part in console.render(form, options) if part.text != "\n")
        yield _END


def clock(seconds: float) -> str:
    """Write seconds as `hours:minutes:seconds`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
