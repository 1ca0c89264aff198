"""Marks say which command made a folder."""

from pathlib import Path

import pytest

from endoforge.core.marks import MARK_NAME, facts_of, leave_mark, mark_of


def test_a_mark_is_known_again(tmp_path: Path) -> None:
    assert mark_of(tmp_path) is None
    leave_mark(tmp_path, "detect")
    leave_mark(tmp_path, "detect")
    assert mark_of(tmp_path) == "detect"
    assert [path.name for path in tmp_path.iterdir()] == [MARK_NAME]


@pytest.mark.parametrize("content", ["", "[1]", "null", '{"made_by": "others detect"}', "[" * 9000])
def test_what_is_no_mark_of_ours_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / MARK_NAME).write_text(content)
    assert mark_of(tmp_path) is None


def test_a_linked_mark_is_none(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    leave_mark(tmp_path / "made", "detect")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / MARK_NAME).symlink_to(tmp_path / "made" / MARK_NAME)
    assert mark_of(tmp_path / "other") is None


def test_facts_are_kept_with_the_mark(tmp_path: Path) -> None:
    assert facts_of(tmp_path) == {}
    leave_mark(tmp_path, "prune-empty", {"runs": {"run_1": "captures"}})
    assert mark_of(tmp_path) == "prune-empty"
    assert facts_of(tmp_path) == {"runs": {"run_1": "captures"}}
    leave_mark(tmp_path, "prune-empty", {"runs": {}})
    assert facts_of(tmp_path) == {"runs": {}}
