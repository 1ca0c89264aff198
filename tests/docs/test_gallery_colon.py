"""The gallery's sheets of the colon can be made."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.plain_ranges import PLAIN

TOOLS = Path(__file__).parents[2] / "tools"
TILE = (96, 54)


@pytest.fixture(scope="module")
def colon() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("gallery.colon")
        for name in [name for name in sys.modules if name.split(".")[0] == "gallery"]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("sheet", "name"),
    [("fold_sheet", "collapse"), ("lookalike_sheet", "knobs"), ("residue_sheet", "clarity")],
)
def test_a_row_of_each_sheet(colon: ModuleType, sheet: str, name: str) -> None:
    studio = colon.Studio(TILE, tries=3)
    picture = getattr(colon, sheet)(studio, (name,), (0.0, 1.0))
    assert picture.dtype == np.uint8
    height, width, _ = picture.shape
    assert width > 2 * TILE[0]
    assert height > TILE[1]
    assert picture.std() > 15


def test_each_row_is_a_range(colon: ModuleType) -> None:

    ranges = PLAIN
    for part, names in (
        (ranges.anatomy, colon.FOLDS),
        (ranges.lookalikes, colon.LOOKALIKES),
        (ranges.residue, colon.RESIDUE),
    ):
        assert all(hasattr(part, name) for name in names)
    assert set(colon.LOOKALIKES) == set(ranges.lookalikes.__dataclass_fields__)
    assert set(colon.RESIDUE) == set(ranges.residue.__dataclass_fields__)
