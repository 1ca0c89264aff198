"""The runs of an import: made, known again, gone on with, and told of."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from endoforge.captures.publishing import complete_runs, manifests_in, publish_run
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.run_frames import read_manifest
from endoforge.captures.schema import MANIFEST_NAME, RunManifest
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.folders import FolderLock, make_folder
from endoforge.core.text import aligned, counted
from endoforge.formats.instances import INSTANCE
from endoforge.roots.bucket import Bucket

MANIFEST_KEY = "import"
"""Of the manifest's `endoforge`: where the run's pictures are from."""
DETECTOR_KEY = "detector"
"""Of the manifest's `endoforge`: whose word the labels of the run are."""
RUNS_SHOWN = 10
PREDICTED = (
    "predicted: nothing learns from these frames until somebody has looked at them (`endoforge "
    "sim-view`, Labels; or convert --predicted for CVAT and Label Studio)"
)
"""For people, of labels that are a detector's word."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a run's pictures are from; kept in its manifest, so that it is known again."""

    format: str
    source: str
    """The folder or file, as an absolute path."""
    group: str
    """Which of its pictures: the name that `--group` gives them."""
    pictures: str
    """A digest of the pictures' names and sizes."""
    content: str
    """A digest of these and of all that is said of them."""


@dataclass
class ImportedRun:
    """What came into one run. `there` are frames that an earlier import had written."""

    name: str
    group: str
    frames: int = 0
    empty: int = 0
    there: int = 0
    boxes: Counter[str] = field(default_factory=Counter)


@dataclass
class ImportReport:
    """What came in, and what did not, by reason."""

    root: Path | str
    """For people: a folder, or an address."""
    runs: list[ImportedRun] = field(default_factory=list)
    left_out: Tally = field(default_factory=Tally)
    clipped: int = 0
    """Boxes that reached a pixel or more out of their picture."""
    labelled: bool = True
    predicted: bool = False
    """Whether labels came in that are a detector's word, and await a person's."""
    no_rate: bool = False
    """Whether frames of videos came in of which nobody says how many there are a second."""
    incomplete: bool = False
    """Whether a part of a video couldn't be decoded: the exit code says so."""

    def lines(self) -> list[str]:
        """A table for people: what came in, and what did not."""
        frames, there = (sum(getattr(run, what) for run in self.runs) for what in COUNTS)
        again = f", {there} were there already" if there else ""
        came = f"{counted(len(self.runs), 'run')}, {counted(frames, 'frame')} came in{again}"
        lines = [f"{self.root}: {came}"]
        rows: list[tuple[str, ...]] = [("run", "frames", "empty", "boxes", "from")]
        for run in self.runs[:RUNS_SHOWN]:
            counts = (run.frames, run.empty, run.boxes.total())
            numbers = map(str, counts) if self.labelled else (str(run.frames), "-", "-")
            rows.append((run.name, *numbers, run.group))
        lines += [f"  {line}" for line in aligned(rows)]
        if len(self.runs) > RUNS_SHOWN:
            lines.append(f"  ... and {counted(len(self.runs) - RUNS_SHOWN, 'more run')}")
        total = sum((run.boxes for run in self.runs), Counter[str]())
        if total:
            classes = ", ".join(f"{name} {number}" for name, number in sorted(total.items()))
            lines.append(f"  boxes by class: {classes}")
        if self.clipped:
            lines.append(
                f"  clipped: {counted(self.clipped, 'box')} that reached out of the picture"
            )
        if self.no_rate:
            lines.append("  how many frames a second isn't known: a second each; --fps says it")
        if not self.labelled:
            lines.append("  without labels: nothing is known of these frames; see them by detect")
        if self.predicted:
            lines.append(f"  {PREDICTED}")
        return lines + [f"  left out: {line}" for line in self.left_out.lines()]


COUNTS = ("frames", "there")


class ImportRoot:
    """The folder that gets the runs, locked against other imports until `close`."""

    def __init__(
        self, root: Path, flag: str = "--output-root", bucket: Bucket | None = None
    ) -> None:
        """With a `bucket`, runs are made in `root`, and put to it as they are complete.

        Raises UserError, which names `flag`, if it can't be made, or another import writes to it.
        """
        self.root, self._flag, self._bucket = root, flag, bucket
        try:
            make_folder(root)
        except OSError as error:
            raise UserError(f"{flag} {root}: {error.strerror}") from error
        try:
            self._lock = FolderLock(root)
        except BlockingIOError as error:
            raise UserError(
                f"{flag} {root}: another import is writing there; let it end"
            ) from error
        try:
            self._known = self._found()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the folder free for other imports."""
        self._lock.release()

    def finish(self, recorder: RunRecorder) -> None:
        """The run of `recorder` is complete: it is where it is to be on return."""
        recorder.finish()
        publish_run(recorder.run_dir, self._bucket)

    def _found(self) -> list[tuple[Path, RunManifest, Origin]]:
        """The runs that are there; of those in the bucket, the folders that they would have here.

        What an earlier import made but didn't put is put first.
        """
        if self._bucket is None:
            return _imported_runs(self.root)
        for run_dir in complete_runs(self.root):
            publish_run(run_dir, self._bucket)
        found = _imported_runs(self.root)
        here = {run_dir.name for run_dir, _, _ in found}
        with manifests_in(self._bucket) as folder:
            for run_dir, manifest, origin in _imported_runs(folder):
                if run_dir.name not in here:
                    found.append((self.root / run_dir.name, manifest, origin))
        return found

    def known(self, origin: Origin) -> Path | None:
        """The run with this very content; None if there is none.

        Raises UserError if one has the same pictures, or those of the same place, but other
        content: beside it, they would be there twice.
        """
        for run_dir, manifest, other in self._known:
            if other.content == origin.content:
                return run_dir
            same_place = (other.source, other.group) == (origin.source, origin.group)
            if same_place or other.pictures == origin.pictures:
                state = "" if _is_complete(manifest) else "unfinished "
                raise UserError(
                    f"{run_dir} holds an {state}import of {other.source} ({other.group}) with "
                    f"other pictures, labels or settings: name another {self._flag}, or remove "
                    "that run, and with it all that was labelled in it"
                )
        return None

    def open(self, origin: Origin, also: Mapping[str, Any] = {}) -> RunRecorder | None:
        """A recorder for the run of `origin`, new or gone on with; None if it is complete.

        A new run's manifest says `also` under `endoforge`.
        """
        run_dir = self.known(origin)
        if run_dir is None:
            extra = {MANIFEST_KEY: asdict(origin), **also}
            address = None if self._bucket is None else str(self._bucket.root)
            return RunRecorder.create(
                self.root, seed=0, max_frames=None, extra=extra, address=address
            )
        manifest = self._manifest_of(run_dir)
        if _is_complete(manifest):
            return None
        if not run_dir.is_dir():  # the bucket has a part of it
            make_folder(run_dir)
            write_json_atomic(run_dir / MANIFEST_NAME, manifest.model_dump(mode="json"))
        extras = (INSTANCE,) if origin.format == "masks" else ()
        return RunRecorder.reopen(run_dir, manifest, extras)

    def _manifest_of(self, run_dir: Path) -> RunManifest:
        return next(manifest for other, manifest, _ in self._known if other == run_dir)

    def what_is_there(self, origin: Origin) -> tuple[str, int]:
        """Name and frames of the complete run of `origin`."""
        run_dir = self.known(origin)
        assert run_dir is not None
        frames = (self._manifest_of(run_dir).endoforge or {}).get("frames")
        return run_dir.name, frames if type(frames) is int else 0


def _imported_runs(root: Path) -> list[tuple[Path, RunManifest, Origin]]:
    """The runs below `root` that an import made."""
    found = []
    for run_dir in sorted(root.glob("run_*")):
        try:
            manifest = read_manifest(run_dir)
            origin = Origin(**((manifest and manifest.endoforge) or {})[MANIFEST_KEY])
        except (OSError, ValidationError, KeyError, TypeError):
            continue
        assert manifest is not None
        found.append((run_dir, manifest, origin))
    return found


def _is_complete(manifest: RunManifest) -> bool:
    return bool((manifest.endoforge or {}).get("complete"))


def import_of(run: Path) -> str | None:
    """Read the format that a run was imported from; None if it wasn't imported."""
    try:
        manifest = read_manifest(run)
    except (OSError, ValidationError):
        return None
    origin = ((manifest and manifest.endoforge) or {}).get(MANIFEST_KEY)
    return str(origin.get("format")) if isinstance(origin, dict) else None
