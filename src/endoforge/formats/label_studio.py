"""Capture runs as tasks of Label Studio: truth as annotations, a detector's word as predictions."""

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from pydantic import ValidationError

from endoforge.captures.run_frames import read_manifest
from endoforge.core.text import printable
from endoforge.formats.runs import DETECTOR_KEY
from endoforge.formats.writing import ALL, Converted, Writer

CONFIG_NAME = "label_config.xml"
IMAGE, CHOICE = "image", "label"
"""The names of the configuration's two tags, which each region of a task refers to."""


class LabelStudioWriter(Writer):
    """`images/<run>/<frame>`, label_config.xml, and tasks.json, or train.json and val.json.

    A task is a frame. What people or a simulator say of it is its annotation; one that is a
    detector's word, as a whole or in part, has a prediction, with the scores of its boxes and, as
    its own, the lowest of these. Pictures are named as those of Label Studio's local storage of the
    folder `out`.

    https://labelstud.io/guide/predictions, https://labelstud.io/guide/storage#Local-storage
    """

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._tasks: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        self._version_of = cache(_version_of)

    def add(self, frame: Converted, side: str) -> None:
        name = f"images/{frame.name}{frame.suffix}"
        self.write_picture(name, frame)
        record = frame.record
        regions = [self._region(frame, place) for place in range(len(frame.classes))]
        said: dict[str, Any] = {"result": regions}
        if record.awaits_review:
            said["model_version"] = self._version_of(record.run_path)
            said["score"] = min((region.get("score", 1.0) for region in regions), default=0.0)
        task = {
            "data": {
                IMAGE: f"/data/local-files/?d={quote(name)}",
                "run": frame.run,
                "frame_id": record.frame_id,
                "seconds": record.seconds,
            },
            "predictions" if record.awaits_review else "annotations": [said],
        }
        self._tasks[side].append(task)

    def _region(self, frame: Converted, place: int) -> dict[str, Any]:
        """A box: its edges in percent of the picture, as Label Studio has them."""
        width, height = frame.size
        x0, y0, x1, y1 = (100 * frame.boxes_px[place] / ([width, height] * 2)).tolist()
        score = frame.record.scores[place]
        return {
            "id": f"{frame.stem}-{place + 1}",
            "type": "rectanglelabels",
            "from_name": CHOICE,
            "to_name": IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": round(x0, 6),
                "y": round(y0, 6),
                "width": round(x1 - x0, 6),
                "height": round(y1 - y0, 6),
                "rotation": 0,
                "rectanglelabels": [printable(self.class_names[frame.classes[place]])],
            },
            **({} if score is None or not frame.record.unreviewed[place] else {"score": score}),
        }

    def finish(self) -> list[str]:
        for side, tasks in self._tasks.items():
            name = "tasks.json" if side == ALL else f"{side}.json"
            self.write(name, (json.dumps(tasks, indent=1) + "\n").encode())
        view = ElementTree.Element("View")
        ElementTree.SubElement(view, "Image", {"name": IMAGE, "value": f"${IMAGE}"})
        choice = ElementTree.SubElement(view, "RectangleLabels", {"name": CHOICE, "toName": IMAGE})
        for class_name in self.class_names:
            ElementTree.SubElement(choice, "Label", {"value": printable(class_name)})
        ElementTree.indent(view)
        self.write(CONFIG_NAME, ElementTree.tostring(view, encoding="utf-8") + b"\n")
        return [f"{CONFIG_NAME} is the labelling interface of the project that takes the tasks"]


def _version_of(run: Path) -> str:
    """Whose word the predictions of a run are, as its manifest tells."""
    try:
        manifest = read_manifest(run)
    except (OSError, ValidationError):
        manifest = None
    detector = ((manifest and manifest.endoforge) or {}).get(DETECTOR_KEY)
    if not isinstance(detector, dict):
        return "predicted"
    digest = str(detector.get("sha256") or "")[:8]
    return printable(f"{detector.get('name')} {digest}".strip())
