import itertools

import numpy as np
import pytest
import torch

from endoforge.core.errors import UserError
from endoforge.data.images import Images
from endoforge.data.loader import Loader, Shard
from endoforge.data.pack import LabelledInputs


def pack_of(count, boxes_each=1):
    """Inputs of 2x2 pixels whose value is their place; the first has no box."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2)
    boxes = [np.full((boxes_each * (n > 0), 4), n / 10, np.float32) for n in range(count)]
    classes = [np.full(len(own), n % 3, np.int64) for n, own in enumerate(boxes)]
    names = ("a", "b", "c")
    images = Images([pixels.repeat(3, 3)], np.zeros(count, np.int64), np.arange(count))
    return LabelledInputs(images, boxes, classes, names)


def order(loader, epoch, start=0):
    return [batch.indices.tolist() for batch in loader.batches(epoch, start)]


def test_without_a_seed_batches_are_in_the_order_of_the_pack():
    loader = Loader(pack_of(5), 2, seed=None)
    assert order(loader, epoch=3) == [[0, 1], [2, 3], [4]]
    assert len(loader) == 3


def test_a_batch_holds_what_its_indices_say_and_pads_with_zeros():
    batch = next(Loader(pack_of(3, boxes_each=2), 2, seed=None).batches(0))
    assert batch.images.shape == (2, 2, 2, 3)
    assert batch.images[:, 0, 0, 0].tolist() == [0, 1]
    assert batch.num_boxes.tolist() == [0, 2]
    assert np.allclose(batch.boxes, [[[0.0] * 4] * 2, [[0.1] * 4] * 2])
    assert batch.classes.tolist() == [[0, 0], [1, 1]]
    assert (batch.boxes.dtype, batch.classes.dtype) == (torch.float32, torch.int64)
    assert batch.indices.dtype == np.int64


def test_every_frame_comes_once_an_epoch_in_an_order_of_the_seed_and_the_epoch():
    loader = Loader(pack_of(20), 4, seed=42)
    first = order(loader, epoch=0)
    assert sorted(itertools.chain(*first)) == list(range(20))
    assert order(Loader(pack_of(20), 4, seed=42), epoch=0) == first
    assert order(loader, epoch=1) != first
    assert order(Loader(pack_of(20), 4, seed=43), epoch=0) != first


def test_an_epoch_can_be_entered_at_any_step():
    loader = Loader(pack_of(11), 3, seed=1)
    whole = order(loader, epoch=5)
    assert [order(loader, epoch=5, start=step) for step in range(5)] == [
        whole[step:] for step in range(5)
    ]


def test_the_last_partial_batch_is_dropped_only_if_asked():
    assert [len(batch) for batch in order(Loader(pack_of(5), 2, seed=0), 0)] == [2, 2, 1]
    dropping = Loader(pack_of(5), 2, seed=0, drop_last=True)
    assert [len(batch) for batch in order(dropping, 0)] == [2, 2]
    assert len(dropping) == 2
    assert len(Loader(pack_of(4), 2, seed=0, drop_last=True)) == 2


def test_dropping_every_batch_is_a_user_error():
    with pytest.raises(UserError, match="--batch-size 8 with --drop-last leaves no batch of 5"):
        Loader(pack_of(5), 8, seed=0, drop_last=True)


def test_a_pack_without_any_box_still_has_a_place_for_one():
    batch = next(Loader(pack_of(1), 1, seed=None).batches(0))
    assert batch.boxes.shape == (1, 1, 4)
    assert batch.num_boxes.tolist() == [0]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_are_the_batch_without_overlap_and_in_its_order(count):
    whole = Loader(pack_of(10), 4, seed=3)
    parts = [Loader(pack_of(10), 4, seed=3, shard=Shard(n, count)) for n in range(count)]
    assert {len(part) for part in parts} == {len(whole)}
    for batch, *shards in zip(whole.batches(2), *(part.batches(2) for part in parts), strict=True):
        assert np.concatenate([shard.indices for shard in shards]).tolist() == (
            batch.indices.tolist()
        )
        assert {shard.num_all for shard in shards} == {batch.num_all} == {len(batch.indices)}
        for shard in shards:
            assert np.array_equal(shard.images, batch.images[shard.rows])
        assert max(len(s.indices) for s in shards) - min(len(s.indices) for s in shards) <= 1


def test_every_so_many_batches_can_be_taken():
    loader = Loader(pack_of(10), 3, seed=None)
    taken = [batch.indices.tolist() for batch in loader.batches(0, start=1, stride=2)]
    assert taken == [[3, 4, 5], [9]]
    assert [loader.num_frames(0, 2), loader.num_frames(2, 4), loader.num_frames(3, 5)] == [6, 4, 1]
