"""The notebooks run from top to bottom, with less to do, and are kept without outputs."""

import os
import re
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from .pages import ROOT

BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(book: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(book, as_version=4)
    return notebook


def test_every_notebook_is_listed() -> None:
    page = (ROOT / "notebooks/README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\S+\.ipynb)\)", page) == [book.name for book in BOOKS]
    assert len(BOOKS) == 4


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_is_kept_without_outputs_and_installs_first(book: Path) -> None:
    notebook = read(book)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code), "clear its outputs"
    assert {cell.execution_count for cell in code} == {None}, "clear its outputs"
    assert 'find_spec("endoforge") is None:\n    %pip install' in code[0].source


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_what_a_notebook_links_to_is_there(book: Path) -> None:
    text = "\n".join(cell.source for cell in read(book).cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (book.parent / link).is_file(), link


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_runs_from_top_to_bottom(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTEBOOK_SIZE", "small")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(book)
    here = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown), "it shows no picture"
