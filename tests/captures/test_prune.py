import hashlib
import json
import os
import shutil

import pytest

from endoforge.captures.config import PruneConfig
from endoforge.captures.index import index_root
from endoforge.captures.prune import prune_empty
from endoforge.core.errors import UserError
from endoforge.core.folders import FolderLock
from endoforge.core.marks import MARK_NAME


def snapshot(folder):
    """Every file below `folder`: its content and when it was last written."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def captures(foreign_run, make_polyp):
    """Two runs: of the first, frames 0 and 100000 show a polyp; the second shows none."""
    seen, reversed_box = make_polyp(norm=[0, 0, 0.5, 0.5]), make_polyp(norm=[0.5, 0, 0, 1])
    run = foreign_run("run_1")
    run.frame(0, [seen])
    run.frame(1, [])
    run.frame(2, [make_polyp()])
    run.frame(3, [reversed_box])
    run.label(100_000, run.image(100_000, "jpg"), [seen])
    run.label(4, "images/none.png", [seen])
    (run.path / "overlays").mkdir()
    (run.path / "overlays/frame_00000.png").write_bytes(b"drawn")
    foreign_run("run_2").frame(0, [])
    return run.path.parent


def prune(captures):
    output = captures.with_name("filtered")
    return prune_empty(PruneConfig(input=str(captures), output=str(output))), output


def test_frames_with_a_polyp_are_copied_as_they_are(captures):
    before = snapshot(captures)
    report, output = prune(captures)
    copied = snapshot(output)
    assert copied.pop(f"run_1/{MARK_NAME}")
    assert sorted(copied) == [
        "run_1/images/frame_00000.png",
        "run_1/images/frame_100000.jpg",
        "run_1/labels/frame_00000.json",
        "run_1/labels/frame_100000.json",
        "run_1/overlays/frame_00000.png",
        "run_1/run_manifest.json",
    ]
    assert {name: copied[name][0] for name in copied} == {name: before[name][0] for name in copied}
    assert snapshot(captures) == before
    assert (report.runs, report.empty_runs, report.kept, report.num_skipped) == (1, 1, 2, 5)
    assert report.skipped.counts == {
        "frame: no polyp to be seen": 3,
        "frame: image missing": 1,
        "frame: a box with reversed corners": 1,
    }


def test_the_summary_says_what_was_kept_and_why_not_the_rest(captures):
    report, output = prune(captures)
    assert report.lines() == [
        f"{output}: 1 run, 2 frames kept, 5 skipped",
        "  3 x frame: no polyp to be seen, such as run_1/labels/frame_00001.json, "
        "run_1/labels/frame_00002.json, run_2/labels/frame_00000.json",
        "  1 x frame: a box with reversed corners, such as run_1/labels/frame_00003.json",
        "  1 x frame: image missing, such as run_1/labels/frame_00004.json (images/none.png)",
        "  not written: 1 run without a polyp to be seen",
    ]


def test_predictions_alone_are_an_error_and_beside_others_counted(
    foreign_run, make_polyp, tmp_path
):
    run, word = foreign_run("run_1"), {"source": "predicted"}
    run.frame(0, [make_polyp(norm=[0, 0, 1, 1]) | word])
    config = PruneConfig(input=str(run.path.parent), output=str(tmp_path / "out"))
    with pytest.raises(UserError, match="no frame to copy: 1 x frame: predicted, and nobody has"):
        prune_empty(config)
    assert not (tmp_path / "out").exists()
    run.frame(1, [make_polyp(norm=[0, 0, 1, 1])])
    assert (prune_empty(config).kept, prune_empty(config).num_skipped) == (1, 1)


def test_again_it_changes_nothing_and_the_copy_loads(captures):
    first, output = prune(captures)
    before = snapshot(output)
    second, _ = prune(captures)
    assert second == first
    assert snapshot(output) == before
    assert [frame.frame_id for frame in index_root(output).frames] == [0, 100_000]


def test_frames_that_the_input_no_longer_has_go(captures):
    _, output = prune(captures)
    (captures / "run_1/labels/frame_00000.json").unlink()
    report, _ = prune(captures)
    assert (report.kept, report.removed, report.removed_runs) == (1, 1, [])
    assert sorted(snapshot(output)) == [
        f"run_1/{MARK_NAME}",
        "run_1/images/frame_100000.jpg",
        "run_1/labels/frame_100000.json",
        "run_1/run_manifest.json",
    ]


def test_a_copied_run_without_a_frame_left_goes_whole(captures):
    _, output = prune(captures)
    for name in ("frame_00000.json", "frame_100000.json"):
        (captures / "run_1/labels" / name).unlink()
    report, _ = prune(captures)
    assert (report.runs, report.empty_runs) == (0, 2)
    assert report.removed == 2
    assert "  removed from the copy: 2 frames" in report.lines()
    assert list(output.iterdir()) == []


def test_a_damaged_copy_is_mended(captures):
    _, output = prune(captures)
    (output / "run_1/images/frame_00000.png").write_bytes(b"cut short")
    report, _ = prune(captures)
    assert report.replaced == 1
    copy, original = output / "run_1/images/frame_00000.png", captures / "run_1/images"
    assert copy.read_bytes() == (original / copy.name).read_bytes()
    assert (output / "run_1/kept-1/images/frame_00000.png").read_bytes() == b"cut short"


def test_what_was_changed_in_the_copy_is_kept_aside(captures):
    """Labels corrected by hand outlive a call that writes them anew, and one that removes them."""
    _, output = prune(captures)
    label = "labels/frame_00000.json"
    (output / "run_1" / label).write_text("by hand")
    report, _ = prune(captures)
    kept = output / "run_1/kept-1" / label
    assert report.kept_aside == [kept]
    assert f"  changed in the copy, so kept: 1 file, such as {kept}" in report.lines()
    assert kept.read_text() == "by hand"

    (output / "run_1" / label).write_text("again")
    shutil.rmtree(captures / "run_1")
    report, _ = prune(captures)
    assert (report.removed, report.removed_runs) == (2, ["run_1"])
    assert sorted(snapshot(output)) == [f"run_1/kept-1/{label}", f"run_1/kept-2/{label}"]
    assert (output / "run_1/kept-2" / label).read_text() == "again"


def test_a_label_that_changed_in_the_input_is_replaced_and_no_more(captures):
    _, output = prune(captures)
    label = captures / "run_1/labels/frame_00000.json"
    label.write_text(label.read_text() + " ")
    report, _ = prune(captures)
    assert (report.replaced, report.kept_aside) == (1, [])
    assert (output / "run_1/labels/frame_00000.json").read_bytes() == label.read_bytes()


ADDED = [
    "instance/frame_00000.png",
    "overlays/frame_100000.png",
    "labels/frame_00000.json.bak",
    "labels/frame_00009.json",
    "images/mine.png",
]


@pytest.mark.parametrize("name", ADDED)
def test_what_people_add_to_a_copy_stays(captures, name):
    _, output = prune(captures)
    (output / "run_1" / name).parent.mkdir(exist_ok=True)
    (output / "run_1" / name).write_bytes(b"mine")
    for label in (None, "frame_00000.json", "frame_100000.json"):
        if label is not None:
            (captures / "run_1/labels" / label).unlink()
        prune(captures)
        assert (output / "run_1" / name).read_bytes() == b"mine"
    left = [path for path in output.rglob("*") if path.is_file() and path.name != MARK_NAME]
    assert left == [output / "run_1" / name]


def test_a_mark_leads_to_nothing_outside_its_folder(captures, tmp_path):
    _, output = prune(captures)
    victim = tmp_path / "victim.txt"
    victim.write_text("another's")
    mark = output / "run_1" / MARK_NAME
    facts = json.loads(mark.read_bytes())
    facts["files"] |= {"../../victim.txt": None, str(victim): None}
    mark.write_text(json.dumps(facts))
    prune(captures)
    shutil.rmtree(captures / "run_1")
    prune(captures)
    assert victim.read_text() == "another's"


@pytest.mark.parametrize("output", ["captures", "captures/filtered", "captures/run_1/images"])
def test_an_output_within_the_input_is_refused(captures, output):
    before = snapshot(captures)
    config = PruneConfig(input=str(captures), output=str(captures.parent / output))
    with pytest.raises(UserError, match="overlaps --input"):
        prune_empty(config)
    assert snapshot(captures) == before


def test_one_run_is_never_copied_onto_itself(captures):
    before = snapshot(captures)
    config = PruneConfig(input=str(captures / "run_1"), output=str(captures))
    with pytest.raises(UserError, match="overlaps --input"):
        prune_empty(config)
    assert snapshot(captures) == before


def test_a_link_to_the_input_is_no_way_around(captures):
    link = captures.with_name("link")
    link.symlink_to(captures)
    with pytest.raises(UserError, match="overlaps --input"):
        prune_empty(PruneConfig(input=str(captures), output=str(link)))


def test_runs_of_other_roots_in_the_output_stay(captures):
    _, output = prune(captures)
    shutil.copytree(output / "run_1", output / "run_7")
    prune(captures)
    assert len(index_root(output).frames) == 4


def test_an_input_without_a_name_is_a_user_error():
    with pytest.raises(UserError, match="--input: expected the name of a folder"):
        PruneConfig(input=" ")


def test_extras_go_with_their_frames(captures):
    """Depth and poses are copied with the frames that are kept, and go when those go."""
    run = captures / "run_1"
    (run / "depth").mkdir()
    for number in (0, 1):
        (run / f"depth/frame_{number:05d}.png").write_bytes(b"depth")
    (run / "poses.txt").write_text("# poses")
    _, output = prune(captures)
    copied = sorted(snapshot(output / "run_1"))
    assert [name for name in copied if name.startswith("depth")] == ["depth/frame_00000.png"]
    assert (output / "run_1/poses.txt").read_text() == "# poses"

    for label in (run / "labels").iterdir():
        label.unlink()
    prune(captures)
    assert not (output / "run_1").exists()


def refused(source, output, message):
    """The call is refused, and neither folder has changed."""
    before = snapshot(source), snapshot(output)
    with pytest.raises(UserError, match=message):
        prune_empty(PruneConfig(input=str(source), output=str(output)))
    assert (snapshot(source), snapshot(output)) == before


def test_swapped_flags_destroy_nothing(captures):
    _, output = prune(captures)
    refused(output, captures, "didn't make it, so it stays: were the two swapped")


def test_runs_of_the_same_names_that_are_no_copies_stay(captures, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(captures, other)
    (other / "run_1/labels/frame_00000.json").write_text("{}")
    refused(captures, other, "frame_00000.json isn't as in --input")


def test_a_whole_copy_made_otherwise_loses_no_frame(captures, tmp_path):
    """As by `cp -r`: it is as the input, but holds frames that are never copied by the command."""
    backup = tmp_path / "backup"
    shutil.copytree(captures, backup)
    (backup / "run_2").rename(tmp_path / "run_2")
    refused(captures, backup, "frame_00001.json shows no polyp, so prune-empty didn't copy it")


def test_a_copy_of_before_there_were_marks_is_known_by_what_it_holds(captures):
    _, output = prune(captures)
    (output / "run_1" / MARK_NAME).unlink()
    before = snapshot(output)
    report, _ = prune(captures)
    assert snapshot(output).keys() == before.keys() | {f"run_1/{MARK_NAME}"}
    (captures / "run_1/labels/frame_00000.json").unlink()
    report, _ = prune(captures)
    assert report.removed == 1


def test_a_run_that_the_input_no_longer_has_goes_and_is_counted(captures):
    _, output = prune(captures)
    shutil.move(captures / "run_1", captures.with_name("elsewhere"))
    report, _ = prune(captures)
    assert (report.removed, report.removed_runs) == (2, ["run_1"])
    assert "  removed from the copy: 1 run the input has no more (run_1)" in report.lines()
    assert list(output.iterdir()) == []


def test_the_copies_of_another_input_stay(captures, tmp_path):
    _, output = prune(captures)
    other = tmp_path / "other"
    shutil.copytree(captures / "run_1", other / "run_5")
    prune_empty(PruneConfig(input=str(other), output=str(output)))
    assert sorted(path.name for path in output.iterdir()) == ["run_1", "run_5"]
    shutil.rmtree(captures / "run_1")
    prune(captures)
    assert sorted(path.name for path in output.iterdir()) == ["run_5"]


def test_two_runs_of_one_name_are_not_copied_over_each_other(captures, tmp_path):
    _, output = prune(captures)
    other = tmp_path / "other"
    shutil.copytree(captures / "run_1", other / "run_1")
    refused(other, output, "holds the copy of .*captures/run_1, another run of the same name")


def test_one_run_alone_leaves_the_copies_of_the_others(captures):
    shutil.copytree(captures / "run_1", captures / "run_3")
    _, output = prune(captures)
    prune_empty(PruneConfig(input=str(captures / "run_3"), output=str(output)))
    assert sorted(path.name for path in output.iterdir()) == ["run_1", "run_3"]
    report, _ = prune(captures)
    assert (report.kept, report.removed_runs) == (4, [])


def test_what_people_put_into_a_copied_run_stays(captures):
    _, output = prune(captures)
    (output / "run_1/labels/notes.txt").write_text("mine")
    shutil.rmtree(captures / "run_1")
    prune(captures)
    assert (output / "run_1/labels/notes.txt").read_text() == "mine"


def test_nothing_is_written_or_removed_through_a_link(captures, tmp_path):
    _, output = prune(captures)
    victim = tmp_path / "victim"
    (output / "run_1/labels").rename(victim)
    (output / "run_1/labels").symlink_to(victim)
    refused(captures, output, "labels: is a link to .*victim, which isn't written through")
    assert len(list(victim.iterdir())) == 2


def test_a_link_in_a_copied_runs_place_stays(captures, tmp_path):
    _, output = prune(captures)
    (output / "run_1").rename(tmp_path / "moved")
    (output / "run_1").symlink_to(tmp_path / "moved")
    shutil.rmtree(captures / "run_1")
    report, _ = prune(captures)
    assert (report.removed, report.removed_runs) == (0, [])
    assert (tmp_path / "moved/labels/frame_00000.json").is_file()


def test_files_to_which_a_run_links_are_not_copied(captures, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (captures / "run_1/poses.txt").symlink_to(tmp_path / "secret")
    (captures / "run_1/depth").mkdir()
    (captures / "run_1/depth/frame_00000.png").symlink_to(tmp_path / "secret")
    report, output = prune(captures)
    assert report.skipped.counts["file: outside the run, by a link"] == 2
    assert not (output / "run_1/poses.txt").exists()
    assert not (output / "run_1/depth").exists()


def test_a_label_to_which_a_run_links_is_not_copied(captures, tmp_path):
    label = captures / "run_1/labels/frame_00000.json"
    label.rename(tmp_path / "secret.json")
    label.symlink_to(tmp_path / "secret.json")
    report, output = prune(captures)
    assert report.skipped.counts["frame: its label lies outside the run, by a link"] == 1
    assert (report.kept, report.num_skipped) == (1, 6)
    assert not (output / "run_1/labels/frame_00000.json").exists()
    assert not (output / "run_1/images/frame_00000.png").exists()


def test_what_a_killed_call_left_goes(captures):
    _, output = prune(captures)
    for name in ("images/.frame_00000.png", "labels/.frame_00000.json", ".run_manifest.json"):
        folder, _, file = f"run_1/{name}".rpartition("/")
        (output / folder / f"{file}.0123456789abcdef.tmp").write_bytes(b"half")
    prune(captures)
    assert not list(output.rglob("*.tmp"))


@pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")
def test_two_at_once_are_not_for_one_output(captures):
    output = captures.with_name("filtered")
    output.mkdir()
    lock = FolderLock(output)
    refused(captures, output, "another prune-empty is writing it")
    lock.release()


def test_an_output_that_cannot_be_written_is_named_at_once(captures, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--output .*file: is there, but is no folder"):
        prune_empty(PruneConfig(input=str(captures), output=str(tmp_path / "file")))
