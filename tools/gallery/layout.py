"""Tiles and words to a sheet: dark, with even margins."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

BACKGROUND, BRIGHT, QUIET = (18, 20, 24), (232, 234, 238), (150, 156, 166)
SHEET_PX = 1440
"""Width of a whole sheet, of which margins, gaps and words are shares."""
MARGIN, GAP, TEXT, LABELS = 28 / 1440, 10 / 1440, 19 / 1440, 150 / 1440
QUALITY = 85


def grid(tiles: Sequence[Picture], captions: Sequence[str], columns: int) -> Picture:
    """Tiles of one size in rows; each with its caption below, if there is one."""
    height, width = tiles[0].shape[:2]
    sheet = _Sheet(columns * width, columns)
    below = sheet.text_px * 2 if any(captions) else 0
    rows = -(-len(tiles) // columns)
    sheet.open(rows * (height + below) + (rows - 1) * sheet.gap - below // 4)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(place, columns)
        x = sheet.margin + column * (width + sheet.gap)
        y = sheet.margin + row * (height + below + sheet.gap)
        sheet.paste(tile, x, y)
        sheet.write(caption, x + 1, y + height + below // 2)
    return sheet.picture()


def matrix(
    rows: Sequence[Sequence[Picture]], labels: Sequence[str], headings: Sequence[str]
) -> Picture:
    """Rows of tiles with a label each at the left (a second line is quiet), headings on top.

    Rows may have captions of their own in place of the headings: see `captioned`.
    """
    height, width = rows[0][0].shape[:2]
    columns = len(rows[0])
    sheet = _Sheet(columns * width, columns, labelled=True)
    top = sheet.margin + (sheet.text_px * 2 if any(headings) else 0)
    sheet.open(top - sheet.margin + len(rows) * (height + sheet.gap) - sheet.gap)
    left = sheet.margin + sheet.labels
    for column, heading in enumerate(headings):
        x = left + column * (width + sheet.gap) + width // 2
        sheet.write(heading, x, sheet.margin + sheet.text_px // 2, anchor="mm")
    for row, (tiles, label) in enumerate(zip(rows, labels, strict=True)):
        y = top + row * (height + sheet.gap)
        sheet.label(label, sheet.margin, y + height // 2)
        for column, tile in enumerate(tiles):
            sheet.paste(tile, left + column * (width + sheet.gap), y)
    return sheet.picture()


def captioned(tile: Picture, caption: str) -> Picture:
    """The tile with words on a dark strip in its lower left corner."""
    text_px = max(round(0.075 * tile.shape[0]), 5)
    image = Image.fromarray(tile)
    draw = ImageDraw.Draw(image, "RGBA")
    font, at = _font(text_px), (0.5 * text_px, tile.shape[0] - 0.55 * text_px)
    box = draw.textbbox(at, caption, font=font, anchor="ls")
    pad = 0.35 * text_px
    draw.rectangle((box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), (10, 12, 16, 190))
    draw.text(at, caption, BRIGHT, font, anchor="ls")
    return np.asarray(image)


def with_scale(tile: Picture, bar: Picture, marks: Sequence[tuple[float, str]]) -> Picture:
    """The tile with a colour bar at its right edge; marks are (0 bottom to 1 top, words)."""
    height, width = tile.shape[:2]
    text_px = max(round(0.05 * height), 5)
    bar_w, tall = max(width // 50, 2), round(0.8 * height)
    x, y = width - round(3.6 * text_px) - bar_w, round(0.1 * height)
    image = Image.fromarray(tile)
    draw = ImageDraw.Draw(image, "RGBA")
    pad = round(0.7 * text_px)
    draw.rectangle((x - pad, y - 2 * pad, width, y + tall + 2 * pad), (10, 12, 16, 190))
    image.paste(Image.fromarray(cv2.resize(bar, (bar_w, tall))), (x, y))
    for share, words in marks:
        at = (x + bar_w + 0.4 * text_px, y + (1 - share) * tall)
        draw.text(at, words, BRIGHT, _font(text_px), anchor="lm")
    return np.asarray(image)


def save(sheet: Picture, path: Path) -> None:
    """As JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path, quality=QUALITY, optimize=True, progressive=True)


class _Sheet:
    """A dark page as wide as its tiles, gaps and margins."""

    def __init__(self, tiles_px: int, columns: int, *, labelled: bool = False) -> None:
        scale = tiles_px / (1 - 2 * MARGIN - (columns - 1) * GAP - LABELS * labelled)
        self.margin, self.gap = round(MARGIN * scale), max(round(GAP * scale), 1)
        self.text_px = max(round(TEXT * scale), 5)
        self.labels = round(LABELS * scale) if labelled else 0
        self.width = tiles_px + self.labels + 2 * self.margin + (columns - 1) * self.gap

    def open(self, content_px: int) -> None:
        """A page with room for so much between the upper and the lower margin."""
        self.image = Image.new("RGB", (self.width, content_px + 2 * self.margin), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)

    def paste(self, tile: Picture, x: int, y: int) -> None:
        self.image.paste(Image.fromarray(tile), (x, y))

    def write(self, words: str, x: int, y: int, anchor: str = "lm") -> None:
        self.draw.text((x, y), words, BRIGHT, _font(self.text_px), anchor=anchor)

    def label(self, words: str, x: int, y: int) -> None:
        first, *rest = words.split("\n")
        step = 1.35 * self.text_px
        top = y - 0.5 * step * len(rest)
        self.draw.text((x, top), first, BRIGHT, _font(self.text_px, bold=True), anchor="lm")
        for number, line in enumerate(rest, start=1):
            font = _font(max(round(0.8 * self.text_px), 4))
            self.draw.text((x, top + number * step), line, QUIET, font, anchor="lm")

    def picture(self) -> Picture:
        return np.asarray(self.image)


@cache
def _font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size_px)
