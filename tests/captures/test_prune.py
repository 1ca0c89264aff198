import hashlib
import shutil

import pytest

from endoforge.captures.config import PruneConfig
from endoforge.captures.index import index_root
from endoforge.captures.prune import prune_empty
from endoforge.core.errors import UserError


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
    run.frame(0, [seen, reversed_box])
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
        "frame: no polyp to be seen": 4,
        "frame: image missing": 1,
        "box: reversed corners": 2,
    }


def test_the_summary_says_what_was_kept_and_why_not_the_rest(captures):
    report, output = prune(captures)
    assert report.lines() == [
        f"{output}: 1 runs, 2 frames kept, 5 skipped",
        "  4 x frame: no polyp to be seen, such as run_1/labels/frame_00001.json, "
        "run_1/labels/frame_00002.json, run_1/labels/frame_00003.json",
        "  2 x box: reversed corners, such as run_1/labels/frame_00000.json, "
        "run_1/labels/frame_00003.json",
        "  1 x frame: image missing, such as run_1/labels/frame_00004.json (images/none.png)",
        "  1 runs without a polyp to be seen were not written",
    ]


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
    assert report.kept == 1
    assert sorted(snapshot(output)) == [
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
    assert list(output.iterdir()) == []


def test_a_damaged_copy_is_mended(captures):
    _, output = prune(captures)
    (output / "run_1/images/frame_00000.png").write_bytes(b"cut short")
    prune(captures)
    copy, original = output / "run_1/images/frame_00000.png", captures / "run_1/images"
    assert copy.read_bytes() == (original / copy.name).read_bytes()


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
