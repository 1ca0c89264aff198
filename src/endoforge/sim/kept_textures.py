"""The textures that all scenes share: made once on a machine, and kept for the next process."""

import hashlib
import logging
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import make_folder
from endoforge.core.reading import read_regular
from endoforge.sim.engine import fingerprint
from endoforge.sim.surfaces import KINDS, LAYER_TEXELS, surface_textures
from endoforge.sim.texture import bubble_texture, detail_texture

log = logging.getLogger(__name__)

_SEAL_BYTES = hashlib.sha256().digest_size
_FILE_BYTES = _SEAL_BYTES + (2 + len(KINDS)) * LAYER_TEXELS * np.dtype(np.int32).itemsize


class Textures(NamedTuple):
    """What `detail_texture`, `bubble_texture` and `surface_textures` make, (T,) int32 each."""

    detail: NDArray[np.int32]
    bubbles: NDArray[np.int32]
    fine: NDArray[np.int32]


@cache
def kept_textures() -> Textures:
    """Read them from the user's cache folder; if they aren't there, make them and keep them.

    Making them takes a second or two, longer than a scene.
    """
    path = user_cache_path("endoforge", appauthor=False) / "textures"
    texels = _read(path)
    if texels is None:
        texels = np.concatenate([detail_texture(), bubble_texture(), surface_textures()])
        _keep(path, texels)
    return Textures(*np.split(texels, [LAYER_TEXELS, 2 * LAYER_TEXELS]))


def _read(path: Path) -> NDArray[np.int32] | None:
    """The texels of a file that is whole and of these sources."""
    try:
        data = read_regular(path, _FILE_BYTES)
    except OSError:
        return None
    seal, texels = data[:_SEAL_BYTES], bytearray(data[_SEAL_BYTES:])
    return np.frombuffer(texels, np.int32) if seal == _seal(texels) else None


def _keep(path: Path, texels: NDArray[np.int32]) -> None:
    data = texels.tobytes()
    try:
        make_folder(path.parent)
        write_atomic(path, _seal(data) + data)
    except (OSError, UserError) as error:
        log.debug("the next process makes the textures again: %s", error)


def _seal(texels: bytes | bytearray) -> bytes:
    """A digest of all that the texels follow from, and of themselves."""
    sources = fingerprint(Path(__file__).parent)
    made_by = f"{sources} numpy {np.__version__} opencv {cv2.__version__}"
    return hashlib.sha256(made_by.encode() + texels).digest()
