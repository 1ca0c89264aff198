"""What is found in a shard, whole or damaged, and what the cache keeps of it."""

import json
import tarfile
import time

import numpy as np
import pytest

from endoforge.captures.run_frames import AWAITS_REVIEW
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.data import shard_cache
from endoforge.data.shard_cache import ShardCache
from endoforge.data.shard_index import index_shard
from endoforge.data.shards import MOST_DAMAGE, name_in, read_member, read_shard
from tests.data.shard_files import HEIGHT, WIDTH, frames_of, label, pair, picture, write_shard

BOX = [0.25, 0.5, 0.75, 1]


@pytest.fixture
def shard(tmp_path):
    """Writes `s.tar` of some members."""
    return lambda members: write_shard(tmp_path / "s.tar", members)


def counts(path, **settings):
    return index_shard(path, "label", **settings).tally.counts


def test_an_index_says_where_pictures_are_and_what_is_in_them(shard):
    second = label([BOX, [0, 0, 1, 1]])
    second["polyp_labels"][0]["label"] = "adenoma"
    path = shard(
        {
            **pair("run_1/frame_00003", 10),
            "run_2/frame_00001.json": json.dumps(second).encode(),
            "run_2/frame_00001.png": picture(20),
            **pair("lone", 30, [BOX]),
        }
    )
    index = index_shard(path, "label")
    pictures = [read_member(path, *place) for place in index.places.tolist()]
    assert pictures == [picture(10), picture(20), picture(30)]
    assert [index.runs[n] for n in index.run_of] == ["run_1", "run_2", "s.tar"]
    assert index.sizes.tolist() == [[WIDTH, HEIGHT]] * 3
    assert index.num_boxes.tolist() == [0, 2, 1]
    assert index.boxes.tolist() == [BOX, [0, 0, 1, 1], BOX]
    assert [index.class_names[n] for n in index.classes] == ["adenoma", "polyp", "polyp"]
    assert [index.boxes_of(row) for row in range(3)] == [slice(0, 0), slice(0, 2), slice(2, 3)]
    assert len(set(index.keys.tolist())) == 3
    assert not index.tally.counts
    assert name_in(path, int(index.places[1, 0])) == "run_2/frame_00001.png"


def test_what_cant_be_used_is_counted_and_named(shard):
    unreviewed = pair("run_1/e", 1, source="predicted")
    path = shard(
        {
            **pair("run_1/a", 1),
            "run_1/b.png": picture(1),
            "run_1/c.json": json.dumps(label()).encode(),
            "run_1/d.png": picture(1),
            "run_1/d.json": b"{}",
            **unreviewed,
            ".": b"?",
            **pair("run_1/f", 1, [[0.5, 0, 0.25, 1]]),
            "run_1/g.txt": b"?",
        }
    )
    index = index_shard(path, "label")
    assert len(index) == 1
    assert index.tally.counts == {
        "frame: no label": 1,
        "frame: no picture of its label's name": 1,
        "frame: label isn't of a capture run": 1,
        f"frame: {AWAITS_REVIEW}": 1,
        "frame: a box with reversed corners": 1,
        "label: neither a picture nor .json": 1,
    }
    assert index.tally.examples["frame: no label"] == ["run_1/b.png (in s.tar)"]
    with pytest.raises(UserError, match="leave out --strict"):
        index_shard(path, "label", strict=True)


def test_a_frame_without_the_field_that_names_its_class_is_left_out(shard):
    path = shard({**pair("run_1/a", 1, [BOX]), **pair("run_1/b", 1)})
    index = index_shard(path, "paris")
    assert len(index) == 1
    assert index.tally.counts == {"frame: a polyp without paris": 1}


def offsets(path):
    with tarfile.open(path) as archive:
        return {member.name: member.offset for member in archive}


def test_after_a_bad_header_the_next_good_one_counts(shard):
    path = shard(frames_of("run_1", range(4)))
    data = bytearray(path.read_bytes())
    bad = offsets(path)["run_1/frame_00001.json"]
    data[bad : bad + 4] = b"????"
    path.write_bytes(data)
    index = index_shard(path, "label")
    assert len(index) == 3
    assert index.tally.counts == {
        "shard: damaged (its whole frames are used)": 1,
        "frame: no label": 1,
    }
    assert index.tally.examples["shard: damaged (its whole frames are used)"] == [
        f"s.tar (a bad header at byte {bad})"
    ]


@pytest.mark.parametrize(
    ("place", "frames", "lost"),
    [
        ("run_1/frame_00002.png", 2, {}),
        ("run_1/frame_00002.json", 2, {"frame: no label": 1}),
    ],
)
@pytest.mark.parametrize("more", [0, 100, 512, 530])
def test_of_a_shard_that_is_cut_short_whole_frames_are_used(
    place: str, frames: int, lost: dict[str, int], more: int, shard
):
    """Before a member, in its header, after that, and in what follows it."""
    path = shard(frames_of("run_1", range(4)))
    path.write_bytes(path.read_bytes()[: offsets(path)[place] + more])
    index = index_shard(path, "label")
    assert len(index) == frames
    assert index.tally.counts == {"shard: damaged (its whole frames are used)": 1, **lost}


def test_a_shard_whose_end_mark_is_missing_keeps_all_its_frames(shard):
    path = shard(frames_of("run_1", range(2)))
    with tarfile.open(path) as archive:
        end = archive.getmembers()[-1].offset_data + 512
    path.write_bytes(path.read_bytes()[:end])
    assert len(index_shard(path, "label")) == 2
    assert counts(path) == {"shard: damaged (its whole frames are used)": 1}


@pytest.mark.parametrize("data", [b"", b"no tar", b"?" * 5000])
def test_what_is_no_tar_file_has_no_frame(data: bytes, tmp_path):
    path = tmp_path / "s.tar"
    path.write_bytes(data)
    index = index_shard(path, "label")
    assert len(index) == 0
    assert index.tally.counts == {"shard: damaged (its whole frames are used)": 1}


def test_nothing_is_lost_in_silence_whatever_byte_is_wrong(shard):
    """Of the header blocks and the labels; of pictures only decoding can tell."""
    path = shard(frames_of("run_1", range(3)))
    data = path.read_bytes()
    whole = index_shard(path, "label")
    pictures = {k for at, size in whole.places.tolist() for k in range(at, at + size)}
    rng = np.random.default_rng(0)
    lost = 0
    for place in rng.choice(sorted(set(range(len(data))) - pictures), 300, replace=False):
        spoilt = bytearray(data)
        spoilt[place] ^= int(rng.integers(1, 256))
        path.write_bytes(spoilt)
        index = index_shard(path, "label")
        assert len(index) == 3 or index.tally.counts, place
        assert len(index) >= 2
        lost += len(index) < 3
    assert lost > 50


def test_a_shard_that_is_made_to_be_damaged_is_given_up(tmp_path):
    bad = b"x" * 257 + b"ustar" + b"x" * 250
    path = tmp_path / "s.tar"
    path.write_bytes(bad * 1000)
    assert len(read_shard(path, Tally()).damage) == MOST_DAMAGE


def test_a_shard_that_cant_be_read_is_counted(tmp_path):
    (tmp_path / "s.tar").mkdir()
    reason = "shard: can't be read (none of its frames is used)"
    assert counts(tmp_path / "s.tar") == {reason: 1}


@pytest.fixture
def read(monkeypatch, tmp_path):
    """Which shards are read, not had from the cache; it trusts what was written just now."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shard_cache, "SETTLED_S", 0.02)
    found = []

    def spy(path, field, **settings):
        found.append(path.name)
        return index_shard(path, field, **settings)

    monkeypatch.setattr(shard_cache, "index_shard", spy)
    return found


def settled(path):
    time.sleep(0.04)
    return path


def test_a_shard_is_read_once_until_it_changes(shard, read):
    path = settled(shard({**frames_of("run_1", range(3)), "run_1/bad.png": b"?"}))
    first, again = (ShardCache("label").index(path) for _ in range(2))
    assert read == ["s.tar"]
    for name in shard_cache._ARRAYS:
        ours, theirs = getattr(first, name), getattr(again, name)
        assert np.array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert (first.runs, first.class_names, first.digest) == (
        again.runs,
        again.class_names,
        again.digest,
    )
    assert first.tally == again.tally
    assert ShardCache("paris").index(path).tally.counts["frame: a polyp without paris"] == 3
    settled(shard(frames_of("run_1", range(4))))
    assert len(ShardCache("label").index(path)) == 4
    assert read == ["s.tar"] * 3


def test_the_times_of_a_shard_dont_count_for_its_digest(shard, read):
    digests = set()
    for _ in range(2):
        digests.add(ShardCache("label").index(settled(shard(frames_of("run_1", range(3))))).digest)
    assert len(digests) == 1
    assert len(read) == 2


def test_a_strict_tally_is_told_by_reading_again(shard, read):
    path = settled(shard({**frames_of("run_1", range(3)), "run_1/bad.png": picture(1)}))
    ShardCache("label").index(path)
    with pytest.raises(UserError, match=r"run_1/bad.png \(in s.tar\): frame: no label"):
        ShardCache("label", strict=True).index(path)
    assert read == ["s.tar"] * 2


def test_an_entry_that_is_damaged_is_made_again(shard, read, tmp_path):
    path = settled(shard(frames_of("run_1", range(3))))
    ShardCache("label").index(path)
    (entry,) = (tmp_path / "cache/endoforge/shards").iterdir()
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)
    assert len(ShardCache("label").index(path)) == 3
    assert len(ShardCache("label").index(path)) == 3
    assert read == ["s.tar"] * 2


def test_without_a_cache_shards_are_read_each_time(shard, read, tmp_path, caplog):
    (tmp_path / "cache").write_text("no folder")
    path = settled(shard(frames_of("run_1", range(3))))
    cache = ShardCache("label")
    assert [len(cache.index(path)) for _ in range(2)] == [3, 3]
    assert read == ["s.tar"] * 2
    assert caplog.text.count("what is in shards can't be kept") == 1


def test_what_nothing_has_used_for_long_goes(shard, read, tmp_path, monkeypatch):
    path = settled(shard(frames_of("run_1", range(3))))
    ShardCache("label").index(path)
    ShardCache("label").tidy()
    assert len(list((tmp_path / "cache/endoforge/shards").iterdir())) == 1
    monkeypatch.setattr(shard_cache, "KEPT_DAYS", -1)
    ShardCache("label").tidy()
    assert not list((tmp_path / "cache/endoforge/shards").iterdir())
    assert read == ["s.tar"]
