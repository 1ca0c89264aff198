"""A file goes to a process as a whole, with those that need the same."""

from pathlib import Path

import pytest

from tests.together import TOGETHER, ByFile

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place():
    scheduler = object.__new__(ByFile)  # no session: where a test goes is asked of no other part
    return scheduler._split_scope


def test_files_that_need_the_same_go_to_one_process(place):
    webgpu = ("backends/webgpu/test_backend", "backends/webgpu/test_parity", "train/test_webgpu")
    export = ("export/test_export", "export/browser/test_page_in_chromium", "docs/test_inference")
    groups = [
        {place(f"tests/{file}.py::test_a[{file}]") for file in one} for one in (webgpu, export)
    ]
    assert [len(group) for group in groups] == [1, 1]
    assert groups[0] != groups[1]


def test_other_files_go_each_by_itself(place):
    places = [place(f"tests/train/{file}.py::test_a") for file in ("test_loop", "test_state")]
    assert len(set(places)) == 2
    assert place("tests/train/test_loop.py::test_b[x::y]") == places[0]
    assert place("tests/train/test_webgpu.py::test_a") not in places


@pytest.mark.parametrize("start", [start for starts in TOGETHER for start in starts])
def test_there_are_such_files(start):
    assert (ROOT / start).exists()
