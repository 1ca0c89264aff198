"""Batches from shards: each frame once an epoch, the same ones whoever asks for what part."""

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.data.loader import Shard
from endoforge.data.shard_cache import ShardCache
from endoforge.data.shard_frames import ShardFrames, ShardOrder, rows_of
from endoforge.data.stream import StreamLoader
from tests.data.shard_files import HEIGHT, WIDTH, frames_of, pair, write_shard

SIZES = (13, 1, 20, 7)
"""Frames of four shards; 41 in all."""
GREYS = list(range(10, 10 + sum(SIZES)))


def frames_in(root, runs=None):
    """All frames of the shards in a folder, or those of some runs."""
    cache = ShardCache("label")
    shards = sorted(path.name for path in root.glob("*.tar"))
    indexes = [cache.index(root / name) for name in shards]
    counts = np.array([len(rows_of(index, runs)) for index in indexes])
    digests = [index.digest for index in indexes]
    return ShardFrames(root, shards, digests, counts, runs, ("polyp",), cache)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Four shards of two runs; the grey of each frame is its own. Don't change it."""
    folder = tmp_path_factory.mktemp("shards")
    first = 0
    for number, size in enumerate(SIZES):
        greys = GREYS[first : first + size]
        half = size // 2
        members = {**frames_of(f"run_{number}", greys[:half]), **frames_of("run_x", greys[half:])}
        write_shard(folder / f"all-{number:06d}.tar", members)
        first += size
    return folder


@pytest.fixture
def loader():
    made = []

    def make(frames, batch_size=4, **others):
        settings: dict[str, Any] = {
            "seed": 3,
            "size": (WIDTH, HEIGHT),
            "resize_mode": "letterbox",
            "max_boxes": 8,
            "most_boxes": 2,
            "window": 16,
        }
        made.append(StreamLoader(frames, batch_size, **(settings | others)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def greys(batches):
    """The grey of each picture, a list for each batch."""
    return [batch.images[:, 0, 0, 0].tolist() for batch in batches]


def flat(lists):
    """What is in some lists, as one."""
    return list(chain.from_iterable(lists))


def same(one, other):
    tensors = ("images", "boxes", "classes", "num_boxes")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in tensors)


def test_an_epoch_has_every_frame_once_and_each_epoch_another_order(root, loader):
    stream = loader(frames_in(root))
    assert len(stream) == 11
    first, second = (greys(stream.batches(epoch)) for epoch in (0, 1))
    assert [len(each) for each in first] == [4] * 10 + [1]
    assert sorted(flat(first)) == sorted(flat(second)) == GREYS
    assert first != second
    assert greys(loader(frames_in(root)).batches(0)) == first
    assert greys(loader(frames_in(root), seed=4).batches(0)) != first


def test_frames_come_with_their_boxes_and_places(root, loader):
    places: list[tuple[int, int]] = []
    for batch in loader(frames_in(root)).batches(0):
        grey = batch.images[:, 0, 0, 0]
        assert (batch.images == grey[:, None, None, None]).all()
        assert batch.num_boxes.tolist() == [1] * len(grey)
        assert torch.equal(batch.boxes[:, 0, 2], grey / 256)
        assert batch.boxes[:, 1].sum() == 0
        assert batch.boxes.shape == (len(grey), 2, 4)
        places += zip(batch.indices.tolist(), grey.tolist(), strict=True)
    assert [grey for _, grey in sorted(places)] == GREYS


def test_only_the_frames_of_some_runs_come(root, loader):
    own = frames_in(root, frozenset({"run_x"}))
    found = flat(greys(loader(own).batches(0)))
    starts = np.cumsum((0, *SIZES))
    wanted = [
        GREYS[k]
        for n, size in enumerate(SIZES)
        for k in range(starts[n] + size // 2, starts[n + 1])
    ]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_processes_share_the_batches_of_one(count: int, root, loader):
    """Five of them, of which one has no row of a batch of four, and most none of the last one."""
    whole = list(loader(frames_in(root)).batches(1))
    parts = [
        list(loader(frames_in(root), shard=Shard(number, count)).batches(1))
        for number in range(count)
    ]
    for number, batch in enumerate(whole):
        own = [part[number] for part in parts]
        assert greys([batch]) == [flat(greys(own))]
        assert [one.num_all for one in own] == [len(batch.images)] * count
        rows = [row for one in own for row in range(len(batch.images))[one.rows]]
        assert rows == list(range(len(batch.images)))


@pytest.mark.parametrize("start", [0, 3, 10, 11])
def test_an_epoch_can_be_entered_anywhere(start: int, root, loader):
    whole = list(loader(frames_in(root)).batches(2))
    later = list(loader(frames_in(root)).batches(2, start=start))
    assert len(later) == len(whole) - start
    assert all(same(*two) for two in zip(later, whole[start:], strict=True))


def test_every_second_batch(root, loader):
    stream = loader(frames_in(root))
    assert greys(stream.batches(0, 1, 2)) == greys(stream.batches(0))[1::2]


def test_a_batch_left_behind_changes_nothing(root, loader):
    stream = loader(frames_in(root))
    next(stream.batches(0))
    assert greys(stream.batches(1)) == greys(loader(frames_in(root)).batches(1))


def test_a_last_batch_that_isnt_full_can_be_left_out(root, loader):
    assert [len(each) for each in greys(loader(frames_in(root), drop_last=True).batches(0))] == [
        4
    ] * 10
    with pytest.raises(UserError, match="--drop-last leaves no batch of 41 frames"):
        loader(frames_in(root), 42, drop_last=True)


def test_shards_are_shuffled_and_frames_within_windows_of_them():
    counts = np.array([10] * 100)
    order = ShardOrder(counts, window=50, seed=0)
    windows = [order.window_of(0, number) for number in range(20)]
    every = {(int(shard), int(place)) for window in windows for shard, place in window}
    assert every == {(shard, place) for shard in range(100) for place in range(10)}
    for window in windows:
        assert sorted(Counter(window[:, 0].tolist()).values()) == [10] * 5  # five whole shards
        assert len({*window[:10, 0].tolist()}) > 1  # which mix
    firsts = [sorted({*window[:, 0].tolist()}) for window in windows]
    assert firsts != sorted(firsts)  # not in their order on the disk
    assert not np.array_equal(windows[0], order.window_of(1, 0))


def test_a_window_may_hold_part_of_a_shard():
    order = ShardOrder(np.array([7, 3, 5]), window=4, seed=1)
    windows = [order.window_of(0, number) for number in range(4)]
    assert [len(window) for window in windows] == [4, 4, 4, 3]
    every = sorted(tuple(row) for window in windows for row in window.tolist())
    assert every == [(s, p) for s, n in enumerate((7, 3, 5)) for p in range(n)]


def test_of_more_boxes_the_largest_are_learned_from(tmp_path, loader):
    boxes = [[0, 0, 0.1, 0.1], [0, 0, 1, 1], [0, 0, 0.5, 0.5]]
    write_shard(tmp_path / "s.tar", pair("r/a", 9, boxes))
    (batch,) = loader(frames_in(tmp_path), max_boxes=2).batches(0)
    assert batch.boxes[0].tolist() == boxes[1:]


def spoilt(tmp_path, bad):
    """A shard of 20 frames in which these are no pictures, or of another size than they say."""
    members = frames_of("r", range(20))
    for number in bad:
        members[f"r/frame_{number:05d}.png"] = b"no picture"
    write_shard(tmp_path / "s.tar", members)
    return frames_in(tmp_path)


@pytest.mark.parametrize("count", [1, 3])
def test_another_frame_comes_for_one_that_cant_be_decoded(count, tmp_path, loader, caplog):
    frames = spoilt(tmp_path, [4, 5, 17])
    tallies: list[Tally] = []

    def gather(tally):
        tallies.append(tally)
        return tallies if len(tallies) == count else [Tally()]

    parts = [
        greys(loader(frames, shard=Shard(number, count), gather=gather).batches(0))
        for number in range(count)
    ]
    together = [flat(rows) for rows in zip(*parts, strict=True)]
    assert together == greys(loader(frames).batches(0))
    seen = Counter(flat(together))
    assert seen.total() == 20
    assert set(seen) == set(range(20)) - {4, 5, 17}
    assert sum((tally.counts for tally in tallies), Counter()) == {"frame: image unreadable": 3}
    assert "dropped 3 x frame: image unreadable, such as r/frame_000" in caplog.text
    assert "other training frames came in their place" in caplog.text


def test_each_epoch_counts_what_it_left_out(tmp_path, loader, caplog):
    stream = loader(spoilt(tmp_path, [4]))
    for epoch in range(2):
        caplog.clear()
        list(stream.batches(epoch))
        assert "dropped 1 x frame: image unreadable" in caplog.text


def test_a_picture_of_another_size_than_its_label_says_is_left_out(tmp_path, loader, caplog):
    members = {**frames_of("r", [1, 2]), **pair("r/c", 3, width=WIDTH + 1)}
    write_shard(tmp_path / "s.tar", members)
    assert set(flat(greys(loader(frames_in(tmp_path)).batches(0)))) == {1, 2}
    line = "frame: its label is of another size: r/c.png in s.tar (16x8, label 17x8); another comes"
    assert line in caplog.text


def test_strictly_the_first_bad_picture_ends_it(tmp_path, loader):
    stream = loader(spoilt(tmp_path, [4]), strict=True)
    with pytest.raises(
        UserError, match=r"r/frame_00004.png in s.tar \(.*\): frame: image unreadable"
    ):
        list(stream.batches(0))


def test_shards_without_any_picture_are_told(tmp_path, loader):
    with pytest.raises(
        UserError, match="none of 16 pictures that lie together in its shards can be"
    ):
        next(loader(spoilt(tmp_path, range(20))).batches(0))


def test_a_shard_that_changes_under_a_training_ends_it(tmp_path, loader):
    frames = spoilt(tmp_path, [])
    write_shard(tmp_path / "s.tar", frames_of("r", range(19)))
    with pytest.raises(UserError, match=r"s.tar has changed since the training began"):
        next(loader(frames).batches(0))
