"""A training on the frames that people have reviewed, and what it gave."""

import shlex
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.run_frames import FrameRecord
from endoforge.core.errors import UserError
from endoforge.core.folders import make_folder, make_new_folder
from endoforge.core.text import counted
from endoforge.data.split import Split, save_split, split_by_run
from endoforge.detect.packaged import PACKAGED, WEIGHTS_NAME
from endoforge.evaluate.config import EvalConfig
from endoforge.view.config import SimViewConfig
from endoforge.view.labelling.comparing import DetectorChange, compare_apart
from endoforge.view.labelling.label_messages import (
    LearningState,
    LearningView,
    LearningWish,
    StartName,
)
from endoforge.view.labelling.shelf import Shelf
from endoforge.view.training.curves import read_status
from endoforge.view.training.jobs import JobProcess

FRAMES_NEEDED = 10
HELD_OUT = 0.2
SEED = 42
BATCH_SIZE = 16
STEPS, EPOCHS = 400, (10, 60)
"""So many steps, in so many epochs at least and at most: minutes on a laptop."""
RECIPE = (
    *("--lr-start", "3e-4", "--lr-end", "1e-5", "--scheduler", "cosine"),
    *("--target-size", "320x256", "--log-every", "0", "--ckpt-every-epochs", "0"),
)
"""As docs/sim2real.md has it for few labels; the last weights count, so that nothing is chosen by
the frames that are measured on."""
LOOK_EVERY_S = 0.5


@dataclass
class _Attempt:
    """One training: its folder, its frames, and where it stands."""

    start: str
    state: LearningState = "preparing"
    folder: Path | None = None
    trained_on: int = 0
    held_out: int = 0
    how: str = ""
    epochs: int = 0
    command: str = ""
    problem: str = ""
    comparison: DetectorChange | None = None

    @property
    def weights(self) -> str:
        """The file that it writes; nothing as yet."""
        return "" if self.folder is None else str(self.folder / WEIGHTS_NAME)


class Learning:
    """Trains on reviewed frames, and measures the new detector beside the old one. One at a time;
    any thread may ask."""

    def __init__(self, config: SimViewConfig, shelf: Shelf) -> None:
        self._config, self._shelf = config, shelf
        self._job = JobProcess("train")
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None
        self._stop = threading.Event()

    def view(self) -> LearningView:
        """How it stands."""
        attempt = self._attempt
        shelf = self._shelf.runs()
        reviewed = sum(run.counts.get("reviewed", 0) for run in shelf.runs)
        known = LearningView(
            state="idle",
            reviewed=reviewed,
            frames_needed=max(0, FRAMES_NEEDED - reviewed),
            starts=list(self._starts()),
        )
        if attempt is None:
            return known
        status = read_status(attempt.folder / "status.json") if attempt.folder else None
        told = status if attempt.state == "training" and status is not None else {}
        compared = attempt.comparison
        return known.model_copy(
            update={
                "state": attempt.state,
                "trained_on": attempt.trained_on,
                "held_out": attempt.held_out,
                "how": attempt.how,
                "epoch": told.get("epoch"),
                "epochs": attempt.epochs or None,
                "loss": told.get("loss"),
                "eta_s": told.get("eta_s"),
                "command": attempt.command,
                "weights": attempt.weights,
                "problem": attempt.problem,
                "comparison": None if compared is None else compared.view,
            }
        )

    def start(self, wish: LearningWish) -> None:
        """Begin; raises UserError if one goes on, or there is nothing to begin from."""
        start = self._starts().get(wish.start)
        if start is None:
            raise UserError(f"start {wish.start}: there are no such weights")
        with self._lock:
            if self._attempt is not None and self._attempt.state in _GOING_ON:
                raise UserError("a training on labels is going on already: stop it first")
            self._stop.clear()
            self._attempt = _Attempt(start)
            threading.Thread(target=self._run, args=(self._attempt,), daemon=True).start()

    def stop(self) -> None:
        """End the training; what it has learned is kept, and isn't measured."""
        self._stop.set()
        self._job.stop()

    def close(self, seconds: float) -> None:
        """End what runs: it is asked to, and after so many seconds killed."""
        self.stop()
        self._job.wait(seconds)

    def picture(self, place: int, which: str) -> bytes | None:
        """A compared frame as a JPEG: what the `old` or the `new` detector finds."""
        comparison = None if self._attempt is None else self._attempt.comparison
        if comparison is None or not 0 <= place < len(comparison.pictures):
            return None
        old, new = comparison.pictures[place]
        return {"old": old, "new": new}.get(which)

    def _starts(self) -> dict[StartName, str]:
        """What a training can begin from; of one file under two names, the first."""
        starts: dict[StartName, str] = {}
        if Path(self._config.first_weights).is_file():
            starts["shown"] = self._config.first_weights
        if self._config.checkpoint != PACKAGED:
            starts["packaged"] = PACKAGED
        return starts

    def _run(self, attempt: _Attempt) -> None:
        """In a thread of its own."""
        try:
            self._train(attempt)
        except (UserError, OSError) as error:
            attempt.problem, attempt.state = str(error), "failed"
        except Exception as error:  # it must never seem to go on for ever
            attempt.problem, attempt.state = f"{type(error).__name__}: {error}", "failed"
            raise

    def _train(self, attempt: _Attempt) -> None:
        split = self._split(attempt)
        folder = new_learning_folder(Path(self._config.first_weights).parent)
        save_split(folder / "split.json", split, SEED)
        attempt.folder = folder
        attempt.epochs = epochs_for(attempt.trained_on)
        words = self._words(attempt, folder)
        attempt.command = shlex.join(["endoforge", *words])
        if self._stop.is_set():
            attempt.state = "stopped"
            return
        attempt.state = "training"
        self._job.start(words)
        while self._job.running:
            time.sleep(LOOK_EVERY_S)
        if self._job.state != "done":
            attempt.problem = "" if self._stop.is_set() else self._last_words()
            attempt.state = "stopped" if self._stop.is_set() else "failed"
            return
        attempt.state = "comparing"
        old, new = (self._eval_config(one, folder) for one in (attempt.start, attempt.weights))
        attempt.comparison = compare_apart(old, new, self._stop)
        attempt.state = "stopped" if attempt.comparison is None else "done"

    def _split(self, attempt: _Attempt) -> Split:
        index = index_root(self._config.root)
        ours = self._shelf.reviewed({run.name for run in index.runs})
        frames = [frame for frame in index.frames if frame.frame_id in ours.get(frame.run, ())]
        if len(frames) < FRAMES_NEEDED:
            raise UserError(
                f"{counted(len(frames), 'reviewed frame')} can be learned from, at least "
                f"{FRAMES_NEEDED} are "
                "needed: review more"
            )
        split = split_by_run(reviewed_index(index, frames), HELD_OUT, SEED, stratify=True)
        if not any(len(frame.boxes) for frame in split.train):
            raise UserError("no polyp in the frames to learn from: review more of them")
        runs = {frame.run for frame in frames}
        attempt.trained_on, attempt.held_out = len(split.train), len(split.val)
        by_time = "its last part, after a gap; of a second run the scores would say more"
        attempt.how = "whole runs" if len(runs) > 1 else by_time
        return split

    def _words(self, attempt: _Attempt, folder: Path) -> list[str]:
        config = self._config
        words = ["train", "--input-root", config.output_root, "--ckpt-dir", str(folder)]
        words += ["--split-manifest", str(folder / "split.json")]
        words += ["--demo-checkpoint", attempt.start, "--epochs", str(attempt.epochs)]
        words += ["--batch-size", str(BATCH_SIZE), *RECIPE]
        words += ["--status-file", str(folder / "status.json")]
        words += ["--metrics-out", str(folder / "metrics.jsonl")]
        words += ["--backend", config.backend, "--device", config.device]
        return words + ([] if config.adapter is None else ["--adapter", config.adapter])

    def _eval_config(self, checkpoint: str, folder: Path) -> EvalConfig:
        config = self._config
        return EvalConfig(
            checkpoint=checkpoint,
            input_root=config.output_root,
            split_manifest=str(folder / "split.json"),
            backend=config.backend,
            device=config.device,
            adapter=config.adapter,
        )

    def _last_words(self) -> str:
        said = str(self._job.log_from(0)["text"]).strip().splitlines()
        return said[-1] if said else "the training ended without a word"


_GOING_ON = ("preparing", "training", "comparing")


def reviewed_index(index: CaptureIndex, frames: list[FrameRecord]) -> CaptureIndex:
    """The index with these frames alone, and their runs."""
    names = {frame.run for frame in frames}
    runs = [run for run in index.runs if run.name in names]
    return CaptureIndex(root=index.root, runs=runs, frames=frames, tally=index.tally)


def epochs_for(num_frames: int) -> int:
    """How often so many frames are seen."""
    least, most = EPOCHS
    return min(most, max(least, round(STEPS * BATCH_SIZE / max(1, num_frames))))


def new_learning_folder(parent: Path) -> Path:
    """A new folder of `parent` for a training on labels: `labels-1`, or the next that is free."""
    make_folder(parent)
    number = 1
    while True:
        folder = parent / f"labels-{number}"
        try:
            make_new_folder(folder)
        except FileExistsError:
            number += 1
            continue
        return folder
