"""Detections written down: lines of JSON, COCO's results, and drawn pictures."""

import json
import logging
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import encode_png
from endoforge.captures.tally import Tally
from endoforge.captures.video import Video
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic, write_json_atomic
from endoforge.detect.detections import Detections
from endoforge.evaluate.figures import draw_found
from endoforge.evaluate.matching import Truth
from endoforge.formats.coco import Id, read_dataset
from endoforge.inference.config import Draw
from endoforge.inference.shots import Shot

log = logging.getLogger(__name__)

JPEG_QUALITY = 92
NO_TRUTH = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
KEPT_SUFFIXES = {".png", ".jpg", ".jpeg"}


class Growing:
    """A text file that takes its name when it is closed: one of that name is always whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._file = self._partial.open("w", encoding="utf-8")

    def write(self, text: str) -> None:
        """Append."""
        self._file.write(text)

    def close(self) -> None:
        """Give it its name."""
        self._file.close()
        self._partial.replace(self.path)


class CocoIds:
    """Numbers of images and categories: counted, or those that a COCO file has for their names."""

    def __init__(self, classes: tuple[str, ...], annotations: Path | None) -> None:
        """Raises UserError for a file that can't be read, or that has none of the classes."""
        self.images: list[dict[str, Any]] = []
        self._known: dict[str, Id] | None = None
        self.categories: dict[str, Id] = {name: n for n, name in enumerate(classes, 1)}
        if annotations is None:
            return
        dataset = read_dataset(annotations)
        by_name = {one.name: one.id for one in dataset.categories}
        self.categories = {name: by_name[name] for name in classes if name in by_name}
        if not self.categories:
            raise UserError(
                f"--annotations {annotations}: names {', '.join(by_name) or 'no category'}, the "
                f"detector {', '.join(classes)}: rename the categories, or leave it out"
            )
        self._known = {one.file_name: one.id for one in dataset.images}
        names = Counter(Path(one.file_name).name for one in dataset.images)
        for one in dataset.images:
            if names[Path(one.file_name).name] == 1:
                self._known.setdefault(Path(one.file_name).name, one.id)

    def image(self, shot: Shot) -> Id | None:
        """The number of a picture; None where the file doesn't have it."""
        number: Id | None = len(self.images) + 1
        if self._known is not None:
            number = self._known.get(shot.name, self._known.get(Path(shot.name).name))
            if number is None:
                return None
        height, width = shot.picture.shape[:2]
        entry = {"id": number, "file_name": shot.name, "width": width, "height": height}
        self.images.append(entry)
        return number

    def dataset(self) -> dict[str, Any]:
        """The images and categories that results are of, as COCO has them."""
        return {
            "info": {"description": "pictures that EndoForge has looked at"},
            "images": self.images,
            "annotations": [],
            "categories": [{"id": n, "name": name} for name, n in self.categories.items()],
        }


class Results:
    """Everything that `detect` writes to its folder; to be used by `with`.

    Files take their names at the end, with what was found so far if an error or Ctrl-C ends it.
    """

    def __init__(
        self, out: Path, classes: tuple[str, ...], *, draw: Draw, annotations: Path | None
    ) -> None:
        self._ids = CocoIds(classes, annotations)
        self.out, self.classes = out, classes
        self.tally = Tally()
        self.shots = self.with_found = self.found = 0
        self._draw: Draw = draw
        out.mkdir(parents=True, exist_ok=True)
        self._lines = Growing(out / "detections.jsonl")
        self._coco = Growing(out / "coco_results.json")
        self._num_coco = 0
        self._video: tuple[str, DrawnVideo] | None = None

    def __enter__(self) -> "Results":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_video()
        self._lines.close()
        self._coco.write("]\n" if self._num_coco else "[]\n")
        self._coco.close()
        write_json_atomic(self.out / "coco_images.json", self._ids.dataset())
        if kind is not None:
            log.warning("ended early: %s holds %d pictures so far", self.out, self.shots)

    def add(self, shot: Shot, every: Detections, threshold: float, video: Video | None) -> None:
        """Write down `every` detection of a shot, and draw those of at least `threshold`.

        `video` is the one that the shot is of, if it is of one.
        """
        found = every.above(threshold)
        self.shots += 1
        self.found += len(found)
        self.with_found += bool(len(found))
        self._lines.write(json.dumps(self._record(shot, found)) + "\n")
        self._add_coco(shot, every)
        if self._draw == "all" or (self._draw == "found" and (len(found) or video)):
            hits = np.ones(len(found), np.bool_)
            drawn = draw_found(shot.picture, NO_TRUTH, found, hits, self.classes)
            self._write_drawn(shot, drawn, video)

    def _record(self, shot: Shot, found: Detections) -> dict[str, Any]:
        height, width = shot.picture.shape[:2]
        pixels = found.boxes.astype(np.float64) * [width, height, width, height]
        record: dict[str, Any] = {"file": shot.file}
        if shot.frame is not None:
            record |= {"frame": shot.frame, "seconds": round(shot.seconds or 0.0, 4)}
        detections = [
            {
                "label": self.classes[number],
                "score": round(float(score), 4),
                "bbox_px": [round(v, 2) for v in box.tolist()],
                "bbox_norm": [round(float(v), 6) for v in norm],
            }
            for number, score, box, norm in zip(
                found.classes, found.scores, pixels, found.boxes, strict=True
            )
        ]
        return record | {"width": width, "height": height, "detections": detections}

    def _add_coco(self, shot: Shot, every: Detections) -> None:
        image = self._ids.image(shot)
        if image is None:
            self.tally.count("picture: not among --annotations, so not in COCO results", shot.name)
            return
        height, width = shot.picture.shape[:2]
        boxes = every.boxes.astype(np.float64) * [width, height, width, height]
        for number, score, (x0, y0, x1, y1) in zip(
            every.classes, every.scores, boxes.tolist(), strict=True
        ):
            name = self.classes[number]
            if name not in self._ids.categories:
                reason = f"detection: {name} is no category of --annotations"
                self.tally.count(reason, shot.name)
                continue
            entry = {
                "image_id": image,
                "category_id": self._ids.categories[name],
                "bbox": [round(v, 3) for v in (x0, y0, x1 - x0, y1 - y0)],
                "score": round(float(score), 6),
            }
            self._coco.write((",\n" if self._num_coco else "[") + json.dumps(entry))
            self._num_coco += 1

    def _write_drawn(self, shot: Shot, drawn: NDArray[np.uint8], video: Video | None) -> None:
        path = self.out / "drawn" / shot.file
        if video is None:
            if path.suffix.lower() not in KEPT_SUFFIXES:
                path = path.with_name(f"{path.name}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, encode_png(drawn) if path.suffix.lower() == ".png" else _jpeg(drawn))
            return
        if self._video is None or self._video[0] != shot.file:
            self._end_video()
            if path.suffix.lower() != ".mp4":
                path = path.with_name(f"{path.name}.mp4")
            self._video = shot.file, DrawnVideo(path, video.fps, drawn.shape[:2])
        self._video[1].add(drawn)

    def _end_video(self) -> None:
        if self._video is not None:
            self._video[1].close()
            self._video = None


class DrawnVideo:
    """An MP4 file that takes its name when it is closed; frames of (height, width) pixels."""

    def __init__(self, path: Path, fps: float, size_hw: tuple[int, ...]) -> None:
        """Raises UserError if it can't be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._partial = path, path.with_name(f".{path.stem}.partial.mp4")
        code = cv2.VideoWriter.fourcc(*"mp4v")
        size = size_hw[1], size_hw[0]
        self._writer = cv2.VideoWriter(str(self._partial), code, fps, size)
        if not self._writer.isOpened():
            raise UserError(
                f"{path}: OpenCV can't write MP4 here; leave drawing out by --draw none"
            )

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append (H, W, 3) uint8 RGB."""
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Give it its name."""
        self._writer.release()
        self._partial.replace(self._path)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
