"""docs/sim-view.md says what the command line and the keys are."""

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

from endoforge.view.commands import COMMANDS, KEYS
from endoforge.view.config import SimViewConfig

DOCS = Path(__file__).parents[2] / "docs"
TOOLS = DOCS.with_name("tools")
PAGE = (DOCS / "sim-view.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_configuration():
    spec = importlib.util.spec_from_file_location("flags", TOOLS / "make_flag_tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.renewed(PAGE) == PAGE, "renew it with: make flags"
    flags = {f"--{field.name.replace('_', '-')}" for field in fields(SimViewConfig)}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", PAGE, re.MULTILINE)) == flags


def test_every_key_of_a_command_is_in_the_page_and_has_a_command():
    for key in KEYS:
        assert key["command"] in COMMANDS
        for letter in key["key"].split():
            assert f"`{letter}`" in PAGE
