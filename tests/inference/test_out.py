"""The folder of results: nothing in it is looked at, lost or mixed by mistake."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from endoforge.captures.video import Video
from endoforge.core.errors import UserError
from endoforge.core.files import NewFile
from endoforge.core.folders import FolderLock
from endoforge.core.marks import leave_mark, mark_of
from endoforge.inference import growing
from endoforge.inference.drawn_video import DrawnVideo
from endoforge.inference.growing import Growing
from tests.inference.conftest import drawn_in, lines_of, noise, save, save_video

DRAWN = "file: drawn by EndoForge itself"


def test_its_own_drawings_are_left_out_and_said(pictures, detect):
    out = pictures / "detections"
    for time in range(3):
        report, _ = detect(pictures, output=str(out))
        assert [one["file"] for one in lines_of(out)] == ["a.png", "b/1.png", "b/2.jpg"]
        assert drawn_in(out) == ["a.png", "b/1.png", "b/2.jpg"]
        assert report.left_out.counts[DRAWN] == 3 * bool(time)
    assert mark_of(out / "drawn") == "detect"
    elsewhere, _ = detect(pictures)
    assert (elsewhere.pictures, elsewhere.left_out.counts[DRAWN]) == (3, 3)


def test_so_are_those_of_before_there_were_marks_and_linked_ones(pictures, detect, tmp_path):
    detect(pictures)
    (tmp_path / "out/drawn/.endoforge.json").unlink()
    folder = tmp_path / "searched"
    save(folder / "c.png")
    shutil.copytree(tmp_path / "out", folder / "old")
    save(folder / "marked/drawn.png")
    leave_mark(folder / "marked", "overlay-labels")
    (folder / "link.png").symlink_to(tmp_path / "out/drawn/a.png")
    report, _ = detect(folder, output=str(tmp_path / "new"))
    assert [one["file"] for one in lines_of(tmp_path / "new")] == ["c.png"]
    assert report.left_out.counts[DRAWN] == 5


def test_drawings_are_looked_at_where_they_are_named(pictures, detect, tmp_path, caplog):
    _, out = detect(pictures)
    detect(out / "drawn", output=str(tmp_path / "again"))
    assert len(lines_of(tmp_path / "again")) == 3
    assert "what EndoForge has drawn" in caplog.text
    for path in (out / "drawn", out / "drawn/a.png"):
        with pytest.raises(UserError, match=r"^--output .* is among its drawings"):
            detect(path)
    with pytest.raises(UserError, match=r"no picture or video in .* but for 3 x file: drawn by"):
        detect(out, output=str(tmp_path / "more"))


def test_no_drawing_of_an_earlier_time_is_left(pictures, detect, tmp_path):
    save(pictures / "c.bmp")
    _, out = detect(pictures, save_video(tmp_path / "clip.avi"))
    assert len(drawn_in(out)) == 5
    (out / "drawn/notes.txt").write_text("the user's own")
    (tmp_path / "kept.png").write_bytes(b"the user's own")
    (out / "drawn/linked.png").symlink_to(tmp_path / "kept.png")
    report, _ = detect(pictures / "b/1.png")
    assert drawn_in(out) == ["1.png", "linked.png", "notes.txt"]
    assert f"removed from {out}/drawn: 5 drawings of an earlier detect" in report.lines()
    assert (tmp_path / "kept.png").read_bytes() == b"the user's own"
    (out / "drawn/notes.txt").unlink()
    (out / "drawn/linked.png").unlink()
    report, _ = detect(pictures / "b/1.png", draw="none")
    assert report.cleared == 1
    assert not (out / "drawn").exists()


def test_a_folder_that_holds_other_things_is_not_drawn_into(pictures, detect, tmp_path):
    mine = save(tmp_path / "out/drawn/a.png", 9)
    before = mine.read_bytes()
    with pytest.raises(UserError, match=r"^--output .*drawn holds what detect hasn't drawn"):
        detect(pictures)
    detect(pictures, draw="none")  # now there are lines that tell of an a.png, and of others
    save(tmp_path / "out/drawn/mine.png")
    with pytest.raises(UserError, match=r"^--output .*drawn holds what detect hasn't drawn"):
        detect(pictures)
    assert mine.read_bytes() == before
    shutil.rmtree(tmp_path / "out/drawn")
    (tmp_path / "out/drawn").symlink_to(pictures)
    with pytest.raises(UserError, match=r"^--output .*drawn holds what detect hasn't drawn"):
        detect(pictures)


def test_a_link_among_the_drawings_leads_nowhere(pictures, detect):
    _, out = detect(pictures)
    shutil.rmtree(out / "drawn/b")
    (out / "drawn/b").symlink_to(pictures / "b")
    before = (pictures / "b/1.png").read_bytes()
    with pytest.raises(UserError, match=r"drawn/b: is a link to .*pictures/b, which"):
        detect(pictures)
    assert (pictures / "b/1.png").read_bytes() == before


def test_drawings_that_want_one_name_get_two(tmp_path, detect):
    save(tmp_path / "in/a.bmp")
    save(tmp_path / "in/a.bmp.jpg")
    _, out = detect(tmp_path / "in")
    assert drawn_in(out) == ["a.bmp.jpg", "a.bmp_.jpg"]


def test_two_at_once_into_one_folder_are_refused(pictures, detect, tmp_path):
    (tmp_path / "out").mkdir()
    lock = FolderLock(tmp_path / "out")
    with pytest.raises(UserError, match=r"^--output .*another process is writing there"):
        detect(pictures)
    lock.release()
    detect(pictures)
    detect(pictures)


def test_the_folder_is_tried_before_the_weights_are_loaded(pictures, detect, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "odd/detections.jsonl").mkdir(parents=True)
    run = tmp_path / "run_1"
    save(run / "images/frame_00000.png")
    (run / "run_manifest.json").write_text("{}")
    truth = tmp_path / "coco_images.json"
    truth.touch()
    for out, words, more in (
        ("file", "is there, but is no folder", {}),
        ("odd", "odd/detections.jsonl: is a folder", {}),
        ("pictures", "is searched for pictures", {}),
        ("run_1/found", "lies in the capture run", {}),
        (".", "is that of --annotations too", {"annotations": str(truth)}),
    ):
        with pytest.raises(UserError, match=rf"^--output .*{words}"):
            detect(pictures, output=str(tmp_path / out), checkpoint="nowhere", **more)


def test_overlays_of_runs_are_not_looked_at_also_in_linked_runs(tmp_path, detect):
    run = tmp_path / "elsewhere/run_1"
    for folder in ("images", "overlays", "instance"):
        save(run / folder / "frame_00000.png")
    (run / "run_manifest.json").write_text("{}")
    _, out = detect(tmp_path / "elsewhere")
    assert [one["file"] for one in lines_of(out)] == ["run_1/images/frame_00000.png"]
    _, out = detect(run / "overlays")
    assert [one["file"] for one in lines_of(out)] == ["frame_00000.png"]
    links = tmp_path / "links"
    links.mkdir()
    for name in ("images", "overlays", "instance"):
        (links / f"of {name}").symlink_to(run / name)
    _, out = detect(links)
    assert [one["file"] for one in lines_of(out)] == ["of images/frame_00000.png"]
    (links / "all").symlink_to(run.parent)
    (links / "of images").unlink()
    _, out = detect(links)
    assert [one["file"] for one in lines_of(out)] == ["all/run_1/images/frame_00000.png"]


def test_a_growing_file_is_whole_after_every_write_and_every_failure(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    file = Growing(path, head="[", between=",\n", tail="]\n")
    (partial,) = tmp_path.iterdir()
    assert json.loads(partial.read_text()) == []
    file.add("1", "22")
    end = file.end
    file.add("333")
    assert json.loads(partial.read_text()) == [1, 22, 333]
    file.cut_back(end)
    write = Growing._write

    def full(self, data):
        if len(data) > 100:
            write(self, data[:50])
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(growing.Growing, "_write", full)
    with pytest.raises(UserError, match=r"a\.json: can't be written \(No space.*make room"):
        file.add("9" * 200)
    file.add("4")
    file.keep()
    assert path.read_text() == "[1,\n22,\n4]\n"
    assert not partial.exists()


@pytest.mark.parametrize("full", ["detections.jsonl", "coco_results.json", "coco_images.json"])
def test_a_full_disk_keeps_what_was_found_whole_and_names_the_file(
    full, pictures, detect, monkeypatch, caplog, tmp_path
):
    add = Growing.add

    def fails(self, *entries):
        if self.path.name == full and len(list((tmp_path / "out/drawn").rglob("*.*g"))) == 3:
            raise growing.cant_write(self.path, OSError(28, "No space left on device"))
        add(self, *entries)

    monkeypatch.setattr(Growing, "add", fails)
    with pytest.raises(UserError, match=rf"{full}: can't be written \(No space.*name another"):
        detect(pictures)
    out = tmp_path / "out"
    assert [one["file"] for one in lines_of(out)] == ["a.png", "b/1.png"]
    images = json.loads((out / "coco_images.json").read_text())["images"]
    results = json.loads((out / "coco_results.json").read_text())
    assert {one["image_id"] for one in results} == {one["id"] for one in images} == {1, 2}
    assert "ended early" in caplog.text


LIMITED = """
import resource, sys
from endoforge import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(cli.run(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="no such limits")
@pytest.mark.parametrize("draw", ["none", "all"])
def test_where_files_cant_grow_none_is_cut_short(draw, tmp_path, lively):
    """As if the disk were full."""
    clip, out = save_video(tmp_path / "clip.avi", 40, (480, 320)), tmp_path / "out"
    flags = ["--checkpoint", lively, "--output", out, "--draw", draw, "--device", "cpu"]
    words = [sys.executable, "-c", LIMITED, "60000", "detect", clip, *flags]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2, done.stderr
    error = [line for line in done.stderr.splitlines() if line.startswith("endoforge: error")][-1]
    assert "can't be written" in error
    assert "make room" in error
    assert 0 < len(lines_of(out)) < 40
    assert len(json.loads((out / "coco_images.json").read_text())["images"]) == len(lines_of(out))
    assert json.loads((out / "coco_results.json").read_text())
    assert not drawn_in(out)
    assert not list(out.rglob("*.tmp*"))
    if draw == "all":
        assert "clip.avi.mp4: can't be written" in done.stderr


@pytest.mark.parametrize("writes", [0, 2])
def test_a_drawn_video_that_isnt_whole_is_an_error(writes, video, detect, monkeypatch, tmp_path):
    """At first, and at its end, where the index is written."""

    written, write = [], NewFile.write

    def full(self, data):
        if self.path.suffix == ".mp4":
            written.append(len(data))
            if len(written) > writes:
                raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(NewFile, "write", full)
    with pytest.raises(UserError, match=r"clip\.avi\.mp4: can't be .*No space left"):
        detect(video)
    assert not list((tmp_path / "out").rglob("*.mp4*"))


@pytest.mark.parametrize("size", [(241, 321), (16, 17)])
def test_a_drawn_video_of_any_size_is_whole(size, tmp_path):
    frames = [cv2.resize(noise(n)[::20, ::20], size[::-1]) for n in range(12)]
    video = DrawnVideo(tmp_path / "a.mp4", size)
    for number, frame in enumerate(frames):
        video.add(number / 30, frame)
    video.add(0.5, np.zeros((50, 40, 3), np.uint8))
    video.close()
    drawn = Video(tmp_path / "a.mp4")
    found = list(drawn.frames())
    assert [seconds for _, seconds, _ in found] == pytest.approx(
        [*(n / 30 for n in range(12)), 0.5]
    )
    for frame, (_, _, picture) in zip(frames, found, strict=False):
        assert picture.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
        assert np.abs(picture[: size[0], : size[1]].mean() - frame.mean()) < 4


def test_where_no_mp4_can_be_drawn_is_said(tmp_path):
    with pytest.raises(UserError, match=r"a\.mp4: can't be drawn as MP4 .*--draw none"):
        DrawnVideo(tmp_path / "a.mp4", (20, 40_000))
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_goes_the_next_time(pictures, detect):
    _, out = detect(pictures)
    ending = f"{'0' * 16}.tmp"
    left = [f".detections.jsonl.{ending}", f"drawn/b/.clip.mp4.{ending}.mp4", "drawn/late.png"]
    for name in (*left, f"drawn/.a.png.{ending}"):
        (out / name).write_text("of a detect that was killed")
    report, _ = detect(pictures / "a.png")
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        ".endoforge.json",
        "a.png",
        "coco_images.json",
        "coco_results.json",
        "detections.jsonl",
        "tracks.json",
    ]
    assert report.cleared == 3  # drawings with a name: two of the first time, and late.png
