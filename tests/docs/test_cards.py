"""The committed cards are what the tool makes today."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from .pages import ROOT


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.undo()  # the package's own weights are there, as for users
    spec = importlib.util.spec_from_file_location("make_cards", ROOT / "tools" / "make_cards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cards_are_up_to_date(cards: ModuleType) -> None:
    folder = ROOT / "docs" / "cards"
    assert {path.name for path in folder.iterdir()} == set(cards.CARDS)
    for name, written in cards.CARDS.items():
        there = (folder / name).read_text(encoding="utf-8")
        assert written() == there, "renew them with: make cards"


def test_links_of_the_cards_lead_somewhere(cards: ModuleType) -> None:
    for name in cards.CARDS:
        page: Path = ROOT / "docs" / "cards" / name
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), link
