"""`datagen` and `train` as processes of their own, started and stopped from the page.

Commands are fixed: a client gives numbers, each within its range, and nothing else.
"""

import codecs
import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from endoforge.core.errors import UserError
from endoforge.detect.packaged import WEIGHTS_NAME
from endoforge.view.config import SimViewConfig

JobKind = Literal["datagen", "train"]
JobState = Literal["idle", "running", "done", "failed", "stopped"]
Phase = Literal["starting", "gone"]
"""Of a training of ours whose status file isn't its own yet, or that ended without a last word."""
STATE_NAME = "tinydet_state.pt"
"""What `train` goes on from, beside its weights."""
LOG_KEPT = 1_000_000
"""Characters of a job's log."""
LOG_AT_ONCE = 200_000
"""Characters of one answer: a page that comes late catches up in a few."""
NICE = 5
"""Jobs leave the cores to the view where both want them."""


@dataclass(frozen=True)
class Number:
    """A number that a job takes: its flag, its default, the least and the most it may be."""

    flag: str
    default: float
    least: float
    most: float

    @property
    def whole(self) -> bool:
        """Whether only integers are taken, as the default is one."""
        return isinstance(self.default, int)

    def checked(self, name: str, value: Any) -> float:
        """`value`, if the job takes it; raises UserError with its `name` if not."""
        kinds = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds):
            kind = "a whole number" if self.whole else "a number"
            raise UserError(f"{name}: must be {kind}")
        if not self.least <= value <= self.most:
            raise UserError(f"{name} {value}: must be {self.least:g} to {self.most:g}")
        return value


PARAMETERS: dict[JobKind, dict[str, Number]] = {
    "datagen": {
        "runs": Number("--runs", 4, 1, 1000),
        "max_frames": Number("--max-frames", 60, 1, 10_000),
        "seed": Number("--seed", 1, 0, 2**53 - 1),
    },
    "train": {
        "epochs": Number("--epochs", 10, 1, 10_000),
        "batch_size": Number("--batch-size", 16, 1, 1024),
        "lr_start": Number("--lr-start", 0.002, 1e-7, 1.0),
    },
}


class Jobs:
    """Both jobs of a session, which run beside it."""

    def __init__(self, config: SimViewConfig) -> None:
        self.config = config
        self._jobs: dict[JobKind, JobProcess] = {kind: JobProcess(kind) for kind in PARAMETERS}

    def job(self, kind: str) -> "JobProcess":
        """The job of that name; raises UserError if there is none."""
        for name, job in self._jobs.items():
            if name == kind:
                return job
        raise UserError(f"no job {kind[:40]!r}: there are {', '.join(PARAMETERS)}")

    def start(self, kind: str, values: dict[str, Any]) -> None:
        """Start a job with some of its parameters; raises UserError for what can't be."""
        job = self.job(kind)
        known = PARAMETERS[job.kind]
        for name in values:
            if name not in known:
                raise UserError(f"{kind}: no parameter {name[:40]!r}: there are {', '.join(known)}")
        chosen = {
            name: number.checked(name, values.get(name, number.default))
            for name, number in known.items()
        }
        job.start(self._fixed(job.kind) + _words(known, chosen))

    def as_json(self) -> dict[str, Any]:
        """Both jobs by their kind, as the page shows them."""
        shown: dict[str, Any] = {kind: job.as_json() for kind, job in self._jobs.items()}
        shown["train"]["goes_on"] = Path(self.config.first_weights).with_name(STATE_NAME).is_file()
        return shown

    def close(self, seconds: float) -> None:
        """End what runs: it is asked to, and after so many seconds killed."""
        running = [job for job in self._jobs.values() if job.running]
        for job in running:
            job.stop()
        until = time.monotonic() + seconds
        for job in running:
            job.wait(until - time.monotonic())

    def _fixed(self, kind: JobKind) -> list[str]:
        config = self.config
        if kind == "datagen":
            place = ["--output-root", config.output_root, "--resolution", config.resolution]
            ranges = ["--randomization", config.randomization] if config.randomization else []
            return ["datagen", *place, "--renderer", config.renderer, *ranges]
        checkpoint = Path(config.first_weights)
        if checkpoint.name != WEIGHTS_NAME:
            raise UserError(
                f"train writes {WEIGHTS_NAME}, which this view wouldn't load: start sim-view with "
                f"--checkpoint {checkpoint.with_name(WEIGHTS_NAME)}"
            )
        files = ["--status-file", config.status_file, "--metrics-out", config.metrics_out]
        data = ["--input-root", config.output_root, "--ckpt-dir", str(checkpoint.parent)]
        where = ["--backend", config.backend, "--device", config.device]
        if config.adapter is not None:
            where += ["--adapter", config.adapter]
        return ["train", *data, *files, *where, "--scheduler", "cosine"]


def _words(known: dict[str, Number], chosen: dict[str, float]) -> list[str]:
    """Numbers as the words of a command line."""
    words: list[str] = []
    for name, value in chosen.items():
        words += [known[name].flag, str(value) if known[name].whole else f"{value:g}"]
    return words


class JobProcess:
    """A process that is started again and again; its log is that of the last one."""

    def __init__(self, kind: JobKind) -> None:
        self.kind = kind
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._words: list[str] = [kind]
        self._started: float | None = None
        self._asked_to_stop = False
        self._log, self._log_size = "", 0

    @property
    def running(self) -> bool:
        """Whether its process is there and hasn't ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def state(self) -> JobState:
        """How the job stands; stopped is what ended otherwise than well, after it was asked to."""
        if self._process is None:
            return "idle"
        code = self._process.poll()
        if code is None:
            return "running"
        if self._asked_to_stop and code != 0:
            return "stopped"
        return "done" if code == 0 else "failed"

    def phase(self, status: dict[str, Any] | None) -> Phase | None:
        """What its `status` file doesn't say of it; None if that is its own, or another one's."""
        process, pid = self._process, (status or {}).get("pid")
        if process is None:
            return None
        if self.running:
            return None if pid == process.pid else "starting"
        gone = status is not None and pid == process.pid and status.get("status") == "running"
        return "gone" if gone else None

    def start(self, words: list[str]) -> None:
        """Run `endoforge` with these words; raises UserError if it runs already."""
        with self._lock:
            if self.running:
                raise UserError(f"{self.kind} is running already: stop it first")
            self._words, self._asked_to_stop = words, False
            self._log, self._log_size, self._started = "", 0, time.time()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "endoforge", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},  # lines are shown as they come
                start_new_session=True,  # Ctrl-C is for us; we pass it on
            )
            # Afterwards, from here: code between fork and exec may hang where threads run.
            if hasattr(os, "setpriority"):
                with contextlib.suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
            self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
            self._reader.start()

    def stop(self) -> None:
        """Ask it to end: it saves what it has, as after Ctrl-C.

        By SIGTERM: what a shell starts in the background ignores SIGINT, and hands that on.
        """
        with self._lock:
            if self._process is not None and self.running:
                self._asked_to_stop = True
                self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, and kill it if it hasn't after so many seconds."""
        process = self._process
        if process is None:
            return
        try:
            process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log_from(self, start: int) -> dict[str, Any]:
        """The `text` of the log from a character on, and `next`, where to go on."""
        with self._lock:
            first = self._log_size - len(self._log)
            start = min(max(start, first), self._log_size)
            text = self._log[start - first :][:LOG_AT_ONCE]
            return {"text": text, "next": start + len(text)}

    def as_json(self) -> dict[str, Any]:
        """The job as the page shows it."""
        code = self._process.poll() if self._process else None
        return {
            "state": self.state,
            "command": shlex.join(["endoforge", *self._words]),
            "started_unix": self._started,
            "exit_code": code,
            "log_size": self._log_size,
            "defaults": {name: number.default for name, number in PARAMETERS[self.kind].items()},
        }

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """In a thread of its own, until the process closes its output."""
        assert process.stdout is not None
        # A letter of several bytes may be cut by the end of what is read.
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        while data := os.read(process.stdout.fileno(), 65536):
            self._note(decode(data))
        process.stdout.close()
        process.wait()

    def _note(self, text: str) -> None:
        with self._lock:
            self._log = (self._log + text)[-LOG_KEPT:]
            self._log_size += len(text)
