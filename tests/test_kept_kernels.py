"""Kernels for the tests are compiled once for the sources as they are; others go."""

from pathlib import Path

import pytest

from endoforge.sim import engine
from tests import kept_kernels
from tests.kept_kernels import KEPT_BY_PYTEST, PLACE, bring_kernels, keep_kernels


@pytest.fixture
def compiled(monkeypatch):
    """The folders that were compiled into, each of a file."""
    folders: list[Path] = []

    def compile_(folder):
        (folder / PLACE).mkdir(parents=True)
        (folder / PLACE / "a.qdc").write_text(str(len(folders)))
        folders.append(folder)

    monkeypatch.setattr(kept_kernels, "_compile", compile_)
    return folders


def test_they_are_compiled_once_and_copied_for_each_session(compiled, tmp_path):
    for session in ("one", "two"):
        bring_kernels(tmp_path / "kept", tmp_path / session, compiles=True)
        assert (tmp_path / session / PLACE / "a.qdc").read_text() == "0"
    assert len(compiled) == 1


def test_those_that_were_compiled_before_all_tests_are_taken(compiled, tmp_path, pytestconfig):
    kept = tmp_path / "kept"
    for _twice in range(2):
        keep_kernels(kept)
    bring_kernels(kept, tmp_path / "one", compiles=True)
    assert (tmp_path / "one" / PLACE / "a.qdc").exists()
    assert len(compiled) == 1
    assert pytestconfig.cache.mkdir("kernels") == KEPT_BY_PYTEST, "where `make kernels` puts them"


def test_who_tests_alone_takes_what_is_there_and_compiles_nothing(compiled, tmp_path):
    kept = tmp_path / "kept"
    bring_kernels(kept, tmp_path / "one", compiles=False)
    assert (compiled, (tmp_path / "one").exists()) == ([], False)
    bring_kernels(kept, tmp_path / "two", compiles=True)
    bring_kernels(kept, tmp_path / "three", compiles=False)
    assert (tmp_path / "three" / PLACE / "a.qdc").exists()


def test_those_of_other_sources_are_neither_taken_nor_kept(compiled, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    bring_kernels(kept, tmp_path / "one", compiles=True)
    monkeypatch.setattr(engine, "fingerprint", lambda _folder: "others")
    bring_kernels(kept, tmp_path / "two", compiles=True)
    assert (tmp_path / "two" / PLACE / "a.qdc").read_text() == "1"
    assert len(compiled) == len(list(kept.glob("*-*"))) + 1 == 2


def test_what_could_not_be_compiled_is_not_taken_later(tmp_path, monkeypatch):
    def fail(folder):
        (folder / PLACE).mkdir(parents=True)
        raise AssertionError("no compiler")

    monkeypatch.setattr(kept_kernels, "_compile", fail)
    with pytest.raises(AssertionError, match="no compiler"):
        bring_kernels(tmp_path / "kept", tmp_path / "one", compiles=True)
    bring_kernels(tmp_path / "kept", tmp_path / "two", compiles=False)
    assert not (tmp_path / "two").exists()
