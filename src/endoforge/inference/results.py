"""Writes detections down, as lines of JSON, as COCO's results, and drawn on their pictures."""

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge import __version__
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.inference.coco_ids import CocoIds
from endoforge.inference.config import Draw
from endoforge.inference.drawing import Drawing
from endoforge.inference.drawings import IMAGES, LINES, RESULTS, TRACKS
from endoforge.inference.drawn_tracks import draw_tracks
from endoforge.inference.following import Followed, TrackSink
from endoforge.inference.growing import Growing
from endoforge.inference.material import InputPicture
from endoforge.inference.mot_files import MotFiles
from endoforge.inference.out import lock_out
from endoforge.inference.records import picture_record
from endoforge.inference.track_log import TrackLog
from endoforge.report.drawn_frames import draw_found

log = logging.getLogger(__name__)

NO_TRUTH = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


class Results:
    """Everything that `detect` writes to its folder; to be used by `with`.

    Files take their names at the end, with what was found so far if an error or Ctrl-C ends it; if
    nothing was looked at, those of an earlier time stay. What an earlier time drew, and this one
    didn't, goes. `sinks` are to be told of the tracks of each frame before it is added.
    """

    def __init__(
        self, out: Path, ids: CocoIds, classes: tuple[str, ...], draw: Draw, *, mot: bool
    ) -> None:
        """Begin in `out`; UserError if nothing can be written there, or another process does."""
        self.out, self.classes = out, classes
        self.tally = Tally()
        self.tracks = TrackLog(classes)
        self.pictures = self.with_found = self.found = self.cleared = self.cleared_mot = 0
        self._ids, self._draw = ids, draw
        self._files: list[Growing] = []
        self._lock = lock_out(out)
        try:
            self._drawing = Drawing(out, wanted=draw != "none")
            self._mot = MotFiles(out, wanted=mot)
            self.sinks: list[TrackSink] = [self.tracks, self._mot] if mot else [self.tracks]
            self._lines = self._growing(LINES)
            self._coco = self._growing(RESULTS, head="[", between=",\n", tail="]\n")
            head, tail = _images_head(ids), "\n]}\n"
            self._images = self._growing(IMAGES, head=head, between=",\n", tail=tail)
            head = f'{{"version": {json.dumps(__version__)}, "videos": [\n'
            self._tracks = self._growing(TRACKS, head=head, between=",\n", tail=tail)
        except BaseException:
            self._close()
            raise

    def _growing(self, name: str, **parts: str) -> Growing:
        file = Growing(self.out / name, **parts)
        self._files.append(file)
        return file

    def __enter__(self) -> "Results":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        spoilt = None
        try:
            self._drawing.end_video()
            self._tracks.add(*(json.dumps(one.as_json()) for one in self.tracks.sequences.values()))
            self._mot.write()
        except UserError as failed:
            spoilt = failed
        self._close()
        if kind is not None and self.pictures:
            log.warning(
                "ended early: %s holds %s so far", self.out, counted(self.pictures, "picture")
            )
        if spoilt is not None and error is None:
            raise spoilt
        if spoilt is not None:
            log.warning("%s", spoilt)

    def _close(self) -> None:
        """Give files their names if they hold something, and let others have the folder."""
        try:
            for file in self._files:
                file.keep() if self.pictures else file.discard()
            if self.pictures:
                self.cleared = self._drawing.clear()
                self.cleared_mot = self._mot.clear()
        finally:
            self._lock.release()

    def add(
        self, picture: InputPicture, every: Detections, threshold: float, followed: Followed | None
    ) -> None:
        """Write down `every` detection of a picture, and draw those of at least `threshold`.

        `followed` has the tracks of a frame of a video or run. Raises UserError if that fails; then
        nothing of the picture is written down.
        """
        found = every.above(threshold)
        shown = len(found) or picture.in_video or (followed and len(followed.tracked))
        if self._draw == "all" or (self._draw == "found" and shown):
            drawn = self._drawn(picture, found, followed)
            if picture.in_video is None:
                self._drawing.picture(picture.file, drawn)
            else:
                self._drawing.frame(picture.file, picture.in_video.seconds, drawn)
        record = picture_record(picture, found, followed, self.classes)
        self._write_down(picture, record, every)
        self.pictures += 1
        self.found += len(found)
        self.with_found += bool(len(found))

    def _drawn(
        self, picture: InputPicture, found: Detections, followed: Followed | None
    ) -> NDArray[np.uint8]:
        if followed is not None:
            return draw_tracks(picture.pixels, followed, found, self.classes)
        hits = np.ones(len(found), np.bool_)
        return draw_found(picture.pixels, NO_TRUTH, found, hits, self.classes)

    def _write_down(self, picture: InputPicture, record: dict[str, Any], every: Detections) -> None:
        # The disk may be full after the first of the files; what that has of it goes again, so that
        # all of them hold the same pictures.
        ends = [file.end for file in self._files]
        try:
            self._lines.add(json.dumps(record) + "\n")
            self._add_coco(picture, every)
        except BaseException:
            for file, end in zip(self._files, ends, strict=True):
                file.cut_back(end)
            raise

    def _add_coco(self, picture: InputPicture, every: Detections) -> None:
        image = self._ids.image(picture)
        if image is None:
            reason = "picture: no image of --annotations is surely it, so not in COCO results"
            self.tally.count(reason, picture.name)
            return
        height, width = picture.pixels.shape[:2]
        entry = {"id": image, "file_name": picture.name, "width": width, "height": height}
        self._images.add(json.dumps(entry))
        boxes = every.boxes.astype(np.float64) * [width, height, width, height]
        results = []
        for number, score, (x0, y0, x1, y1) in zip(
            every.classes, every.scores, boxes.tolist(), strict=True
        ):
            name = self.classes[number]
            if name not in self._ids.categories:
                reason = f"detection: {name} is no category of --annotations"
                self.tally.count(reason, picture.name)
                continue
            result = {
                "image_id": image,
                "category_id": self._ids.categories[name],
                "bbox": [round(v, 3) for v in (x0, y0, x1 - x0, y1 - y0)],
                "score": round(float(score), 6),
            }
            results.append(json.dumps(result))
        self._coco.add(*results)


def _images_head(ids: CocoIds) -> str:
    """Begin COCO's file of the images that results are of, up to the images."""
    dataset = {
        "info": {"description": "pictures that EndoForge has looked at"},
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in ids.categories.items()],
    }
    return json.dumps(dataset).removesuffix("}") + ', "images": [\n'
