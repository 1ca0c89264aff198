"""docs/training.md says what the command line says."""

import importlib.util
import re
from pathlib import Path

import pytest

from endoforge.cli import run

DOCS = Path(__file__).parents[2] / "docs"
TOOLS = DOCS.with_name("tools")
PAGE = (DOCS / "training.md").read_text(encoding="utf-8")


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("flags", TOOLS / "make_flag_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_configurations(tables):
    assert tables.renewed(PAGE) == PAGE, "renew them with: make flags"


@pytest.mark.parametrize(("command", "name"), [("train", "train"), ("eval", "eval")])
def test_every_flag_of_the_parser_is_in_its_table_and_no_other(command, name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        run([command, "--help"])
    of_parser = set(re.findall(r"^[│ ]+(--[a-z][a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    section = PAGE.partition(f"<!-- flags-of-{name} -->")[2].partition("<!-- end")[0]
    of_table = set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE))
    assert len(of_table) > 8
    assert of_parser - of_table == {"--log-level", "--debug"}
    assert of_table <= of_parser


def test_train_hp_has_the_flags_of_train(tables):
    assert tables.explanations(tables.TrainConfig).keys() >= (
        tables.explanations(tables.TrainHpConfig).keys()
    )
