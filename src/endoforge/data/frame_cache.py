"""Frames decoded once: the user's cache folder holds them, and what it lacks is decoded into it.

A cache that can't be used costs time, never an error.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from endoforge.captures.tally import Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.text import counted, size_in_words
from endoforge.data.blocks import Block, BlockFolder
from endoforge.data.decode_pictures import Identity, Outcome, Picture, decode_into, unnamed_array
from endoforge.data.images import Images

log = logging.getLogger(__name__)

SETTLED_S = 2.0
"""A file's time may stand still for so long while its content changes (FAT's clock is coarsest)."""

_Place = tuple[Block, int]
"""A block and a row of it."""


@dataclass(frozen=True)
class Decoded:
    """N frames: `images` (N, H, W, 3) and of each what became of it; black if it is Unusable."""

    images: Images
    outcomes: list[Outcome]


def load_decoded(
    root: Path,
    pictures: Sequence[Picture],
    size: tuple[int, int],
    resize_mode: ResizeMode,
    label: str,
) -> Decoded:
    """Pictures below `root`, resized to `size` (width, height); `label` names them in messages.

    Only those are decoded that the cache doesn't hold as they are now. Raises UserError if there is
    no room for them, neither in the cache nor in a temporary file.
    """
    folder = BlockFolder(root, size, resize_mode)
    identities = _identities(pictures)
    places = _find(folder.read(), identities)
    missing = _gaps(places)
    if missing:  # only then is anybody waited for: a start with all its frames takes no lock
        with folder.alone():
            blocks = folder.read_and_tidy()  # another process may have decoded them by now
            places = _find(blocks, identities)
            missing = _gaps(places)
            if missing:
                wanted = [(pictures[k], identities[k]) for k in missing]
                block = _decode(folder, wanted, size, resize_mode, label)
                for row, k in enumerate(missing):
                    places[k] = block, row
    folder.mark_used()
    _log(folder, len(pictures), len(missing), label)
    return _gather([place for place in places if place])


def _identities(pictures: Sequence[Picture]) -> list[Identity | None]:
    """What names each picture in the blocks; None for one that can't be told or changed just now.

    Such a one may change again within a tick of its file system's clock, with no trace of it.
    """
    settled_ns = time.time_ns() - SETTLED_S * 1e9
    identities: list[Identity | None] = []
    for identity in (picture.identity for picture in pictures):
        settled = identity is not None and max(identity[2:]) < settled_ns
        identities.append(identity if settled else None)
    return identities


def _find(blocks: Sequence[Block], identities: Sequence[Identity | None]) -> list[_Place | None]:
    known = {
        identity: (block, row)
        for block in blocks
        for row, identity in enumerate(block.identities)
        if identity
    }
    return [known.get(identity) if identity else None for identity in identities]


def _gaps(places: Sequence[_Place | None]) -> list[int]:
    return [k for k, place in enumerate(places) if place is None]


def _decode(
    folder: BlockFolder,
    wanted: Sequence[tuple[Picture, Identity | None]],
    size: tuple[int, int],
    resize_mode: ResizeMode,
    label: str,
) -> Block:
    """A new block of the folder; with a warning, one that isn't kept if it can't be."""
    pictures = [picture for picture, _ in wanted]
    try:
        path, pixels = folder.new_pixels(len(pictures))
    except OSError as error:
        _warn(folder, label, error)
        path, pixels = None, unnamed_array((len(pictures), size[1], size[0], 3))
    try:
        outcomes = decode_into(pixels, pictures, resize_mode, label)
        identities = [
            None if _may_heal(outcome) else identity
            for (_, identity), outcome in zip(wanted, outcomes, strict=True)
        ]
        block = Block(pixels, identities, outcomes)
        if path and any(identities):
            _keep(folder, path, block, label)
    finally:
        if path:
            folder.remove_unless_kept(path)
    return block


def _may_heal(outcome: Outcome) -> bool:
    """Whether the file couldn't be read, which says nothing of its content."""
    return isinstance(outcome, Unusable) and isinstance(outcome.__cause__, OSError)


def _keep(folder: BlockFolder, path: Path, block: Block, label: str) -> None:
    try:
        folder.add(path, block)
    except OSError as error:
        _warn(folder, label, error)


def _warn(folder: BlockFolder, label: str, error: OSError) -> None:
    log.warning(
        "%s frames can't be kept decoded in %s, so the next start decodes them again: make room "
        "there, or set XDG_CACHE_HOME to another folder (%s)",
        label,
        folder.path,
        error,
    )


def _log(folder: BlockFolder, num_frames: int, num_decoded: int, label: str) -> None:
    place = ""
    if num_bytes := folder.num_bytes():
        size = size_in_words(num_bytes)
        place = f"; decoded frames: {size} in {folder.path} (delete it any time)"
    log.info("decoded %d of %s%s", num_decoded, counted(num_frames, f"{label} frame"), place)


def _gather(places: Sequence[_Place]) -> Decoded:
    blocks = list(dict.fromkeys(block for block, _ in places))
    numbers = {block: number for number, block in enumerate(blocks)}
    images = Images(
        [block.pixels for block in blocks],
        [numbers[block] for block, _ in places],
        [row for _, row in places],
    )
    return Decoded(images, [block.outcomes[row] for block, row in places])
