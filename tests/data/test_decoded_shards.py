"""Frames of shards that are kept decoded: the same batches, decoded once, come what may."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from endoforge.captures.pictures import decode_picture
from endoforge.captures.tally import Tally
from endoforge.core.files import write_at
from endoforge.data import blocks, decoded_shards, row_files, shard_cache, shard_frames, stream
from endoforge.data.loader import Batch, Shard
from endoforge.data.shard_cache import ShardCache
from endoforge.data.shard_frames import ShardFrames
from endoforge.data.stream import StreamLoader
from tests.data.shard_files import frames_of, write_shard

SIZE = (32, 32)
NUM_FRAMES = 12
FAR_TOO_MUCH = 10**18


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder of decoded frames; files settle at once, and the disk has room."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shard_cache, "SETTLED_S", 0.0)
    monkeypatch.setattr(decoded_shards, "LEFT_FREE", 0)
    return tmp_path / "cache/endoforge/frames"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two shards, of seven and five frames."""
    write_shard(tmp_path / "shards/a.tar", frames_of("run_0", range(10, 17)))
    write_shard(tmp_path / "shards/b.tar", frames_of("run_1", range(20, 25)))
    time.sleep(0.02)
    return tmp_path / "shards"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the bytes of each picture that is decoded."""
    sizes: list[int] = []

    def spy(data: bytes) -> Any:
        sizes.append(len(data))
        return decode_picture(data)

    monkeypatch.setattr(shard_frames, "decode_picture", spy)
    return sizes


def loader_of(root: Path, **others: Any) -> StreamLoader:
    """A loader of all frames in a folder of shards."""
    index = ShardCache("label")
    names = sorted(path.name for path in root.glob("*.tar"))
    indexes = [index.index(root / name) for name in names]
    counts = np.array([len(one) for one in indexes])
    digests = [one.digest for one in indexes]
    frames = ShardFrames(root, names, digests, counts, None, ("polyp",), index)
    settings: dict[str, Any] = {"size": SIZE, "resize_mode": "letterbox"} | others
    return StreamLoader(frames, 4, seed=3, max_boxes=8, most_boxes=2, **settings)


def epoch(root: Path, number: int = 0, start: int = 0, **others: Any) -> list[Batch]:
    """The batches of an epoch, of a loader of its own."""
    loader = loader_of(root, **others)
    try:
        return list(loader.batches(number, start))
    finally:
        loader.close()


def as_bytes(batches: list[Batch]) -> list[tuple[bytes, ...]]:
    """All that is in some batches."""
    return [
        tuple(x.numpy().tobytes() for x in (one.images, one.boxes, one.classes, one.num_boxes))
        for one in batches
    ]


def never_kept(root: Path, number: int = 0, **others: Any) -> list[tuple[bytes, ...]]:
    """The batches as they are where the disk has no room."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded_shards, "LEFT_FREE", FAR_TOO_MUCH)
        patch.setenv("XDG_CACHE_HOME", str(root.parent / "no room"))
        return as_bytes(epoch(root, number, **others))


def files_of_rows(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.rows"))


@pytest.mark.parametrize("mode", ["letterbox", "force"])
def test_a_frame_is_decoded_once_and_batches_are_the_same_bytes(mode, root, cache, decoded):
    want = [never_kept(root, number, resize_mode=mode) for number in range(2)]
    decoded.clear()
    assert as_bytes(epoch(root, 0, resize_mode=mode)) == want[0]
    assert len(decoded) == NUM_FRAMES
    assert as_bytes(epoch(root, 1, resize_mode=mode)) == want[1]
    assert as_bytes(epoch(root, 0, start=2, resize_mode=mode)) == want[0][2:]
    assert len(decoded) == NUM_FRAMES
    assert len(files_of_rows(cache)) == 2


def test_one_that_is_left_in_mid_epoch_leaves_what_it_has_decoded(root, decoded):
    epoch(root, start=1)
    assert len(decoded) == 8
    epoch(root)
    assert len(decoded) == NUM_FRAMES


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_what_one_has_decoded(count, root, decoded):
    for number in range(count):
        epoch(root, shard=Shard(number, count))
    assert len(decoded) == NUM_FRAMES
    for number in range(count):
        epoch(root, 1, shard=Shard(number, count))
    assert as_bytes(epoch(root)) == never_kept(root)
    assert len(decoded) == 2 * NUM_FRAMES  # by the one that never keeps


def test_two_at_once_do_no_harm(root, decoded):
    want = never_kept(root)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(epoch, root) for _ in range(2)]
        assert [as_bytes(one.result()) for one in both] == [want, want]
    decoded.clear()
    assert as_bytes(epoch(root)) == want
    assert decoded == []


@pytest.mark.parametrize("others", [{"size": (64, 32)}, {"resize_mode": "force"}])
def test_another_size_or_way_of_resizing_is_decoded_anew(others, root, decoded):
    epoch(root)
    epoch(root, **others)
    assert len(decoded) == 2 * NUM_FRAMES
    epoch(root, **others)
    epoch(root)
    assert len(decoded) == 2 * NUM_FRAMES


def test_a_changed_shard_alone_is_decoded_anew(root, cache, decoded):
    """Its size and its time are as before; the old file goes."""
    epoch(root)
    old = files_of_rows(cache)
    shard = root / "b.tar"
    before = shard.stat()
    write_shard(shard, frames_of("run_1", range(60, 65)))
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert shard.stat().st_size == before.st_size
    time.sleep(0.02)
    decoded.clear()
    found = {grey for batch in epoch(root) for grey in batch.images[:, 16, 0, 0].tolist()}
    assert found == {*range(10, 17), *range(60, 65)}
    assert len(decoded) == 5
    new = files_of_rows(cache)
    assert len(new) == 2
    assert len({*old, *new}) == 3


def test_a_shard_that_changed_a_moment_ago_isnt_trusted(root, cache, decoded, monkeypatch):
    monkeypatch.setattr(shard_cache, "SETTLED_S", 60.0)
    epoch(root)
    epoch(root)
    assert len(decoded) == 2 * NUM_FRAMES
    assert files_of_rows(cache) == []


@pytest.mark.parametrize("kept", [0, 1, 100, 400, 3000, 4000, 9999, 10_000])
def test_what_a_killed_process_left_is_never_taken_for_whole(kept, root, cache, decoded):
    want = as_bytes(epoch(root))
    for path in files_of_rows(cache):
        path.write_bytes(path.read_bytes()[:kept])
    decoded.clear()
    assert as_bytes(epoch(root)) == want
    assert decoded
    decoded.clear()
    assert as_bytes(epoch(root)) == want
    assert decoded == []


@pytest.mark.parametrize("what", ["a byte", "a page of zeros", "a row of another place"])
def test_a_damaged_row_is_decoded_again(what, root, cache, decoded):
    want = as_bytes(epoch(root))
    path = files_of_rows(cache)[0]
    data = bytearray(path.read_bytes())
    row_bytes = 8 + SIZE[0] * SIZE[1] * 3
    last = len(data) - row_bytes
    if what == "a byte":
        data[-1500] ^= 16
    elif what == "a page of zeros":
        data[-2000:-1000] = bytes(1000)
    else:
        data[last:] = data[last - row_bytes : last]
    path.write_bytes(data)
    decoded.clear()
    assert as_bytes(epoch(root)) == want
    assert len(decoded) == 1


def test_a_hole_isnt_taken_for_a_black_picture(tmp_path, decoded, cache):
    write_shard(tmp_path / "shards/a.tar", frames_of("run_0", [0, 0, 0]))
    time.sleep(0.02)
    epoch(tmp_path / "shards")
    (path,) = files_of_rows(cache)
    size = path.stat().st_size
    head = path.read_bytes().partition(b"\n")[0] + b"\n"
    path.write_bytes(head + bytes(size - len(head)))
    decoded.clear()
    epoch(tmp_path / "shards")
    assert len(decoded) == 3


def test_the_folder_may_go_while_a_training_runs(root, cache, decoded):
    want = as_bytes(epoch(root))
    shutil.rmtree(cache)
    assert as_bytes(epoch(root)) == want
    assert len(decoded) == 2 * NUM_FRAMES
    epoch(root)
    assert len(decoded) == 2 * NUM_FRAMES


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def test_what_there_is_no_room_for_is_decoded_each_time_and_told_once(
    root, cache, decoded, monkeypatch, caplog
):
    want = as_bytes(epoch(root))
    shutil.rmtree(cache)
    decoded.clear()
    written: list[int] = []

    def until_full(path: Path, *rest: Any) -> None:
        if len(written) == 5:
            raise OSError(28, os.strerror(28), str(path))
        write_at(path, *rest)
        written.append(1)

    monkeypatch.setattr(row_files, "write_at", until_full)
    monkeypatch.setattr(stream, "cpu_cores", lambda: 1)
    assert as_bytes(epoch(root)) == want
    at_once, in_the_end = warnings_in(caplog)
    assert f"no more training frames are kept decoded in {cache}" in at_once
    assert "XDG_CACHE_HOME" in at_once
    assert "No space left on device" in at_once
    told = "7 of 12 training frames couldn't be kept decoded: every epoch decodes them again"
    assert in_the_end == told
    decoded.clear()
    assert as_bytes(epoch(root)) == want
    assert len(decoded) == NUM_FRAMES - 5


def test_the_frames_of_all_processes_are_counted_and_told_once(root, monkeypatch, caplog):
    """Of two processes, one has no room; the other one is heard alone."""
    tallies: list[Tally] = []

    def gather(tally: Tally) -> list[Tally]:
        tallies.append(tally)
        return tallies

    with monkeypatch.context() as patch:
        patch.setattr(decoded_shards, "LEFT_FREE", FAR_TOO_MUCH)
        epoch(root, shard=Shard(1, 2), gather=gather)
    caplog.clear()
    stream = loader_of(root, shard=Shard(0, 2), gather=gather)
    for number in range(2):
        list(stream.batches(number))
    stream.close()
    told = "6 of 12 training frames couldn't be kept decoded: every epoch decodes them again"
    assert warnings_in(caplog) == [told]


def test_some_of_the_disk_stays_free(root, cache, decoded, monkeypatch, caplog):
    caplog.set_level("INFO")
    frame_bytes = SIZE[0] * SIZE[1] * 3
    monkeypatch.setattr(decoded_shards, "LEFT_FREE", 2 * 10**9)
    monkeypatch.setattr(decoded_shards, "free_bytes", lambda _: 2 * 10**9 + 3 * frame_bytes)
    epoch(root)
    told = [one.getMessage() for one in caplog.records]
    (folder,) = cache.iterdir()
    assert told == [
        "training frames are kept decoded as they are used, while 2.0 GB of the disk stay free: "
        f"0.0 MB for all, 0.0 MB are there; in {folder} (delete it any time)",
        "there is room for some 3 of 12 training frames decoded, the others are decoded in every "
        "epoch: make room there, or set XDG_CACHE_HOME to another folder",
    ]
    monkeypatch.setattr(decoded_shards, "free_bytes", lambda _: 2 * 10**9 + frame_bytes - 1)
    caplog.clear()
    shutil.rmtree(cache)
    decoded.clear()
    for _ in range(2):
        epoch(root)
    assert len(decoded) == 2 * NUM_FRAMES
    lines = [one.partition(" training frames")[0] for one in warnings_in(caplog)]
    assert lines == ["there is room for some 0 of 12", "12 of 12"] * 2


def test_a_cache_that_is_no_folder_costs_time_alone(root, tmp_path, decoded, caplog):
    (tmp_path / "cache/endoforge").mkdir(parents=True)
    (tmp_path / "cache/endoforge/frames").write_text("no folder")
    want = never_kept(root)
    decoded.clear()
    caplog.clear()
    for _ in range(2):
        assert as_bytes(epoch(root)) == want
    assert len(decoded) == 2 * NUM_FRAMES
    assert len([one for one in warnings_in(caplog) if "no more training frames" in one]) == 2


@pytest.mark.parametrize("linked", ["frames", "a folder in it", "a file in that"])
def test_nothing_is_written_through_a_link(linked, root, cache, tmp_path, decoded, caplog):
    want = as_bytes(epoch(root))
    folder = next(cache.iterdir())
    place = {"frames": cache, "a folder in it": folder}.get(linked, files_of_rows(cache)[0])
    victim = tmp_path / "victim"
    place.rename(victim)
    place.symlink_to(victim)
    for path in [victim] if victim.is_file() else victim.rglob("*.rows"):
        path.write_text("years of work")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.rows") if path.is_file()}
    decoded.clear()
    assert as_bytes(epoch(root)) == want
    assert decoded
    if linked == "a file in that":
        assert victim.read_text() == "years of work"
    else:
        assert {path: path.read_bytes() for path in before} == before
        assert "no more training frames are kept" in caplog.text


def test_what_is_long_unused_or_of_a_root_that_is_gone_is_removed(root, cache, tmp_path):
    other = tmp_path / "other"
    write_shard(other / "a.tar", frames_of("run_0", range(3)))
    time.sleep(0.02)
    epoch(other)
    (gone,) = cache.iterdir()
    epoch(root, resize_mode="force")
    (old,) = {*cache.iterdir()} - {gone}
    epoch(root)
    long_ago = time.time() - (blocks.KEPT_DAYS + 1) * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    shutil.rmtree(other)
    epoch(root)
    assert not gone.exists()
    assert not old.exists()
    assert len(list(cache.iterdir())) == 1
    assert len(files_of_rows(cache)) == 2


def test_pictures_that_cant_be_decoded_are_told_each_time(tmp_path, cache, decoded, caplog):
    members = frames_of("run_0", range(12))
    members["run_0/frame_00003.png"] = b"no picture"
    write_shard(tmp_path / "shards/a.tar", members)
    time.sleep(0.02)
    first = as_bytes(epoch(tmp_path / "shards"))
    decoded.clear()
    caplog.clear()
    assert as_bytes(epoch(tmp_path / "shards")) == first
    assert len(decoded) == 1
    assert "dropped 1 x frame: image unreadable" in caplog.text
    assert len(files_of_rows(cache)) == 1


def test_holes_dont_count_for_what_is_kept(root):
    folder = blocks.BlockFolder(root, SIZE, "letterbox")
    rows = folder.row_file("a.tar", (1, 2, 3), b"pictures")
    rows.write(10_000, np.ones((*SIZE, 3), np.uint8))
    assert rows.path.stat().st_size > 10_000 * 3072
    assert folder.num_bytes(in_rows=True) < 10**6
