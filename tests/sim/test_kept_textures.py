"""Textures on disk: those of these sources are taken, whole; others are made anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from endoforge.sim import kept_textures as module
from endoforge.sim.kept_textures import Textures
from endoforge.sim.surfaces import KINDS, LAYER_TEXELS, surface_textures
from endoforge.sim.texture import bubble_texture, detail_texture


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which textures were made, instead of which there are numbers."""
    names: list[str] = []

    def stand_in(name: str, first: int, layers: int) -> None:
        def make() -> np.ndarray:
            names.append(name)
            return np.arange(first, first + layers * LAYER_TEXELS, dtype=np.int32)

        monkeypatch.setattr(module, name, make)

    stand_in("detail_texture", 1, 1)
    stand_in("bubble_texture", 2, 1)
    stand_in("surface_textures", 3, len(KINDS))
    return names


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "endoforge" / "textures"


def next_process() -> Textures:
    """What another process has, which knows nothing of this one but the disk."""
    textures: Textures = module.kept_textures.__wrapped__()
    return textures


def check(textures: Textures) -> None:
    assert [texture[0] for texture in textures] == [1, 2, 3]
    assert [len(texture) // LAYER_TEXELS for texture in textures] == [1, 1, len(KINDS)]
    assert textures.fine[-1] == 2 + len(KINDS) * LAYER_TEXELS


def test_the_renderers_are_those_that_are_made() -> None:
    detail, bubbles, fine = module.kept_textures()
    assert (detail == detail_texture()).all()
    assert (bubbles == bubble_texture()).all()
    assert (fine == surface_textures()).all()


@pytest.mark.usefixtures("file")
def test_the_second_process_makes_none(made: list[str]) -> None:
    check(next_process())
    assert len(made) == 3
    check(next_process())
    assert len(made) == 3


def cut(file: Path, _patch: pytest.MonkeyPatch) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lengthen(file: Path, _patch: pytest.MonkeyPatch) -> None:
    file.write_bytes(file.read_bytes() + b"more")


def spoil(file: Path, _patch: pytest.MonkeyPatch) -> None:
    file.write_bytes(file.read_bytes()[:-4] + b"more")


def edit_sources(_file: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "fingerprint", lambda _folder: "others")


def update_opencv(_file: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("cv2.__version__", "5.0")


@pytest.mark.parametrize("change", [cut, lengthen, spoil, edit_sources, update_opencv])
def test_others_are_made_anew_and_kept(
    made: list[str],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    next_process()
    change(file, monkeypatch)
    check(next_process())
    assert len(made) == 6
    check(next_process())
    assert len(made) == 6


def test_where_nothing_can_be_kept_they_are_made_each_time(made: list[str], file: Path) -> None:
    file.parent.parent.write_text("a file where the folder should be")
    for _ in range(2):
        check(next_process())
    assert len(made) == 6
