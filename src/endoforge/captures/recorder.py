"""Writes a capture run so that whatever is killed when, what lies on disk is whole."""

import time
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge import __version__
from endoforge.captures.pictures import encode_png
from endoforge.captures.schema import (
    MANIFEST_NAME,
    FrameLabel,
    RunManifest,
    image_name,
    label_name,
)
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic, write_json_atomic


class RunRecorder:
    """One run being written. Several threads may write different frames at once.

    A frame's image is there before its label, each by rename. Until `finish`, the manifest says
    `complete: false`, and so it stays if the recorder dies.
    """

    def __init__(self, run_dir: Path, manifest: RunManifest) -> None:
        self.run_dir = run_dir
        self.num_frames = 0
        self._manifest = manifest
        self._lock = Lock()
        self._write_manifest(complete=False)

    @classmethod
    def create(
        cls, root: Path, *, seed: int, max_frames: int | None, extra: dict[str, Any]
    ) -> "RunRecorder":
        """Make `root`/run_<unix milliseconds>, a folder of this recorder alone.

        `extra` joins the version and the frame count under the manifest's `endoforge`. Raises
        UserError if the folder can't be made.
        """
        started = time.time()
        try:
            root.mkdir(parents=True, exist_ok=True)
            run_dir = _make_run_folder(root, int(started * 1000))
        except OSError as error:
            raise UserError(f"can't make a run folder in {root}: {error.strerror}") from error
        manifest = RunManifest(
            seed=seed,
            output_root=str(root),
            run_dir=str(run_dir),
            started_at_unix=started,
            max_frames=max_frames,
            endoforge={"version": __version__, **extra},
        )
        return cls(run_dir, manifest)

    def write(self, image: NDArray[np.uint8], label: FrameLabel) -> None:
        """Write `image`, (H, W, 3) uint8 RGB, then `label`; both are whole on return.

        Raises ValueError if the label names another image than `image_name(label.frame_id)`, or
        if the frame was written before.
        """
        if label.image != image_name(label.frame_id) or not label.image_present:
            raise ValueError(f"frame {label.frame_id} must name {image_name(label.frame_id)}")
        label_path = self.run_dir / label_name(label.frame_id)
        if label_path.exists():
            raise ValueError(f"frame {label.frame_id} is already in {self.run_dir}")
        write_atomic(self.run_dir / label.image, encode_png(image))
        write_json_atomic(label_path, label.model_dump(mode="json"))
        with self._lock:
            self.num_frames += 1

    def finish(self) -> None:
        """Say in the manifest how many frames there are, and that the run is complete."""
        self._write_manifest(complete=True)

    def _write_manifest(self, *, complete: bool) -> None:
        fields = self._manifest.model_dump(mode="json")
        fields["endoforge"] |= {"frames": self.num_frames, "complete": complete}
        write_json_atomic(self.run_dir / MANIFEST_NAME, fields)


def _make_run_folder(root: Path, unix_ms: int) -> Path:
    """The folder of this millisecond or the next that nobody has taken."""
    while True:
        run_dir = root / f"run_{unix_ms}"
        try:
            run_dir.mkdir()
        except FileExistsError:
            unix_ms += 1
            continue
        (run_dir / "images").mkdir()
        (run_dir / "labels").mkdir()
        return run_dir
