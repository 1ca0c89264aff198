"""The gallery's sheet of instruments can be made."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from endoforge.sim.ranges.instruments_ranges import InstrumentRanges

TOOLS = Path(__file__).parents[2] / "tools"
TILE = (96, 54)


@pytest.fixture(scope="module")
def instruments() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("gallery.instruments")
        for name in [name for name in sys.modules if name.split(".")[0] == "gallery"]:
            del sys.modules[name]


@pytest.mark.parametrize("name", ["forceps", "clips"])
def test_a_row_of_a_tool_and_of_what_stays_on_the_wall(instruments: ModuleType, name: str) -> None:
    picture = instruments.instrument_sheet(instruments.Studio(TILE, tries=3), (name,), columns=2)
    assert picture.dtype == np.uint8
    height, width, _ = picture.shape
    assert width > 2 * TILE[0]
    assert height > TILE[1]
    assert picture.std() > 15


def test_each_row_is_a_range(instruments: ModuleType) -> None:
    assert list(instruments.ABOUT) == [field.name for field in fields(InstrumentRanges)]
