"""Which frames there are to choose from, and which are labelled already."""

import json
from pathlib import Path

import pytest

from endoforge.captures.run_frames import AWAITS_REVIEW
from endoforge.core.errors import UserError
from endoforge.select.pool import read_pool
from tests.select.conftest import save_frame, save_run, save_video_run


def numbers(pool, *, labelled):
    return [frame.frame_id for frame in pool.frames if frame.labelled == labelled]


def test_frames_are_known_by_their_labels(tmp_path):
    run = save_run(tmp_path / "runs/run_1", 4, labelled=(1, 3))
    pool = read_pool([tmp_path / "runs"])
    assert pool.runs == [run]
    assert (numbers(pool, labelled=True), numbers(pool, labelled=False)) == ([1, 3], [0, 2])
    assert pool.frames[2].path == run / "images/frame_00002.png"
    assert pool.frames[2].name == "run_1/images/frame_00002.png"
    assert not pool.left_out.counts + pool.label_faults.counts


@pytest.mark.parametrize("name", ["run_1", "patient-7"])
def test_a_run_without_labels_can_be_named_itself_and_counts_once(tmp_path, name, monkeypatch):
    run = save_run(tmp_path / name, 2)
    (tmp_path / "run_2").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    pool = read_pool([Path(name), run, Path("run_2")])
    assert len(pool.frames) == 2


def test_a_label_that_cant_be_used_leaves_its_frame_to_be_labelled(tmp_path):
    run = save_run(tmp_path / "run_1", 3, labelled=(0, 1))
    (run / "labels/frame_00001.json").write_text("{")
    pool = read_pool([run])
    assert numbers(pool, labelled=False) == [1, 2]
    [line] = pool.label_faults.lines()
    assert line.startswith("1 x frame: label malformed, such as run_1/labels/frame_00001.json")


def test_pictures_that_cant_be_named_are_left_out_and_counted(tmp_path):
    run = save_run(tmp_path / "run_1", 2, labelled=(0,))
    save_frame(run, 0, 5, suffix=".jpg")
    save_frame(run, 1, 6, suffix=".jpg")
    save_frame(run, 3, 7).rename(run / "images/still.png")
    outside = save_frame(tmp_path / "elsewhere", 0, 8)
    (run / "images/frame_00004.png").symlink_to(outside)
    (run / "images/notes.txt").write_text("not looked at")
    pool = read_pool([run])
    assert [(frame.frame_id, frame.labelled) for frame in pool.frames] == [(0, True), (1, False)]
    assert pool.left_out.counts == {
        "image: another one has its number": 2,
        "image: not named frame_<number>": 1,
        "image: outside the run, by a link": 1,
    }


def test_recordings_and_videos_have_times_and_imported_pictures_have_none(tmp_path):
    recorded = save_run(tmp_path / "run_1", 3, labelled=(0, 1, 2))
    video = save_video_run(tmp_path / "run_2", 3, fps=5, labelled=(1,))
    save_frame(video, 3, 9)  # of which its times say nothing
    pictures = save_run(tmp_path / "run_3", 2, labelled=(1,), format="coco")
    seconds = [frame.seconds for frame in read_pool([recorded, video, pictures]).frames]
    assert seconds == pytest.approx([0, 0.1, 0.2, 0, 0.2, 0.4, None, None, None])


def test_what_a_detector_said_is_no_label_and_its_time_counts(tmp_path):
    run = save_run(tmp_path / "run_1", 3, labelled=(0, 1, 2))
    for number, reviewed in ((1, False), (2, True)):
        path = run / f"labels/frame_0000{number}.json"
        said = {"source": "predicted", "reviewed": reviewed}
        path.write_text(json.dumps(json.loads(path.read_text()) | said))
    pool = read_pool([run])
    assert [frame.labelled for frame in pool.frames] == [True, False, True]
    assert [frame.seconds for frame in pool.frames] == pytest.approx([0, 0.1, 0.2])
    assert pool.label_faults.counts == {f"frame: {AWAITS_REVIEW}": 1}


def test_no_run_is_an_error_that_says_where(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        read_pool([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no capture runs in"):
        read_pool([tmp_path])
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"clip\.mp4: is a file, .* `endoforge import --video`"):
        read_pool([tmp_path / "clip.mp4"])
