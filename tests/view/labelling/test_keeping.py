"""Labels are written whole, as the contract has them, and never over another's."""

import json
import math
import threading

import pytest

from endoforge.captures.index import index_root
from endoforge.captures.run_frames import AWAITS_REVIEW
from endoforge.core.errors import UserError
from endoforge.core.folders import FolderLock
from endoforge.view.labelling import keeping
from endoforge.view.labelling.keeping import LabelConflict, LabelKeeper, RunBusy
from endoforge.view.labelling.label_messages import FrameView
from endoforge.view.run_files import NotThere

from .runs import boxes_of, drawn, edit, guess, label_of, write_run


def test_what_was_predicted_and_confirmed_is_truth_with_its_score(tmp_path):
    run = write_run(tmp_path, [[guess(10, 12, 40, 44)]], source="predicted", reviewed=False)
    assert index_root(tmp_path).dropped[f"frame: {AWAITS_REVIEW}"] == 1
    keeper = LabelKeeper(tmp_path)
    seen = keeper.read(run.name, 0)
    assert (seen.status, seen.polyp_labels[0].score) == ("predicted", 0.6)
    kept = keeper.keep(run.name, 0, edit(*seen.polyp_labels), seen.digest)
    assert (kept.status, kept.reviewed) == ("reviewed", True)
    label = label_of(run, 0)
    [polyp] = label["polyp_labels"]
    assert (label["source"], label["reviewed"]) == ("predicted", True)
    assert (polyp["source"], polyp["score"], polyp["reviewed"]) == ("predicted", 0.6, True)
    [frame] = index_root(tmp_path).frames
    assert frame.boxes[0] == pytest.approx([10 / 96, 12 / 64, 40 / 96, 44 / 64])


def test_a_box_that_was_moved_is_a_persons(tmp_path):
    run = write_run(tmp_path, [[guess(10, 12, 40, 44)]], source="predicted")
    keeper = LabelKeeper(tmp_path)
    seen = keeper.read(run.name, 0)
    keeper.keep(run.name, 0, edit(drawn(-3, 10, 48, 70)), seen.digest)
    [polyp] = label_of(run, 0)["polyp_labels"]
    assert polyp["bbox_px"] == [0, 10, 48, 64], "cut to the picture"
    assert polyp["bbox_norm"] == [0, 10 / 64, 0.5, 1]
    assert (polyp["source"], polyp["reviewed"]) == ("annotated", True)
    assert "score" not in polyp


def test_a_frame_that_was_looked_at_in_part_is_no_truth(tmp_path):
    run = write_run(tmp_path, [None])
    keeper = LabelKeeper(tmp_path)
    kept = keeper.keep(run.name, 0, edit(drawn(1, 1, 9, 9), reviewed=False), None)
    assert kept.status == "predicted"
    assert not index_root(tmp_path).frames


def test_a_frame_of_a_video_gets_a_label_with_its_time(tmp_path):
    run = write_run(tmp_path, [None, None, None])
    kept = LabelKeeper(tmp_path).keep(run.name, 2, edit(), None)
    assert (kept.status, kept.polyp_labels) == ("reviewed", [])
    label = label_of(run, 2)
    assert (label["sim_time"], label["image"]) == (pytest.approx(0.4), "images/frame_00002.png")
    assert (label["source"], label["reviewed"]) == ("annotated", True)
    [frame] = index_root(tmp_path).frames
    assert len(frame.boxes) == 0, "no polyp, as a person says"


def test_what_others_have_written_there_stays(tmp_path):
    run = write_run(tmp_path, [[guess(10, 12, 40, 44)]], source="predicted")
    path = run / "labels/frame_00000.json"
    fields = label_of(run, 0) | {"ward": 3}
    fields["polyp_labels"][0] |= {"surgeon": "x", "paris": "Is", "center_world": [None, 1, 2]}
    path.write_text(json.dumps(fields))
    keeper = LabelKeeper(tmp_path)
    seen = keeper.read(run.name, 0)
    moved = seen.polyp_labels[0].model_copy(update={"bbox_px": (1.0, 2.0, 30.0, 40.0)})
    keeper.keep(run.name, 0, edit(moved), seen.digest)
    label = label_of(run, 0)
    assert label["ward"] == 3
    [polyp] = label["polyp_labels"]
    assert (polyp["surgeon"], polyp["paris"]) == ("x", "Is")
    assert polyp["center_world"] == [None, 1, 2], "null stands for NaN"


def test_of_two_people_the_second_is_told_and_nothing_is_lost(tmp_path):
    run = write_run(tmp_path, [[guess(10, 12, 40, 44)]], source="predicted")
    keeper = LabelKeeper(tmp_path)
    begun = keeper.read(run.name, 0).digest
    keeper.keep(run.name, 0, edit(drawn(1, 1, 20, 20)), begun)
    before = (run / "labels/frame_00000.json").read_bytes()
    with pytest.raises(LabelConflict) as conflict:
        keeper.keep(run.name, 0, edit(drawn(5, 5, 30, 30)), begun)
    assert (run / "labels/frame_00000.json").read_bytes() == before
    theirs = conflict.value.now
    assert boxes_of(theirs) == [(1, 1, 20, 20)]
    kept = keeper.keep(run.name, 0, edit(drawn(5, 5, 30, 30)), theirs.digest)
    assert boxes_of(kept) == [(5, 5, 30, 30)]


def test_the_same_again_is_no_conflict(tmp_path):
    """As when the answer to the first one was lost on its way."""
    run = write_run(tmp_path, [None])
    keeper = LabelKeeper(tmp_path)
    first = keeper.keep(run.name, 0, edit(drawn(1, 1, 20, 20)), None)
    again = keeper.keep(run.name, 0, edit(drawn(1, 1, 20, 20)), None)
    assert again == first


def test_many_at_once_write_one_after_the_other(tmp_path):
    run = write_run(tmp_path, [None])
    keeper = LabelKeeper(tmp_path)
    kept: list[FrameView] = []
    refused: list[LabelConflict] = []

    def save(number: int) -> None:
        try:
            kept.append(keeper.keep(run.name, 0, edit(drawn(1, 1, 20 + number, 20)), None))
        except LabelConflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(kept), len(refused)) == (1, 7)
    [polyp] = label_of(run, 0)["polyp_labels"]
    assert [tuple(polyp["bbox_px"])] == boxes_of(kept[0])


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 20), (20, 5, 5, 20), (100, 5, 120, 20), (math.nan, 5, 9, 20)]
)
def test_a_box_without_an_area_in_the_picture_is_refused(tmp_path, box):
    run = write_run(tmp_path, [None])
    with pytest.raises(UserError, match="no area within the picture"):
        LabelKeeper(tmp_path).keep(run.name, 0, edit(drawn(*box)), None)
    assert not (run / "labels/frame_00000.json").exists()


def test_the_simulators_truth_is_changed_only_by_who_says_so(tmp_path):
    run = write_run(tmp_path, [[drawn(1, 1, 20, 20)]], extra={"scene": {}})
    label = label_of(run, 0)
    for polyp in label["polyp_labels"]:
        del polyp["source"], polyp["reviewed"]
    (run / "labels/frame_00000.json").write_text(json.dumps(label))
    keeper = LabelKeeper(tmp_path)
    seen = keeper.read(run.name, 0)
    assert (seen.status, seen.locked) == ("given", True)
    with pytest.raises(UserError, match="unlock it"):
        keeper.keep(run.name, 0, edit(), seen.digest)
    kept = keeper.keep(run.name, 0, edit(overrule=True), seen.digest)
    assert (kept.locked, kept.polyp_labels) == (False, [])


def test_a_run_that_is_being_recorded_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "BUSY_S", 0.05)
    run = write_run(tmp_path, [None])
    lock = FolderLock(run)
    keeper = LabelKeeper(tmp_path)
    with pytest.raises(RunBusy, match="is being recorded"):
        keeper.keep(run.name, 0, edit(), None)
    lock.release()
    assert keeper.keep(run.name, 0, edit(), None).status == "reviewed"


def test_no_label_is_written_behind_a_link(tmp_path):
    run = write_run(tmp_path / "root", [None])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / "labels").rmdir()
    (run / "labels").symlink_to(elsewhere)
    with pytest.raises(UserError, match="link"):
        LabelKeeper(tmp_path / "root").keep(run.name, 0, edit(), None)
    assert not list(elsewhere.iterdir())


def test_what_cant_be_read_is_said_and_replaced_only_by_who_saw_it(tmp_path):
    run = write_run(tmp_path, [[guess(10, 12, 40, 44)]])
    path = run / "labels/frame_00000.json"
    path.write_text('{"frame_id": 0, "image')
    keeper = LabelKeeper(tmp_path)
    seen = keeper.read(run.name, 0)
    assert seen.status == "unreadable"
    assert seen.problem is not None
    with pytest.raises(LabelConflict):
        keeper.keep(run.name, 0, edit(), None)
    assert keeper.keep(run.name, 0, edit(), seen.digest).status == "reviewed"


def test_boxes_that_cant_be_used_are_named(tmp_path):
    run = write_run(tmp_path, [[guess(10, 12, 40, 44), guess(50, 50, 40, 60, polyp_id=2)]])
    seen = LabelKeeper(tmp_path).read(run.name, 0)
    assert len(seen.polyp_labels) == 1
    assert seen.problem == "box 2 can't be used (a box with reversed corners): saving removes it"


def test_other_names_of_labels_are_kept(tmp_path):
    """Some programs write `frame_7.json`, and shares of the picture alone."""
    run = write_run(tmp_path, [[guess(10, 12, 40, 44)]])
    fields = label_of(run, 0)
    fields["polyp_labels"][0] |= {"bbox_px": None, "bbox_norm": [0.25, 0.25, 0.5, 0.5]}
    (run / "labels/frame_00000.json").unlink()
    (run / "labels/frame_0.json").write_text(json.dumps(fields))
    keeper = LabelKeeper(tmp_path)
    seen = keeper.read(run.name, 0)
    assert boxes_of(seen) == [(24, 16, 48, 32)]
    keeper.keep(run.name, 0, edit(*seen.polyp_labels), seen.digest)
    assert [path.name for path in (run / "labels").iterdir()] == ["frame_0.json"]
    assert json.loads((run / "labels/frame_0.json").read_text())["reviewed"] is True


@pytest.mark.parametrize("name", ["run_none", "..", "run_a/../..", "notes", "run_\0"])
def test_no_other_folder_is_a_run(tmp_path, name):
    (tmp_path / "notes").mkdir()
    with pytest.raises(NotThere):
        LabelKeeper(tmp_path).read(name, 0)
