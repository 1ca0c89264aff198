"""The tables of several pages of the docs are those of the command line."""

import importlib.util
import re
from pathlib import Path

import pytest

from endoforge.cli import run

DOCS = Path(__file__).parents[2] / "docs"
TOOLS = DOCS.with_name("tools")


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("flags", TOOLS / "make_flag_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["formats.md", "inference.md", "labelling.md", "hub.md"])
def test_the_tables_are_those_of_the_configurations(tables, name):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert tables.renewed(page) == page, "renew them with: make flags"


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("import", "formats.md"),
        ("convert", "formats.md"),
        ("detect", "inference.md"),
        ("select", "labelling.md"),
        ("push", "hub.md"),
        ("pull", "hub.md"),
    ],
)
def test_every_flag_of_the_parser_is_in_its_table_and_no_other(command, page, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        run([command, "--help"])
    of_parser = set(re.findall(r"^[│ ]+(--[a-z][a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    text = (DOCS / page).read_text(encoding="utf-8")
    section = text.partition(f"<!-- flags-of-{command} -->")[2].partition("<!-- end")[0]
    of_table = set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE))
    assert of_table
    assert of_parser - of_table == {"--log-level", "--debug"}
    assert of_table <= of_parser
