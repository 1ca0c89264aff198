"""docs/sim-view.md says what the command line and the keys are."""

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import endoforge
from endoforge.view.config import SimViewConfig
from endoforge.view.from_viewers import Switchable

DOCS = Path(__file__).parents[2] / "docs"
TOOLS = DOCS.with_name("tools")
PAGE = (DOCS / "sim-view.md").read_text(encoding="utf-8")
SCRIPTS = Path(endoforge.__file__).parent / "view/static/js"
KEYS = (SCRIPTS / "keys.js").read_text(encoding="utf-8")
HOTKEYS = (SCRIPTS / "labelling/hotkeys.js").read_text(encoding="utf-8")
ACTIONS = (SCRIPTS / "actions.js").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_configuration():
    spec = importlib.util.spec_from_file_location("flags", TOOLS / "make_flag_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.renewed(PAGE) == PAGE, "renew it with: make flags"
    flags = {f"--{field.name.replace('_', '-')}" for field in fields(SimViewConfig)}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", PAGE, re.MULTILINE)) == flags


def part(script: str, name: str) -> str:
    """The list of that name in a script."""
    start = script.index(f"const {name} = [")
    return script[start : script.index("\n];", start)]


def keys_of_the_page() -> tuple[dict[frozenset[str], list[str]], set[frozenset[str]]]:
    """Keys that stand together in keys.js, as the help shows them: with the names of their
    actions, and those that steer."""
    pressed = {}
    for actions in re.findall(r"\[\{ (.*?) \}, \"", part(KEYS, "GROUPS")):
        pairs = re.findall(r'"?([^\s",]|,(?="))"?: "([\w-]+)"', actions)
        pressed[frozenset(key.upper() for key, _ in pairs)] = [action for _, action in pairs]
    lists = re.findall(r"\[\[(\".*?)\], \"", part(KEYS, "STEERING"))
    return pressed, {frozenset(re.findall(r'"([^"]+)"', keys)) for keys in lists}


def rows_of_the_document() -> list[frozenset[str]]:
    """The keys of each row of the table; arrows as the page writes them."""
    table = PAGE[PAGE.index("| key |") :].split("\n\n")[0].splitlines()[2:]
    words = {"arrows": "←→↑↓", "mouse drag": ["drag"], "space": ["Space"], "shift": ["Shift"]}
    rows = []
    for row in table:
        cell = row.split(" | ")[0].removeprefix("| ")
        named = [key for word, keys in words.items() if word in cell for key in keys]
        rows.append(frozenset(named or re.findall(r"`([^`]+)`", cell)))
    return rows


def test_the_table_of_keys_is_that_of_the_page():
    """A row of the document is one of the page's, but that W and S, A and D, which do two things,
    stand once, and that all that looks around stands together."""
    pressed, steering = keys_of_the_page()
    assert len(pressed) == 21
    rows = rows_of_the_document()
    assert len(set(rows)) == len(rows)
    assert [row for row in rows if row in pressed] == rows[: len(pressed)]
    assert set(rows[: len(pressed)]) == set(pressed)
    assert frozenset().union(*rows[len(pressed) :]) == frozenset().union(*steering)
    assert len(steering) == 7


def test_the_keys_of_labels_are_those_of_the_page():
    listed = part(HOTKEYS, "LABEL_GROUPS")
    pressed = [
        re.findall(r'(?:"([^"]+)"|(\w+)): "', actions)
        for actions in re.findall(r"\[\{ (.*?) \}, \"", listed)
    ]
    by_hand = re.findall(r"\[\[(\".*?)\], \"", part(HOTKEYS, "LABEL_HANDS"))
    page = [{quoted or bare for quoted, bare in keys} for keys in pressed]
    page += [set(re.findall(r'"([^"]+)"', keys)) for keys in by_hand]
    table = PAGE[PAGE.index("| key of the label tab |") :].split("\n\n")[0].splitlines()[2:]
    cells = [row.split(" | ")[0].removeprefix("| ") for row in table]
    assert [set(re.findall(r"`([^`]+)`", cell)) or {cell} for cell in cells] == page
    assert len(page) == 13


def test_every_key_has_an_action_and_every_command_a_key():
    pressed, _ = keys_of_the_page()
    named = [action for actions in pressed.values() for action in actions]
    known = re.findall(r'^    "?([\w-]+)"?: ', ACTIONS, re.MULTILINE)
    assert set(named) <= set(known)
    assert set(get_args(Switchable)) - set(named) == {"reset_score"}, "which has a button alone"
