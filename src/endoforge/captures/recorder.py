"""Writes a capture run so that whatever is killed when, what lies on disk is whole."""

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from endoforge import __version__
from endoforge.captures.frame_times import FrameTime, append_frame_time
from endoforge.captures.pictures import encode_png, is_whole
from endoforge.captures.schema import (
    MANIFEST_NAME,
    FrameLabel,
    RunManifest,
    extra_name,
    image_name,
    label_name,
)
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic, write_json_atomic
from endoforge.core.folders import (
    FolderLock,
    make_folder,
    make_new_folder,
    refuse_link,
    remove_files,
    remove_tree,
    remove_unfinished,
)
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8, printable

FRAME_FOLDERS = ("images", "labels")

Picture = NDArray[np.uint8] | NDArray[np.uint16]


class RunRecorder:
    """One run being written. Several threads may write different frames at once.

    A frame's pictures are there before its label, each by rename. Until `finish`, the manifest
    says `complete: false`, and so it stays if the recorder dies. The folder is locked until
    `close`: no other process can go on with it meanwhile.
    """

    def __init__(self, run_dir: Path, manifest: RunManifest, lock: FolderLock) -> None:
        self.run_dir = run_dir
        self.done: frozenset[int] = frozenset()
        """Frames that were whole when the recorder was opened."""
        self.num_frames = 0
        self._manifest = manifest
        self._lock = lock
        self._counting = Lock()

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        seed: int,
        max_frames: int | None,
        extra: dict[str, Any],
        address: str | None = None,
    ) -> "RunRecorder":
        """Make `root`/run_<unix milliseconds>, a folder of this recorder alone.

        `extra` joins the version and the frame count under the manifest's `endoforge`; `address` is
        that of the root which the run is made for, if it isn't `root` itself. Raises UserError if
        the folder can't be made.
        """
        # By the time, as other tools that write this format name theirs, so that runs sort by it.
        started = time.time()
        try:
            make_folder(root)
            run_dir = _make_run_folder(root, int(started * 1000))
        except OSError as error:
            raise UserError(f"can't make a run folder in {root}: {error.strerror}") from error
        manifest = RunManifest(
            seed=seed,
            output_root=printable(address or str(root)),
            run_dir=printable(f"{address}/{run_dir.name}" if address else str(run_dir)),
            started_at_unix=started,
            max_frames=max_frames,
            endoforge={"version": __version__, **extra},
        )
        recorder = cls(run_dir, manifest, FolderLock(run_dir))
        try:
            recorder._write_manifest(complete=False)
            for name in FRAME_FOLDERS:
                make_folder(run_dir / name, within=run_dir)
        except OSError:
            recorder.discard()
            raise
        return recorder

    @classmethod
    def reopen(cls, run_dir: Path, manifest: RunManifest, extras: tuple[str, ...]) -> "RunRecorder":
        """Go on with a run that was left unfinished; `extras` are the pictures beside its images.

        What isn't whole goes: unfinished files, labels that can't be read or lack a picture.
        Raises UserError if another process writes this run, and if it is a link, or one of its
        folders that are written to.
        """
        folders = [run_dir / name for name in (*FRAME_FOLDERS, *extras)]
        for folder in folders:
            refuse_link(folder, within=run_dir)
        try:
            lock = FolderLock(run_dir)
        except BlockingIOError:
            raise UserError(f"{run_dir}: another process is writing this run; let it end") from None
        for folder in (run_dir, *folders):
            remove_unfinished(folder, "*", within=run_dir)
        recorder = cls(run_dir, manifest, lock)
        recorder.done = _whole_frames(run_dir, extras)
        recorder.num_frames = len(recorder.done)
        return recorder

    def write(
        self, image: NDArray[np.uint8], label: FrameLabel, extras: Mapping[str, Picture] = {}
    ) -> None:
        """Write `image`, (H, W, 3) uint8 RGB, the `extras`, then `label`; all whole on return.

        `extras` are pictures by the name of their folder. Raises ValueError if the label names
        another image than `image_name(label.frame_id)`, or if the frame was written before.
        """
        self.write_encoded(encode_png(image), ".png", label, extras)

    def write_encoded(
        self,
        data: bytes,
        suffix: str,
        label: FrameLabel,
        extras: Mapping[str, Picture] = {},
    ) -> None:
        """Write a frame as `write` does, whose image is the bytes of a PNG or JPEG file already.

        `suffix` says which of them: `.png` or `.jpg`. Raises ValueError as `write` does.
        """
        if label.image != image_name(label.frame_id, suffix) or not label.image_present:
            name = image_name(label.frame_id, suffix)
            raise ValueError(f"frame {label.frame_id} must name {name}")
        label_path = self.run_dir / label_name(label.frame_id)
        if label_path.exists():
            raise ValueError(f"frame {label.frame_id} is already in {self.run_dir}")
        # The label last, for readers go by labels: what it names is there.
        self._write_new(label.image, data)
        for kind, picture in extras.items():
            self._write_new(extra_name(kind, label.frame_id), encode_png(picture))
        make_folder(label_path.parent, within=self.run_dir)  # a kill may have come before it
        write_json_atomic(label_path, label.model_dump(mode="json"))
        with self._counting:
            self.num_frames += 1

    def write_unlabelled(self, frame_id: int, image: NDArray[np.uint8], time: FrameTime) -> None:
        """Write an image, (H, W, 3) uint8 RGB, of which only its time is known."""
        append_frame_time(self.run_dir, frame_id, time)
        self._write_new(image_name(frame_id), encode_png(image))
        with self._counting:
            self.num_frames += 1

    def write_file(self, name: str, text: str) -> None:
        """Write a file of the whole run, such as its poses."""
        write_atomic(self.run_dir / name, text.encode())

    def finish(self) -> None:
        """Say in the manifest how many frames there are, and that the run is complete."""
        self._write_manifest(complete=True)
        self.close()

    def pause(self) -> None:
        """Say in the manifest how many frames there are so far, and that more are to come."""
        self._write_manifest(complete=False)
        self.close()

    def close(self) -> None:
        """Let others have the folder, finished or not."""
        self._lock.release()

    def discard(self) -> None:
        """Leave nothing of the run."""
        self.close()
        remove_tree(self.run_dir)

    def _write_new(self, name: str, data: bytes) -> None:
        path = self.run_dir / name
        make_folder(path.parent, within=self.run_dir)
        write_atomic(path, data)

    def _write_manifest(self, *, complete: bool) -> None:
        fields = self._manifest.model_dump(mode="json")
        fields["endoforge"] |= {"frames": self.num_frames, "complete": complete}
        write_json_atomic(self.run_dir / MANIFEST_NAME, fields)


def _whole_frames(run_dir: Path, extras: tuple[str, ...]) -> frozenset[int]:
    """The frames whose label and pictures are whole; other labels are removed."""
    whole, others = set(), []
    for path in (run_dir / "labels").glob("frame_*.json"):
        try:
            label = FrameLabel.model_validate_json(as_utf8(read_regular(path, MOST_LABEL_BYTES)))
        except (OSError, ValidationError):
            others.append(path.name)
            continue
        frame = label.frame_id
        image = image_name(frame, Path(label.image).suffix)
        names = [image, *(extra_name(kind, frame) for kind in extras)]
        if all(is_whole(run_dir / name) for name in names):
            whole.add(frame)
        else:
            others.append(path.name)
    remove_files(run_dir / "labels", others, within=run_dir)
    return frozenset(whole)


def _make_run_folder(root: Path, unix_ms: int) -> Path:
    """The folder of this millisecond or the next that nobody has taken."""
    while True:
        run_dir = root / f"run_{unix_ms}"
        try:
            make_new_folder(run_dir)
        except FileExistsError:
            unix_ms += 1
            continue
        return run_dir
