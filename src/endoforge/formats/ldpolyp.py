"""LDPolypVideo's texts: a file a frame, first how many boxes, then `x0 y0 x1 y1` a line."""

import math
from pathlib import Path

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import Corners
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import decode_text
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import (
    NamedBox,
    Pictures,
    Source,
    count_orphans,
    folder_of,
    label_files,
    labelled_frames,
    subfolders,
)

FOLDER = "Annotations"


def read_ldpolyp(config: ImportConfig, tally: Tally) -> Source:
    """Every frame with its text, from `--annotations`, from Annotations beside, or from its folder.

    All boxes are of `config.class_name`. Raises UserError where no text is found.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    folder = next(iter(subfolders(pictures.folder.absolute().parent, FOLDER)), pictures.folder)
    if config.annotations is not None:
        folder = folder_of("--annotations", config.annotations)
    labels = label_files(pictures, folder, [".txt"], FOLDER)
    count_orphans(pictures, tally)

    def read(path: Path) -> tuple[None, tuple[NamedBox, ...]]:
        return None, tuple(NamedBox(config.class_name, corners) for corners in _read(path))

    frames = labelled_frames(config, pictures, labels, tally, read)
    return Source(frames, (config.class_name,))


def _read(path: Path) -> list[Corners]:
    """Raises Unusable for a text whose boxes aren't as many as it says, or one that is no box."""
    try:
        text = decode_text(read_regular(path, MOST_LABEL_BYTES))
    except OSError as error:
        raise Unusable("label unreadable", str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise Unusable("label isn't text", error.reason) from error
    count, *lines = [line.split() for line in text.splitlines() if line.strip()] or [[]]
    if [str(len(lines))] != count:
        said = " ".join(count)[:20]
        raise Unusable("its label doesn't say first how many boxes follow", f"{said!r}")
    return [_corners(cells, number) for number, cells in enumerate(lines, 1)]


def _corners(cells: list[str], number: int) -> Corners:
    try:
        x0, y0, x1, y1 = map(float, cells)
    except ValueError as error:
        raise Unusable("a box that isn't four numbers", f"box {number}") from error
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise Unusable("a box with NaN or infinite corners", f"box {number}")
    refuse_shares((x0, y0, x1, y1))
    return x0, y0, x1, y1
