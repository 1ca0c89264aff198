"""Frames from the cache are those that a decoder gives; it decodes what changed, and only that."""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from endoforge.captures import pictures
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.core.errors import UserError
from endoforge.core.folders import FolderLock
from endoforge.core.reading import read_regular
from endoforge.data import blocks, decode_pictures, frame_cache
from endoforge.data.letterbox import resize_picture
from endoforge.data.pack import pack_frames

SETTLED_S = 0.02
BOX = (0.25, 0.25, 0.5, 0.5)
SIZE = (32, 16)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The test's own folder of decoded frames; files settle quickly."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(frame_cache, "SETTLED_S", SETTLED_S)
    return tmp_path / "cache/endoforge/frames"


def settle():
    time.sleep(2 * SETTLED_S)


@pytest.fixture
def root(record):
    """Two runs, of three and two frames of one grey each: 0, 1, 2 and 0, 1."""
    first, second = record([[BOX], [], [BOX]]), record([[BOX], [BOX]])
    first.rename(first.with_name("run_1"))
    second.rename(second.with_name("run_2"))
    settle()
    return first.parent


@pytest.fixture
def decoded(monkeypatch):
    """Collects the pictures that are decoded, as run/number, sorted when asked."""
    names, read = [], read_picture

    def spy(path):
        names.append(f"{path.parts[-3]}/{int(path.stem.split('_')[1])}")
        return read(path)

    monkeypatch.setattr(decode_pictures, "read_picture", spy)

    def take():
        taken = sorted(names)
        names.clear()
        return taken

    return take


def pack(root, frames=slice(None), size=SIZE, **others):
    options: dict[str, Any] = {
        "resize_mode": "letterbox",
        "max_boxes": 8,
        "strict": False,
        "label": "training",
    }
    chosen = index_root(root).frames[frames]
    return pack_frames(chosen, class_names=("polyp",), size=size, **options | others)


def greys(made):
    """Of pictures of one grey each; fails if one has another."""
    pixels = made.images[:].reshape(len(made), -1)
    assert np.array_equal(pixels.min(1), pixels.max(1))
    return pixels[:, 0].tolist()


def paint(root, name, grey):
    """Another grey in place of that of run/number."""
    run, number = name.split("/")
    path = root / run / f"images/frame_{int(number):05}.png"
    assert cv2.imwrite(str(path), np.full((16, 32, 3), grey, np.uint8))


ALL = ["run_1/0", "run_1/1", "run_1/2", "run_2/0", "run_2/1"]


def test_the_second_pack_decodes_nothing_and_is_the_same(root, decoded):
    first = pack(root, size=(32, 32))
    assert decoded() == ALL
    again = pack(root, size=(32, 32))
    assert decoded() == []
    assert np.array_equal(again.images[:], first.images[:])
    assert first.images[1][8:24].min() == first.images[1].max() == 1  # letterboxed: bars are black
    assert first.images[1][:8].max() == first.images[1][24:].max() == 0
    assert all(map(np.array_equal, again.boxes, first.boxes))
    assert np.allclose(again.boxes[0], [[0.25, 0.375, 0.5, 0.5]])
    assert [frame.key for frame in again.frames] == [frame.key for frame in first.frames]


def test_one_run_and_any_split_use_what_the_root_left(root, decoded):
    pack(root)
    decoded()
    assert greys(pack(root / "run_2")) == [0, 1]
    assert greys(pack(root, slice(None, None, -1))) == [1, 0, 2, 1, 0]
    assert decoded() == []


def test_sides_add_to_each_other(root, decoded):
    assert greys(pack(root, slice(3))) == [0, 1, 2]
    assert greys(pack(root, slice(2, 5))) == [2, 0, 1]
    assert decoded() == ALL
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == []


def test_another_size_or_way_of_resizing_is_decoded_anew(root, decoded):
    pack(root)
    pack(root, size=(16, 8))
    pack(root, resize_mode="force")
    assert decoded() == sorted(3 * ALL)
    pack(root, size=(16, 8))
    assert decoded() == []


def test_boxes_come_from_the_labels_not_from_the_cache(root, decoded):
    pack(root)
    decoded()
    label = root / "run_1/labels/frame_00000.json"
    label.write_text(label.read_text().replace("0.25", "0.125"))
    assert np.allclose(pack(root).boxes[0], [[0.125, 0.125, 0.5, 0.5]])
    assert pack(root, max_boxes=1).tally.counts == {}
    assert decoded() == []


def test_a_new_frame_alone_is_decoded(root, decoded):
    pack(root, slice(4))
    decoded()
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == ["run_2/1"]


def test_a_changed_picture_alone_is_decoded(root, decoded):
    pack(root)
    decoded()
    paint(root, "run_1/1", 77)
    settle()
    assert greys(pack(root)) == [0, 77, 2, 0, 1]
    assert decoded() == ["run_1/1"]
    assert greys(pack(root)) == [0, 77, 2, 0, 1]
    assert decoded() == []


@pytest.mark.parametrize("keep_mtime", [False, True])
def test_a_picture_of_the_same_size_is_noticed(root, decoded, keep_mtime):
    paint(root, "run_2/1", 100)
    settle()
    pack(root)
    decoded()
    path = root / "run_2/images/frame_00001.png"
    before = path.stat()
    paint(root, "run_2/1", 101)
    assert path.stat().st_size == before.st_size
    if keep_mtime:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert greys(pack(root)) == [0, 1, 2, 0, 101]
    assert decoded() == ["run_2/1"]


def test_a_picture_that_changed_a_moment_ago_is_not_trusted(root, decoded, monkeypatch):
    monkeypatch.setattr(frame_cache, "SETTLED_S", 60)
    pack(root)
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == sorted(2 * ALL)


def spoil(root):
    (root / "run_1/images/frame_00001.png").write_bytes(b"not a picture")
    image = root / "run_2/images/frame_00000.png"
    image.write_bytes(image.read_bytes()[:60])
    settle()


def test_pictures_that_cannot_be_decoded_are_counted_every_time(root, decoded):
    spoil(root)
    first = pack(root)
    decoded()
    again = pack(root)
    assert decoded() == []
    for made in (first, again):
        assert greys(made) == [0, 2, 1]
        assert made.tally.counts == {"frame: image unreadable": 2}
        assert [frame.key for frame in made.frames] == [
            "run_1/labels/frame_00000.json",
            "run_1/labels/frame_00002.json",
            "run_2/labels/frame_00001.json",
        ]
    assert again.tally == first.tally


def test_strict_raises_every_time_and_what_was_decoded_stays(root, decoded):
    spoil(root)
    for _ in range(2):
        with pytest.raises(UserError, match=r"run_1/labels/frame_00001\.json .*image unreadable"):
            pack(root, strict=True)
    assert decoded() == ALL
    paint(root, "run_1/1", 1)
    paint(root, "run_2/0", 0)
    settle()
    assert greys(pack(root, strict=True)) == [0, 1, 2, 0, 1]
    assert decoded() == ["run_1/1", "run_2/0"]


def test_a_file_that_could_not_be_read_is_tried_again(root, decoded, monkeypatch):
    def failing(path, most_bytes):
        if path.parts[-3::2] == ("run_1", "frame_00000.png"):
            raise OSError(5, "Input/output error")
        return read_regular(path, most_bytes)

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "read_regular", failing)
        assert pack(root).tally.counts == {"frame: image unreadable": 1}
    decoded()
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == ["run_1/0"]


def only(cache, suffix):
    """The one file of that suffix in the cache."""
    (path,) = cache.glob(f"*/*{suffix}")
    return path


def truncate(cache):
    path = only(cache, ".pixels")
    before = path.stat()
    os.truncate(path, before.st_size - 1)
    os.utime(path, (before.st_atime, before.st_mtime))


def overwrite_pixels(cache):
    with only(cache, ".pixels").open("rb+") as file:
        file.write(b"\xff")


def cut_table(cache):
    path = only(cache, ".json")
    path.write_bytes(path.read_bytes()[:-10])


def flip_table(cache):
    path = only(cache, ".json")
    path.write_bytes(path.read_bytes().replace(b"run_1", b"run_3"))


def empty_table(cache):
    only(cache, ".json").write_bytes(b"")


def remove_pixels(cache):
    only(cache, ".pixels").unlink()


def remove_table(cache):
    only(cache, ".json").unlink()


def remove_all(cache):
    shutil.rmtree(cache)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        overwrite_pixels,
        cut_table,
        flip_table,
        empty_table,
        remove_pixels,
        remove_table,
        remove_all,
    ],
)
def test_a_damaged_block_is_replaced(root, decoded, cache, damage):
    pack(root)
    decoded()
    damage(cache)
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == ALL
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == []
    assert only(cache, ".pixels").stem == only(cache, ".json").stem


def test_another_version_decodes_anew(root, decoded, monkeypatch):
    pack(root)
    monkeypatch.setattr(blocks, "__version__", "0.0.0")
    pack(root)
    assert decoded() == sorted(2 * ALL)


def test_a_pack_outlives_its_files(root, cache):
    made = pack(root)
    again = pack(root)
    shutil.rmtree(cache)
    assert greys(made) == greys(again) == [0, 1, 2, 0, 1]


def test_size_and_place_are_told(root, cache, caplog):
    with caplog.at_level("INFO"):
        pack(root, slice(3))
        pack(root)
    (folder,) = cache.iterdir()
    told = [record.getMessage() for record in caplog.records]
    place = f"decoded frames: 0.0 MB in {folder} (delete it any time)"
    assert told == [
        f"decoded 3 of 3 training frames; {place}",
        f"decoded 2 of 5 training frames; {place}",
    ]


def not_a_folder(_, cache):
    cache.parent.parent.write_text("no folder")


def full_disk(monkeypatch, cache):
    reserve = os.posix_fallocate

    def full(descriptor, *sizes):
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(cache):
            raise OSError(28, "No space left on device")
        reserve(descriptor, *sizes)

    monkeypatch.setattr(os, "posix_fallocate", full)


def full_disk_at_the_end(monkeypatch, _):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blocks, "write_atomic", full)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at open files as Linux shows them")
@pytest.mark.parametrize("trouble", [not_a_folder, full_disk, full_disk_at_the_end])
def test_without_room_in_the_cache_a_warning_and_a_file_without_a_name(
    root, decoded, cache, trouble, monkeypatch, tmp_path, caplog
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    trouble(monkeypatch, cache)
    made = pack(root)
    assert greys(made) == [0, 1, 2, 0, 1]
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert f"training frames can't be kept decoded in {cache}" in warning.getMessage()
    assert "XDG_CACHE_HOME" in warning.getMessage()
    assert decoded() == ALL
    assert list(cache.glob("*/*")) == list((tmp_path / "temporary").iterdir()) == []
    pack(root)
    assert decoded() == ALL


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room can't be reserved here")
def test_without_room_anywhere_it_is_a_user_error_before_the_work_begins(
    root, decoded, cache, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"no room for .* GB of decoded frames"):
        pack(root)
    assert decoded() == []
    assert list(cache.glob("*/*")) == []


def test_an_error_while_decoding_leaves_nothing(root, cache, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(decode_pictures, "resize_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(root)
    assert list(cache.glob("*/*")) == []


def test_blocks_of_frames_that_are_gone_are_removed(root, cache, decoded):
    pack(root, slice(3))
    kept = only(cache, ".pixels")
    pack(root)
    assert len(list(cache.glob("*/*.pixels"))) == 2
    for number in (0, 1):
        paint(root, f"run_2/{number}", 50 + number)
    settle()
    assert greys(pack(root)) == [0, 1, 2, 50, 51]
    left = sorted(cache.glob("*/*.pixels"))
    assert len(left) == 2
    assert kept in left
    decoded()
    assert greys(pack(root)) == [0, 1, 2, 50, 51]
    assert decoded() == []


def test_too_many_blocks_become_one(root, cache, decoded, monkeypatch):
    monkeypatch.setattr(blocks, "MOST_BLOCKS", 2)
    for end in (1, 2, 3):
        pack(root, slice(end))
    assert len(list(cache.glob("*/*.json"))) == 3
    decoded()
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == ALL
    only(cache, ".json")
    only(cache, ".pixels")


def test_what_is_long_unused_or_of_a_root_that_is_gone_is_removed(root, cache, tmp_path):
    other = shutil.copytree(root, tmp_path / "other")
    settle()
    pack(other)
    (gone,) = cache.iterdir()
    pack(root, size=(16, 8))
    (old,) = set(cache.iterdir()) - {gone}
    pack(root, resize_mode="force")
    (used,) = set(cache.iterdir()) - {gone, old}
    long_ago = time.time() - (blocks.KEPT_DAYS + 1) * 24 * 3600
    for folder in (old, used):
        os.utime(folder, (long_ago, long_ago))
    pack(root, resize_mode="force")  # marks it as used
    shutil.rmtree(other)
    pack(root)
    assert used.exists()
    assert not gone.exists()
    assert not old.exists()
    assert len(list(cache.iterdir())) == 2


def in_a_process(root, settled_s, begun, may_go_on, results):
    """Packs; says when it decodes or waits for another, and at the end how many it decoded."""
    frame_cache.SETTLED_S = settled_s
    count, read = [], read_picture

    def spy(path):
        count.append(path)
        begun.set()
        assert may_go_on.wait(60)
        return read(path)

    class SpyLock(FolderLock):
        def __init__(self, folder, *, wait=False):
            if wait:
                begun.set()
            super().__init__(folder, wait=wait)

    patch = pytest.MonkeyPatch()
    patch.setattr(decode_pictures, "read_picture", spy)
    patch.setattr(blocks, "FolderLock", SpyLock)
    made = pack(root)
    results.put((len(count), greys(made)))


@pytest.fixture
def processes(monkeypatch):
    """Starts processes that pack; those that still run at the end are killed."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where they find this module
    spawn, running = multiprocessing.get_context("spawn"), []

    def start(root):
        begun, may_go_on, results = spawn.Event(), spawn.Event(), spawn.Queue()
        arguments = (root, SETTLED_S, begun, may_go_on, results)
        process = spawn.Process(target=in_a_process, args=arguments)
        process.start()
        running.append((process, *arguments))  # events that nobody holds are gone
        return process, begun, may_go_on, results

    yield start
    for process, *_ in running:
        process.kill()
        process.join()


@pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")
def test_of_two_processes_at_once_one_decodes_for_both(root, cache, decoded, processes):
    both = processes(root), processes(root)
    for _, begun, _, _ in both:
        assert begun.wait(60)
    for _, _, may_go_on, _ in both:
        may_go_on.set()
    found = sorted(results.get(timeout=600) for *_, results in both)
    assert found == [(0, [0, 1, 2, 0, 1]), (5, [0, 1, 2, 0, 1])]
    only(cache, ".pixels")
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == []


def no_lock(_):
    raise OSError(37, "No locks available")


@contextmanager
def one_thread():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_without_locks_two_processes_at_once_do_no_harm(root, decoded, monkeypatch):
    """The second comes while the first decodes, and takes the first's file for a leftover."""
    monkeypatch.setattr(blocks, "FolderLock", no_lock)
    greys_of_second: list[list[int] | None] = []

    def second_comes(*arguments):
        if not greys_of_second:
            greys_of_second.append(None)
            greys_of_second[0] = greys(pack(root))
        return resize_picture(*arguments)

    monkeypatch.setattr(decode_pictures, "_threads", one_thread)
    monkeypatch.setattr(decode_pictures, "resize_picture", second_comes)
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert greys_of_second == [[0, 1, 2, 0, 1]]
    decoded()
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == []


def test_a_killed_process_leaves_nothing_that_is_used_or_stays(root, cache, decoded, processes):
    process, begun, _, _ = processes(root)
    assert begun.wait(60)
    leftover = only(cache, ".pixels")
    assert not list(cache.glob("*/*.json"))
    process.kill()
    process.join()
    assert leftover.exists()
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == ALL
    assert not leftover.exists()
    assert only(cache, ".pixels").stem == only(cache, ".json").stem


@pytest.mark.parametrize("linked", ["frames", "a folder in it"])
def test_a_folder_that_is_a_link_is_not_used_and_nothing_in_it_lost(
    linked, root, decoded, cache, tmp_path, caplog
):
    pack(root)
    decoded()
    place = cache if linked == "frames" else next(cache.iterdir())
    victim = tmp_path / "victim"
    place.rename(victim)
    place.symlink_to(victim)
    (victim / "thesis.txt").write_text("years of work")
    (victim / f"{'0' * 16}.json").write_text("damaged")
    before = {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    times = victim.stat().st_mtime_ns
    assert greys(pack(root)) == [0, 1, 2, 0, 1]
    assert decoded() == ALL
    assert {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before
    assert victim.stat().st_mtime_ns == times
    assert f"{place} is a link to {victim}, which isn't written through" in caplog.text


def test_of_forgotten_folders_links_and_the_files_of_others_stay(root, cache, tmp_path):
    pack(root, slice(1))
    long_ago = time.time() - (blocks.KEPT_DAYS + 1) * 24 * 3600
    victim = tmp_path / "victim"
    for folder in (victim, cache / ("a" * 32), cache / "notes"):
        folder.mkdir()
        (folder / "thesis.txt").write_text("years of work")
        (folder / f"{'0' * 16}.pixels").touch()
    (cache / ("b" * 32)).symlink_to(victim)
    (only(cache, ".json").parent / "thesis.txt").write_text("years of work")
    for folder in (victim, cache / ("a" * 32), cache / "notes"):
        os.utime(folder, (long_ago, long_ago))
    pack(root)
    assert len(list(cache.rglob("thesis.txt"))) == 3
    assert (victim / "thesis.txt").is_file()
    assert (victim / f"{'0' * 16}.pixels").is_file()
    assert (cache / "notes" / f"{'0' * 16}.pixels").is_file()
    assert not (cache / ("a" * 32) / f"{'0' * 16}.pixels").exists()
