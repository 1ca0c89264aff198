"""What people train segmentation on: YOLO's polygons, and folders of masks."""

import numpy as np

from endoforge.captures.pictures import encode_png
from endoforge.formats.instances import outline
from endoforge.formats.writing import ALL, Converted, Writer
from endoforge.formats.yolo import YoloWriter


class YoloSegWriter(YoloWriter):
    """As `YoloWriter`, with a line `class x y x y ...` a polyp, along its pixels' edges."""

    masks = "needed"

    def lines(self, frame: Converted) -> list[str]:
        assert frame.masks is not None
        return [
            f"{number} {' '.join(f'{v:.8f}' for v in (outline(mask) / frame.size).ravel())}\n"
            for number, mask in zip(frame.classes, frame.masks, strict=True)
        ]


class MaskWriter(Writer):
    """`images/<run>_<frame>.png` and `masks/<run>_<frame>.png`, 255 where a polyp is, else 0.

    Of a split, the folders are in `train` and `val`.
    """

    masks = "needed"

    def add(self, frame: Converted, side: str) -> None:
        assert frame.masks is not None
        folder = "" if side == ALL else f"{side}/"
        name = f"{frame.run}_{frame.stem}"
        width, height = frame.size
        shown = np.zeros((height, width), np.uint8)
        shown[frame.masks.any(axis=0)] = 255
        self.write_picture(f"{folder}images/{name}{frame.suffix}", frame)
        self.write(f"{folder}masks/{name}.png", encode_png(shown))

    def finish(self) -> list[str]:
        if len(self.class_names) == 1:
            return []
        return [f"masks tell no classes apart: 255 is any of {', '.join(self.class_names)}"]
