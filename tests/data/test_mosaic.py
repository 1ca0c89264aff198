"""Mosaics: whose pixels they show, and where the boxes of these lie."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from endoforge.backends.ghost_norm import GHOST_ROWS, group_sizes
from endoforge.backends.views import Chance, make_views
from endoforge.data.loader import Batch
from endoforge.data.mosaic import (
    LEAST_PART,
    MOSAICS,
    NUM_MOSAIC_DRAWS,
    choose_windows,
    draw_mosaics,
    make_mosaics,
)

SIZE = HEIGHT, WIDTH = 48, 80
CPU = torch.device("cpu")
WHETHER = 0
"""The column of a draw that says whether the picture is a mosaic."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def places(count):
    """Pictures each of whose pixels says of which picture, row and column it is."""
    image, row, column = torch.meshgrid(
        torch.arange(count), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij"
    )
    return torch.stack([image, row, column], dim=3).to(torch.uint8)


def boxes_of(count, most=3, seed=1):
    """Some boxes a picture, on whole pixels; their classes, and how many."""
    rng = np.random.default_rng(seed)
    boxes = torch.zeros(count, most, 4)
    counts = torch.from_numpy(rng.integers(0, most + 1, count))
    for image, counted in enumerate(counts.tolist()):
        for number in range(counted):
            x, y = rng.integers(0, WIDTH - 8), rng.integers(0, HEIGHT - 8)
            right, low = rng.integers(x + 4, WIDTH + 1), rng.integers(y + 4, HEIGHT + 1)
            boxes[image, number] = torch.tensor([x, y, right, low])
    classes = 1 + torch.arange(count * most).reshape(count, most)
    classes[torch.arange(most) >= counts[:, None]] = 0
    return boxes / torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT]), classes, counts


def all_mosaics(count, seed=2):
    chance = draw_mosaics(count, generator(seed))
    chance[:, WHETHER] = 0
    return chance


def batch_of(images, boxes, classes, counts, *, rows):
    return Batch(
        images=images[rows],
        boxes=boxes[rows],
        classes=classes[rows],
        num_boxes=counts[rows],
        indices=torch.arange(len(images))[rows].numpy(),
        rows=rows,
        num_all=len(images),
    )


def test_half_of_the_pictures_are_mosaics_and_the_rest_stay_as_they_are():
    count = 2000
    chance = draw_mosaics(count, generator())
    assert chance.shape == (count, NUM_MOSAIC_DRAWS)
    is_mosaic = (chance[:, WHETHER] < MOSAICS).numpy()
    assert is_mosaic.mean() == pytest.approx(0.5, abs=0.04)  # a standard deviation is 0.011
    count = 2 * GHOST_ROWS
    images, is_mosaic = places(count), is_mosaic[:count]
    given = boxes_of(count)
    windows = choose_windows(chance[:count], SIZE, group_sizes(count))
    pictures, boxes, classes, counts = make_mosaics(images, *given, windows=windows)
    assert torch.equal(pictures[~is_mosaic], images[~is_mosaic])
    assert torch.equal(given[2][~is_mosaic], counts[~is_mosaic])
    for image in np.flatnonzero(~is_mosaic):
        counted = int(counts[image])
        # The boxes are the same, the largest first.
        for number, kind in enumerate(classes[image, :counted]):
            [place] = (given[1][image] == kind).nonzero().flatten()
            assert torch.equal(boxes[image, number], given[0][image, place])


def test_each_pixel_comes_from_the_same_place_of_one_window_of_a_picture_of_the_group():
    count = 2 * GHOST_ROWS + 3
    pictures = make_mosaics(
        places(count),
        *boxes_of(count),
        windows=choose_windows(all_mosaics(count), SIZE, group_sizes(count)),
    )[0].long()
    sources = set()
    for number, picture in enumerate(pictures):
        windows = runs_of(picture)
        assert len(windows) == 4
        assert windows[0][0] == number
        for source, left, top, right, low, shift in windows:
            # 35 pictures are two groups, the last of which takes the rest.
            assert min(source // GHOST_ROWS, 1) == min(number // GHOST_ROWS, 1)
            assert left + shift[0] >= 0
            assert right + shift[0] <= WIDTH
            assert top + shift[1] >= 0
            assert low + shift[1] <= HEIGHT
            sources.add(source)
        _, left, top, right, low, _ = windows[0]
        assert (left, top) == (0, 0)
        assert LEAST_PART * WIDTH - 1 <= right <= (1 - LEAST_PART) * WIDTH
        assert LEAST_PART * HEIGHT - 1 <= low <= (1 - LEAST_PART) * HEIGHT
    assert len(sources) == count


def runs_of(picture):
    """The windows of a picture of `places`, by the corners that its own pixels tell."""
    image, row, column = picture.unbind(2)
    shifts = torch.stack(
        [column - torch.arange(WIDTH), row - torch.arange(HEIGHT)[:, None], image], dim=2
    )
    changes_down = (shifts[1:] != shifts[:-1]).any(2)
    changes_across = (shifts[:, 1:] != shifts[:, :-1]).any(2)
    downs = [0, *(1 + changes_down.any(1).nonzero().flatten()).tolist(), HEIGHT]
    acrosses = [0, *(1 + changes_across.any(0).nonzero().flatten()).tolist(), WIDTH]
    found = []
    for top, low in itertools.pairwise(downs):
        for left, right in itertools.pairwise(acrosses):
            window = shifts[top:low, left:right].reshape(-1, 3)
            assert (window == window[0]).all()
            x, y, source = window[0].tolist()
            found.append((source, left, top, right, low, (x, y)))
    return found


def test_boxes_lie_around_the_pixels_that_they_lay_around_and_a_quarter_must_be_left():
    count, most = GHOST_ROWS, 3
    boxes, classes, counts = boxes_of(count, most)
    windows = choose_windows(all_mosaics(count), SIZE, group_sizes(count))
    padding = 4 * most - most
    padded = pad(boxes, (0, 0, 0, padding))
    kinds = pad(classes, (0, padding))
    pictures, new_boxes, new_kinds, new_counts = make_mosaics(
        places(count), padded, kinds, counts, windows=windows
    )
    dropped = 0
    for number in range(count):
        expected = []
        for source, left, top, right, low, _ in runs_of(pictures[number].long()):
            _, row, column = pictures[number, top:low, left:right].long().unbind(2)
            for box, kind in zip(boxes[source], classes[source], strict=True):
                if kind == 0:
                    continue
                x0, y0, x1, y1 = (box * torch.tensor([WIDTH, HEIGHT] * 2)).round().long().tolist()
                inside = (column >= x0) & (column < x1) & (row >= y0) & (row < y1)
                if inside.sum() < 0.25 * (x1 - x0) * (y1 - y0):
                    dropped += 1
                    continue
                ys, xs = inside.nonzero().unbind(1)
                corners = (left + xs.min(), top + ys.min(), left + xs.max() + 1, top + ys.max() + 1)
                expected.append((int(kind), *map(int, corners)))
        counted = int(new_counts[number])
        in_pixels = (new_boxes[number] * torch.tensor([WIDTH, HEIGHT] * 2)).round().long()
        found = [
            (kind, *box)
            for kind, box in zip(
                new_kinds[number, :counted].tolist(), in_pixels[:counted].tolist(), strict=True
            )
        ]
        assert sorted(found) == sorted(expected)
        assert not new_boxes[number, counted:].any()
        assert not new_kinds[number, counted:].any()
    assert dropped > 5


def test_of_more_boxes_than_there_is_room_for_the_largest_are_kept():
    count, most = GHOST_ROWS, 3
    boxes, classes, counts = boxes_of(count, most)
    windows = choose_windows(all_mosaics(count), SIZE, group_sizes(count))
    roomy, kinds = pad(boxes, (0, 0, 0, 9)), pad(classes, (0, 9))
    _, every, _, all_counts = make_mosaics(places(count), roomy, kinds, counts, windows=windows)
    _, kept, _, new_counts = make_mosaics(places(count), boxes, classes, counts, windows=windows)
    assert all_counts.max() > most
    assert torch.equal(new_counts, all_counts.clamp(max=most))
    assert torch.equal(kept, every[:, :most])
    sizes = (kept[..., 2:] - kept[..., :2]).prod(-1)
    assert (sizes.diff(dim=1) <= 0).all()


def test_processes_that_share_a_batch_get_the_mosaics_that_one_would():
    count = 2 * GHOST_ROWS
    given = places(count), *boxes_of(count)
    whole = Chance(7, CPU, 0.8, 3).inputs(batch_of(*given, rows=slice(0, count)), 2, 5)
    assert not torch.equal(whole[0], given[0])
    whole_views = make_views(*whole)
    for rows in (slice(0, GHOST_ROWS), slice(GHOST_ROWS, count), slice(count, count)):
        part = Chance(7, CPU, 0.8, 3).inputs(batch_of(*given, rows=rows), 2, 5)
        for one, other in zip(make_views(*part), whole_views, strict=True):
            assert torch.allclose(one.float(), other[rows].float(), atol=1e-5)


def test_they_end_after_their_epochs_and_draw_after_all_else():
    count = 4
    batch = batch_of(places(count), *boxes_of(count), rows=slice(0, count))
    for epoch, same in [(0, False), (2, False), (3, True), (9, True)]:
        with_them, without = (
            Chance(7, CPU, 0.8, epochs).inputs(batch, epoch, 5) for epochs in (3, 0)
        )
        assert torch.equal(with_them[0], without[0]) == same
        for one, other in zip(with_them[4:], without[4:], strict=True):
            assert torch.equal(one, other)
