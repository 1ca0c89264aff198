"""The gallery: every sheet can be made, and the page shows exactly what the command writes."""

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from endoforge.sim.randomization import load_randomization, parse_randomization

DOCS = Path(__file__).parents[2] / "docs"
TOOLS = DOCS.with_name("tools")
TILE = (96, 54)


@pytest.fixture(scope="module")
def sheets() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("gallery.sheets")
        for name in [name for name in sys.modules if name.split(".")[0] == "gallery"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def studio(sheets: ModuleType) -> object:
    return sheets.Studio(TILE, tries=3)


def check(sheet: np.ndarray, columns: int, rows: int) -> None:
    """A picture with room for the tiles, dark at its margins and not in the middle."""
    height, width, channels = sheet.shape
    assert sheet.dtype == np.uint8
    assert channels == 3
    assert width > columns * TILE[0]
    assert height > rows * TILE[1]
    assert sheet[0].max() < 40
    assert sheet[:, 0].max() < 40
    assert sheet.std() > 15


def test_segments(sheets: ModuleType, studio: object) -> None:
    check(sheets.segment_sheet(studio), columns=3, rows=3)


def test_polyps(sheets: ModuleType, studio: object) -> None:
    check(sheets.polyp_sheet(studio, kinds=("Ip", "IIa"), sizes_mm=(8.0,)), columns=1, rows=2)


@pytest.mark.parametrize(
    "group", ["SURFACE", "ON_THE_WALL", "COLOURING", "OF_THE_LIGHT", "OF_THE_CAMERA"]
)
def test_nuisances(sheets: ModuleType, studio: object, group: str) -> None:
    name = [*getattr(sheets, group)][-1]
    check(sheets.nuisance_sheet(studio, (name,), strengths=(0.0, 1.0)), columns=2, rows=1)


def test_screens_and_recordings(studio: object) -> None:
    pictures = importlib.import_module("gallery.pictures")
    check(pictures.screen_sheet(studio, ("twin",)), columns=4, rows=1)
    check(pictures.recording_sheet(studio, ("soft",), (0.0, 1.0)), columns=2, rows=1)


@pytest.mark.usefixtures("sheets")
def test_every_part_of_screens_and_recordings_has_a_row() -> None:
    from dataclasses import fields

    from endoforge.sim.ranges.screen_ranges import RecordingRanges, ScreenRanges

    pictures = importlib.import_module("gallery.pictures")
    assert list(pictures.ON_SCREEN) == [field.name for field in fields(ScreenRanges)]
    assert list(pictures.BY_RECORDER) == [field.name for field in fields(RecordingRanges)]


@pytest.mark.usefixtures("sheets")
def test_rarities(studio: object) -> None:
    check(importlib.import_module("gallery.rarities").rarity_sheet(studio, 1), columns=1, rows=3)


def test_red_out(sheets: ModuleType, studio: object) -> None:
    check(sheets.red_out_sheet(studio, strengths=(1.0,)), columns=4, rows=1)


def test_truth(sheets: ModuleType, studio: object) -> None:
    check(sheets.truth_sheet(studio), columns=2, rows=2)


def test_random_frames_are_the_same_each_time(sheets: ModuleType, studio: object) -> None:
    one, again = (sheets.random_sheet(studio, count=2, columns=2) for _ in range(2))
    check(one, columns=2, rows=1)
    assert (one == again).all()


def test_every_nuisance_has_a_row(sheets: ModuleType) -> None:
    from endoforge.sim.nuisances import Nuisances

    shown = {*sheets.ON_THE_WALL, *sheets.COLOURING, *sheets.OF_THE_LIGHT, *sheets.OF_THE_CAMERA}
    others = {"red_out", *sheets.SURFACE}
    assert shown | others == {
        *Nuisances.__dataclass_fields__,
        *("jpeg", "contrast", "scattered", "capillaries", "mottling", "pits"),
    }


@pytest.mark.parametrize("name", ["capillaries", "mottling", "pits", "contrast", "scattered"])
def test_a_row_changes_what_it_names_and_nothing_else(sheets: ModuleType, name: str) -> None:
    from dataclasses import replace

    from endoforge.sim.scene import make_scene

    base = make_scene(1, sheets.plain_ranges())
    one, other = (sheets.with_strength(base, name, strength) for strength in (0.0, 0.8))
    part = "camera" if name == "contrast" else "look"
    assert getattr(getattr(other, part), name) == 0.8
    assert replace(getattr(one, part), **{name: 0.8}) == getattr(other, part)
    assert (one.polyps, one.nuisances) == (other.polyps, other.nuisances)
    assert one.camera == other.camera or part == "camera"
    assert one.look == other.look or part == "look"


def test_a_sheet_shows_one_part_on_the_plain_world(sheets: ModuleType) -> None:
    ranges, plain = sheets.plain_ranges(), load_randomization("plain")
    for part in ("anatomy", "polyp_surface", "lookalikes", "residue", "screen", "recording",
                 "motion", "instruments", "light", "lens"):  # fmt: skip
        assert getattr(ranges, part) == getattr(plain, part), part


def test_the_page_shows_exactly_the_pictures_that_the_command_writes(sheets: ModuleType) -> None:
    shown = re.findall(r"\(images/gallery/([\w-]+)\.jpg\)", (DOCS / "gallery.md").read_text())
    assert shown == list(sheets.SHEETS)
    there = sorted((DOCS / "images" / "gallery").iterdir())
    assert [path.name for path in there] == sorted(f"{name}.jpg" for name in shown)
    assert sum(path.stat().st_size for path in there) < 6_500_000


def test_the_ranges_in_the_documents_are_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "simulator.md").read_text(), re.DOTALL)
    path = tmp_path / "ranges.toml"
    path.write_text(example)
    ranges = load_randomization(path)
    assert ranges == parse_randomization(tomllib.loads(example))
    assert (ranges.polyps.count, ranges.camera.fov_deg) == ((4, 8), (140.0, 140.0))


def test_the_documents_name_every_nuisance() -> None:
    from endoforge.sim.nuisances import Nuisances

    text = (DOCS / "simulator.md").read_text()
    assert [name for name in Nuisances.__dataclass_fields__ if f"| `{name}` |" not in text] == []
