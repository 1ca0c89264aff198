"""A file goes to a process as a whole, with those that need the same compiled step."""

from pathlib import Path

import pytest

from tests.together import ALIKE, ByFile

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place():
    scheduler = object.__new__(ByFile)  # no session: where a test goes is asked of no other part
    return scheduler._split_scope


def test_files_that_compile_the_same_step_go_to_one_process(place):
    webgpu = ("backends/webgpu/test_backend", "backends/webgpu/test_parity", "train/test_webgpu")
    assert len({place(f"tests/{file}.py::test_a[{file}]") for file in webgpu}) == 1


def test_other_files_go_each_by_itself(place):
    places = [place(f"tests/train/{file}.py::test_a") for file in ("test_loop", "test_state")]
    assert len(set(places)) == 2
    assert place("tests/train/test_loop.py::test_b[x::y]") == places[0]
    assert place("tests/train/test_webgpu.py::test_a") not in places


@pytest.mark.parametrize("start", ALIKE)
def test_there_are_such_files(start):
    assert (ROOT / start).exists()
