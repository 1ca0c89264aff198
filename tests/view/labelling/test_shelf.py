"""How far labels are, told of files that change."""

import pytest

from endoforge.view.labelling.keeping import LabelKeeper
from endoforge.view.labelling.shelf import Shelf

from .runs import choose, drawn, edit, guess, write_run


def test_frames_are_counted_by_what_is_known_of_them(tmp_path):
    run = write_run(tmp_path, [[guess(1, 1, 9, 9)], None, [drawn(1, 1, 9, 9, polyp_id=7)], None])
    (run / "labels/frame_00003.json").write_text("{")
    [row] = Shelf(tmp_path).runs().runs
    assert row.counts == {"predicted": 1, "unlabelled": 1, "given": 1, "unreadable": 1}
    assert (row.frames, row.boxes, row.first) == (4, 2, 2)
    view = Shelf(tmp_path).run(run.name)
    assert [note.status for note in view.frames] == [
        "predicted",
        "unlabelled",
        "given",
        "unreadable",
    ]
    assert (view.classes, view.next_polyp_id, view.simulated) == (["polyp"], 8, False)


def test_what_is_saved_is_seen_at_once(tmp_path):
    run = write_run(tmp_path, [[guess(1, 1, 9, 9)], None])
    shelf, keeper = Shelf(tmp_path), LabelKeeper(tmp_path)
    assert shelf.reviewed({run.name}) == {run.name: set()}
    keeper.keep(run.name, 0, edit(), keeper.read(run.name, 0).digest)
    keeper.keep(run.name, 1, edit(drawn(1, 1, 9, 9)), None)
    assert shelf.reviewed({run.name}) == {run.name: {0, 1}}
    [row] = shelf.runs().runs
    assert (row.counts, row.boxes) == ({"reviewed": 2}, 1)


def test_classes_come_by_how_many_boxes_have_them(tmp_path):
    adenoma = drawn(1, 1, 9, 9).model_copy(update={"label": "adenoma"})
    run = write_run(tmp_path, [[drawn(1, 1, 9, 9), adenoma], [adenoma]])
    assert Shelf(tmp_path).run(run.name).classes == ["adenoma", "polyp"]


def test_odd_names_are_runs_too(tmp_path):
    run = write_run(tmp_path, [None])
    run.rename(tmp_path / "run_ward 3 é %2F #1")
    [row] = Shelf(tmp_path).runs().runs
    assert row.name == "run_ward 3 é %2F #1"


@pytest.mark.parametrize("text", ["[]", "{", '{"frames": 3}'])
def test_a_file_that_is_no_choice_of_frames_chooses_none_and_is_told_of(tmp_path, text):
    write_run(tmp_path, [None])
    (tmp_path / "selected.json").write_text(text)
    shelf = Shelf(tmp_path).runs()
    assert shelf.runs[0].chosen == 0
    assert "selected.json: is no JSON file of select's" in (shelf.problem or "")


def test_a_choice_of_other_runs_is_told_of(tmp_path):
    write_run(tmp_path, [None])
    assert Shelf(tmp_path).runs().problem is None
    choose(tmp_path / "selected.json", ("run_other", 0))
    expected = "selected.json names frames of run_other, and none of a run here"
    assert Shelf(tmp_path).runs().problem == expected


def test_frames_that_were_chosen_are_marked(tmp_path):
    run = write_run(tmp_path, [None, None, None])
    choose(tmp_path / "selected.json", (run.name, 2), ("run_other", 0))
    shelf = Shelf(tmp_path)
    assert [note.chosen for note in shelf.run(run.name).frames] == [False, False, True]
    LabelKeeper(tmp_path).keep(run.name, 2, edit(), None)
    [row] = shelf.runs().runs
    assert (row.chosen, row.chosen_left) == (1, 0)
