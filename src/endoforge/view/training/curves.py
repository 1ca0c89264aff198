"""How a training goes, by the files that `train` keeps."""

import threading
from collections import deque
from pathlib import Path
from typing import Any

from endoforge.core.parsing import parse_json
from endoforge.core.reading import open_regular, read_regular
from endoforge.view.browser_json import browser_value

SAMPLE_EVERY_S = 1.0
MOST_SAMPLES = 5000
MOST_LINES, MOST_BYTES = 2000, 4_000_000
"""Of the metrics file, the last ones."""
MOST_STEPS, MOST_LOSS = 10**12, 1e30
"""A status that tells of more is no training's."""


class TrainingWatch(threading.Thread):
    """Samples the loss from the status file while the server runs.

    The metrics file has one loss an epoch; the curve between two of them is only seen so.
    """

    def __init__(self, status_file: str, metrics_file: str) -> None:
        super().__init__(name="training watch", daemon=True)
        self._status, self._metrics = Path(status_file), Path(metrics_file)
        self._losses: deque[tuple[int, float]] = deque(maxlen=MOST_SAMPLES)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self.sample()

    def end(self) -> None:
        """End the thread."""
        self._ended.set()

    def sample(self) -> None:
        """Note the loss of now; a training that begins anew begins a new curve."""
        status = read_status(self._status)
        if status is None:
            return
        step, loss = _global_step(status), status.get("loss")
        if step is None or not isinstance(loss, int | float) or not abs(loss) <= MOST_LOSS:
            return
        if self._losses and step < self._losses[-1][0]:
            self._losses.clear()
        if not self._losses or step > self._losses[-1][0]:
            self._losses.append((step, float(loss)))

    def as_json(self) -> dict[str, Any]:
        """The status, the metrics and the sampled losses, as the training tab shows them."""
        return {
            "status": read_status(self._status),
            "metrics": read_metrics(self._metrics),
            "losses": [list(sample) for sample in list(self._losses)],
        }


def read_status(path: Path) -> dict[str, Any] | None:
    """The status file's object; None where there is none that can be read."""
    try:
        status = _parsed(read_regular(path, MOST_BYTES))
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The last lines of the metrics file; those that are no objects are left out."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            data = file.read(MOST_BYTES) or b""
    except OSError:
        return []
    found = []
    for line in data.splitlines()[-MOST_LINES:]:
        try:
            record = _parsed(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def _parsed(text: bytes) -> Any:
    """A JSON value as browsers read it. Raises ValueError."""
    return browser_value(parse_json(text))


def _global_step(status: dict[str, Any]) -> int | None:
    """Steps since the start of the training; None if the status doesn't tell."""
    epoch, step, of = (status.get(name) for name in ("epoch", "step", "steps_per_epoch"))
    if not (isinstance(epoch, int) and isinstance(step, int) and isinstance(of, int)):
        return None
    if max(abs(epoch), abs(step), abs(of)) > MOST_STEPS:
        return None
    return max(epoch - 1, 0) * of + step
