"""`select`: what it chooses of runs on disk, what it writes and says, and what it refuses."""

import csv
import json

import pytest

from endoforge import cli
from endoforge.core.errors import UserError
from endoforge.select.config import SelectConfig
from endoforge.select.selection import COLUMNS, read_selection
from tests.select.conftest import save_run, save_video_run


@pytest.fixture
def runs(tmp_path):
    """A video's frames without labels, and a run of pictures, of which half are labelled."""
    save_video_run(tmp_path / "runs/run_1", 12)
    save_run(tmp_path / "runs/run_2", 8, labelled=range(4), first_seed=50, format="coco")
    return tmp_path / "runs"


def ids(report):
    return [(frame.run, frame.frame_id) for frame in report.selection.frames]


def test_the_frames_that_were_chosen_are_written_with_their_reasons(select, runs, tmp_path, lively):
    report = select(runs, frames=6)
    selection = read_selection(tmp_path / "s.json")
    assert selection == report.selection
    assert [frame.rank for frame in selection.frames] == [1, 2, 3, 4, 5, 6]
    assert len(set(ids(report))) == 6
    assert not set(ids(report)) & {("run_2", number) for number in range(4)}
    for frame in selection.frames:
        assert (runs / frame.run / frame.image).is_file()
        assert frame.folder == str(runs / frame.run)
        assert frame.reasons
        assert 0.1 <= frame.worth <= 1
        assert (frame.seconds is None) == (frame.run == "run_2")
    assert selection.frames[4].reasons[0].kind == "chance"
    assert str(lively) in selection.detector


def test_the_table_says_which_frames_and_why(select, runs, tmp_path):
    report = select(runs, frames=6)
    head, detector, titles, *rows, last = report.lines()
    assert head == "6 of 16 frames without labels, in 2 runs; 4 labelled already"
    assert detector.startswith("detector: weights ")
    assert titles.split() == ["frame", "time", "score", "track", "why"]
    assert len(rows) == 6
    for row, frame in zip(rows, report.selection.frames, strict=True):
        assert row.split()[:3] == [str(frame.rank), frame.run, f"#{frame.frame_id}"]
        assert frame.reasons[0].text in row
    assert "drawn by chance" in rows[4]
    assert last == f"in {tmp_path / 's.json'}: these frames, and why"


def test_of_many_the_table_shows_the_first_hundred(select, tmp_path):
    save_run(tmp_path / "run_1", 103, format="coco")
    report = select(tmp_path / "run_1", frames=103)
    assert len(report.selection.frames) == 103
    assert report.lines()[-2] == "... and 3 more"


def test_the_same_seed_chooses_the_same_and_fewer_are_the_first_of_more(select, runs):
    ten = ids(select(runs, frames=10))
    assert ids(select(runs, frames=10)) == ten
    assert ids(select(runs, frames=7)) == ten[:7]
    assert ids(select(runs, frames=10, seed=1)) != ten


def test_where_there_are_fewer_all_are_chosen_and_it_is_said(select, runs):
    report = select(runs, frames=500)
    assert len(report.selection.frames) == 16
    assert "note: all there are to choose from, fewer than --frames 500" in report.lines()


def test_what_was_labelled_elsewhere_isnt_chosen_again(select, tmp_path):
    """Frames that went to another tool come back as a run of their own, with labels."""
    save_run(tmp_path / "a/run_1", 4)
    save_run(tmp_path / "b/run_9", 2, labelled=(0, 1), format="coco")  # the same two pictures
    report = select(tmp_path / "a", tmp_path / "b", frames=99)
    assert sorted(ids(report)) == [("run_1", 2), ("run_1", 3)]
    assert report.left_out.counts == {"frame: looks exactly like a labelled one": 2}


def test_damaged_pictures_are_left_out_and_labels_that_cant_be_used_noted(select, runs):
    (runs / "run_1/images/frame_00003.png").write_bytes(b"not a picture")
    (runs / "run_2/labels/frame_00000.json").write_text("{")
    report = select(runs, frames=99)
    assert len(report.selection.frames) == 16
    assert ("run_2", 0) in ids(report)
    said = "\n".join(report.lines())
    assert "left out: 1 x frame: image unreadable, such as run_1/images/frame_00003.png" in said
    assert "note: labels: 1 x frame: label malformed" in said


def test_a_table_for_other_programs(select, runs, tmp_path):
    report = select(runs, frames=5, output=str(tmp_path / "new/s.csv"))
    rows = list(csv.reader((tmp_path / "new/s.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 6
    first, frame = dict(zip(*rows[:2], strict=True)), report.selection.frames[0]
    assert (first["run"], int(first["frame_id"])) == (frame.run, frame.frame_id)
    assert first["reasons"] == frame.why


def test_images_are_copied_as_they_are_by_names_that_no_two_share(select, runs, tmp_path):
    report = select(runs, frames=16, copy_to=str(tmp_path / "to-label"))
    copies = {path.name: path.read_bytes() for path in (tmp_path / "to-label").iterdir()}
    assert len(copies) == 16
    for frame in report.selection.frames:
        name = f"{frame.run}_frame_{frame.frame_id:05d}.png"
        assert copies[name] == (runs / frame.run / frame.image).read_bytes()


def test_two_runs_of_one_name_arent_copied_over_each_other(select, tmp_path):
    for root in ("a", "b"):
        save_run(tmp_path / root / "run_1", 1, first_seed=ord(root))
    folder = tmp_path / "to-label"
    with pytest.raises(UserError, match="two runs have one name"):
        select(tmp_path / "a", tmp_path / "b", copy_to=str(folder))
    assert not folder.exists()
    assert not (tmp_path / "s.json").exists()


def test_earlier_choices_are_replaced_and_other_files_are_not(select, runs, tmp_path):
    select(runs, frames=2)
    assert len(select(runs, frames=3).selection.frames) == 3
    for name, text in (("s.json", '{"frames": []}'), ("t.json", "thesis"), ("t.csv", "a,b\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="is there, but is none of select's files"):
            select(runs, output=str(tmp_path / name))
        assert (tmp_path / name).read_text() == text


@pytest.mark.parametrize("settings", [{"output": "run_1/s.json"}, {"copy_to": "run_1/copies"}])
def test_nothing_is_written_into_a_run(select, runs, settings):
    [(flag, place)] = settings.items()
    with pytest.raises(UserError, match="lies in the run"):
        select(runs, **{flag: str(runs / place)})


def test_a_folder_with_something_in_it_gets_no_copies(select, runs, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"--copy-to .*full: isn't empty; name a new folder"):
        select(runs, copy_to=str(tmp_path / "full"))


def test_without_a_frame_to_choose_it_says_what_there_is(select, tmp_path):
    save_run(tmp_path / "run_1", 3, labelled=range(3))
    with pytest.raises(UserError, match=r"no frame without a label in .*3 labelled already"):
        select(tmp_path / "run_1")
    (tmp_path / "run_2/images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"0 labelled already\); name runs that have some"):
        select(tmp_path / "run_2")
    save_run(tmp_path / "run_3", 1)
    (tmp_path / "run_3/images/frame_00000.png").write_bytes(b"")
    with pytest.raises(UserError, match="no frame can be read: 1 x frame: image unreadable"):
        select(tmp_path / "run_3")
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frames": 0}, "--frames 0: must be at least 1; try 100"),
        ({"output": "s.txt"}, "--output s.txt: must end in .json or .csv; try selected.json"),
        ({"copy_to": " "}, "--copy-to: expected the name of a folder"),
        ({"seed": -1}, "--seed -1"),
        ({"paths": ()}, "RUNS: name a capture run"),
    ],
)
def test_flags_that_cant_be_meant(settings, words):
    with pytest.raises(UserError, match=words):
        SelectConfig(**{"paths": ("runs",), **settings})


def test_a_file_of_another_program_is_no_selection(tmp_path):
    path = tmp_path / "s.json"
    for text in ("", "[]", "{", json.dumps({"version": "1", "detector": "", "seed": -1})):
        path.write_text(text)
        with pytest.raises(UserError, match=r"s\.json: is no JSON file of select's"):
            read_selection(path)
    with pytest.raises(UserError, match=r"t\.json: can't be read"):
        read_selection(tmp_path / "t.json")


def test_by_the_command_line(runs, tmp_path, lively, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["select", str(runs), "--frames", "3", "--checkpoint", str(lively)]) == 0
    assert "3 of 16 frames without labels" in capsys.readouterr().out
    assert len(read_selection(tmp_path / "selected.json").frames) == 3


def test_an_interruption_leaves_nothing(runs, tmp_path, lively, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("endoforge.select.select_command.choose", stop)
    command = ["select", str(runs), "--copy-to", "copies", "--checkpoint", str(lively)]
    assert cli.run(command) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "endoforge: interrupted"
    assert not (tmp_path / "selected.json").exists()
    assert not (tmp_path / "copies").exists()
