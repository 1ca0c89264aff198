"""The warp and its boxes against a slow twin: rectangles painted, warped, and measured."""

import numpy as np
import pytest
import torch

from endoforge.data.augment import (
    BLURRED,
    CUT,
    LARGEST_CUT,
    LARGEST_NOISE,
    LEAST_AREA_LEFT,
    Draws,
    Warp,
    augment,
    blur_,
    blurred,
    draw_chances,
    flip,
    noise_tile,
    random_cut,
    random_warp,
    warp_boxes,
    warp_images,
)

HEIGHT, WIDTH = 48, 80


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def painted(box_px):
    """(1, 3, H, W): white within the box of pixels, black elsewhere."""
    x0, y0, x1, y1 = box_px
    image = torch.zeros(1, 3, HEIGHT, WIDTH)
    image[:, :, y0:y1, x0:x1] = 1
    return image


def normalised(box_px):
    return torch.tensor([[box_px]]) / torch.tensor([WIDTH, HEIGHT] * 2)


def extent(image):
    """The box around the pixels that are more than half white, or None."""
    rows, columns = np.nonzero(image[0].numpy() > 0.5)
    if len(rows) == 0:
        return None
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def chance_for(images, seed=0):
    """Draws for the images, and the tile that their noise comes from."""
    size = tuple(images.shape[2:])
    return draw_chances(len(images), size, generator(seed)), noise_tile(size, generator())


def classes_of(boxes):
    """Zeros, (B, M)."""
    return torch.zeros(boxes.shape[:2], dtype=torch.int64)


def nothing_in(images) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """No boxes: their places, classes and numbers."""
    count = len(images)
    boxes = torch.zeros(count, 1, 4)
    return boxes, classes_of(boxes), torch.zeros(count, dtype=torch.int64)


def one(num=1):
    return torch.tensor([num])


def test_boxes_follow_the_painted_pixels(monkeypatch):
    # Farther than training ever shifts, so that boxes leave the picture too.
    monkeypatch.setattr("endoforge.data.augment.LARGEST_SHIFT", 0.3)
    rng, draws, seen, removed = np.random.default_rng(0), generator(), 0, 0
    for _ in range(300):
        x0, y0 = rng.integers(0, WIDTH - 12), rng.integers(0, HEIGHT - 12)
        x1, y1 = rng.integers(x0 + 8, WIDTH + 1), rng.integers(y0 + 8, HEIGHT + 1)
        box_px = [int(edge) for edge in (x0, y0, x1, y1)]
        warp = random_warp(torch.rand(1, 5, generator=draws))
        pixels = extent(warp_images(painted(box_px), warp)[0])
        before = normalised(box_px)
        boxes, _, count = warp_boxes(before, classes_of(before), one(), warp)
        area = (box_px[2] - box_px[0]) * (box_px[3] - box_px[1]) * float(warp.scale.abs().prod())
        shown = 0 if pixels is None else (pixels[2] - pixels[0]) * (pixels[3] - pixels[1])
        if count.item():
            seen += 1
            found = (boxes[0, 0] * torch.tensor([WIDTH, HEIGHT] * 2)).numpy()
            assert np.abs(found - pixels).max() <= 1
        else:
            removed += 1
            assert not boxes.any()
            assert shown / area < LEAST_AREA_LEFT + 0.1
    assert seen > 200
    assert removed > 0


def test_mirroring_moves_whole_pixels():
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    mirrored = warp_images(image, Warp(torch.tensor([[-1.0, 1.0]]), torch.tensor([[1.0, 0.0]])))
    assert torch.allclose(mirrored, image.flip(3), atol=1e-4)
    upside_down = warp_images(image, Warp(torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 1.0]])))
    assert torch.allclose(upside_down, image.flip(2), atol=1e-4)


def test_what_comes_from_outside_is_black():
    moved_right = Warp(torch.ones(1, 2), torch.tensor([[0.5, 0.0]]))
    moved = warp_images(torch.ones(1, 3, HEIGHT, WIDTH), moved_right)
    assert not moved[..., : WIDTH // 2 - 1].any()
    assert (moved[..., WIDTH // 2 + 1 :] > 0.999).all()


@pytest.mark.parametrize(("shift", "kept"), [(0.74, True), (0.76, False)])
def test_a_box_goes_with_three_quarters_of_its_area(shift, kept):
    whole = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    warp = Warp(torch.ones(1, 2), torch.tensor([[shift, 0.0]]))
    boxes, _, count = warp_boxes(whole, classes_of(whole), one(), warp)
    assert count.item() == kept
    assert torch.allclose(boxes[0, 0], torch.tensor([shift, 0, 1, 1]) * kept)


def test_boxes_are_around_what_a_cut_leaves():
    """A twin that cuts painted pixels away: the box of those left, if they are a quarter."""
    rng, seen, shortened, removed = np.random.default_rng(0), 0, 0, 0
    stay = Warp(torch.ones(1, 2), torch.zeros(1, 2))
    for _ in range(300):
        x0, y0 = rng.integers(0, WIDTH - 12), rng.integers(0, HEIGHT - 12)
        box_px = [x0, y0, rng.integers(x0 + 8, WIDTH + 1), rng.integers(y0 + 8, HEIGHT + 1)]
        # Corners on whole pixels, beyond the picture too.
        left, top = rng.integers(-5, WIDTH), rng.integers(-5, HEIGHT)
        cut = normalised([left, top, left + rng.integers(0, 90), top + rng.integers(0, 60)])[0]
        image = painted(box_px)
        before = image.sum()
        image = warp_images(image, stay, cut)
        box = normalised(box_px)
        boxes, _, count = warp_boxes(box, classes_of(box), one(), stay, cut)
        if count.item():
            seen += 1
            shortened += not torch.equal(boxes, box)
            found = boxes[0, 0] * torch.tensor([WIDTH, HEIGHT] * 2)
            assert torch.allclose(found, torch.tensor(extent(image[0])).float(), atol=1e-3)
            assert image.sum() >= (LEAST_AREA_LEFT - 1e-4) * before
        else:
            removed += 1
            assert image.sum() < (LEAST_AREA_LEFT + 1e-4) * before
    assert min(seen - shortened, shortened, removed) > 10


def test_a_share_of_the_pictures_is_cut_by_up_to_the_largest_sides():
    cut = random_cut(torch.rand(4000, 5, generator=generator()))
    sides = cut[:, 2:] - cut[:, :2]
    is_cut = (sides > 0).all(1)
    assert abs(is_cut.float().mean() - CUT) < 0.03
    assert 0.98 * LARGEST_CUT < sides.max() <= LARGEST_CUT + 1e-6
    assert not sides[~is_cut].any()
    middles = (cut[:, :2] + cut[:, 2:]) / 2
    assert abs(middles.mean() - 0.5) < 0.02


def test_a_cut_leaves_black_pixels_and_the_rest_as_it_was():
    images = torch.rand(2, 3, 4, 8) + 0.1
    cut = torch.tensor([[0.25, 0.5, 0.75, 2.0], [0.3, 0.3, 0.3, 0.3]])
    stay = Warp(torch.ones(2, 2), torch.zeros(2, 2))
    views = warp_images(images, stay, cut)
    assert torch.equal(views[0, :, 2:, 2:6], torch.zeros(3, 2, 4))
    views[0, :, 2:, 2:6] = images[0, :, 2:, 2:6]
    assert torch.allclose(views, images, atol=1e-6)


def test_blur_spreads_a_point_and_keeps_its_light():
    point = torch.zeros(3, 3, 11, 11)
    point[:, :, 5, 5] = 1
    images = point.clone()
    blur_(images, torch.tensor([1.0, 1 - BLURRED / 2, 0.0]))
    most, half = torch.tensor([1, 1, 1]) / 3, torch.tensor([1, 4, 1]) / 6
    assert torch.allclose(images[0, 0, 4:7, 4:7], most[:, None] * most)
    assert torch.allclose(images[1, 2, 4:7, 4:7], half[:, None] * half)
    assert torch.equal(images[2], point[2])
    assert torch.allclose(images.sum((2, 3)), torch.ones(3, 3))


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (8, 8)])
def test_a_gpu_blurs_copies_as_all_else_blurs_in_place(size):
    images, chance = torch.rand(5, 3, *size), torch.tensor([1.0, 0.9, 0.7, 0.5, 0.0])
    before = images.clone()
    copies = blurred(images, chance)
    assert torch.equal(images, before)
    assert torch.allclose(copies, blur_(images, chance), atol=1e-6)
    assert blurred(images[:0], chance[:0]).shape == (0, 3, *size)


def test_the_boxes_left_come_first_in_their_order_then_zeros():
    boxes = torch.tensor([[[0.9, 0, 1, 1], [0, 0, 0.2, 1], [0.9, 0, 1, 1], [0.2, 0, 0.4, 0.5]]])
    padded = torch.cat([boxes, torch.zeros(1, 1, 4)], dim=1)
    moved_right = Warp(torch.ones(1, 2), torch.tensor([[0.5, 0.0]]))
    left, classes, count = warp_boxes(padded, torch.tensor([[3, 1, 4, 2, 0]]), one(4), moved_right)
    assert count.tolist() == [2]
    assert classes.tolist() == [[1, 2, 0, 0, 0]]
    expected = torch.tensor([[0.5, 0, 0.7, 1], [0.7, 0, 0.9, 0.5]])
    assert torch.allclose(left[0, :2], expected)
    assert not left[0, 2:].any()


def test_augment_gives_views_of_the_same_kind_and_leaves_its_input():
    images, boxes = torch.rand(6, 3, HEIGHT, WIDTH), torch.tensor([[[0.3, 0.3, 0.6, 0.6]]] * 6)
    num_boxes = torch.tensor([1, 0, 1, 1, 1, 1])
    before = images.clone()
    boxes = boxes * num_boxes[:, None, None]
    views, moved, _, counts = augment(
        images, boxes, classes_of(boxes), num_boxes, *chance_for(images)
    )
    assert views.shape == images.shape
    assert views.min() >= 0
    assert views.max() <= 1
    assert torch.equal(images, before)
    assert counts.tolist() == num_boxes.tolist()
    assert not moved[1].any()
    assert (moved[counts > 0, 0, 2:] > moved[counts > 0, 0, :2]).all()


def test_a_seed_gives_one_view_and_every_picture_its_own():
    images = torch.rand(1, 3, HEIGHT, WIDTH).expand(4, -1, -1, -1)
    views = augment(images, *nothing_in(images), *chance_for(images, 1))[0]
    assert torch.equal(views, augment(images, *nothing_in(images), *chance_for(images, 1))[0])
    assert not torch.equal(views, augment(images, *nothing_in(images), *chance_for(images, 2))[0])
    assert all(not torch.equal(views[0], views[other]) for other in (1, 2, 3))


def test_colours_change_but_a_picture_stays_recognisable():
    """Over many views the mean colour wanders about the original's, in each channel."""
    grey = torch.full((64, 3, 16, 16), 0.5)
    middles = augment(grey, *nothing_in(grey), *chance_for(grey))[0][:, :, 4:12, 4:12].mean((2, 3))
    assert torch.allclose(middles.mean(0), torch.full((3,), 0.5), atol=0.1)
    assert (middles.std(0) > 0.03).all()
    assert ((middles > 0.1) & (middles < 0.9)).all()


def test_noise_differs_from_pixel_to_pixel_and_stays_small():
    tile = noise_tile((16, 16), generator())
    assert tile.shape == (1, 3, 32, 32)
    assert abs(tile.std() - 1) < 0.1
    # Nothing but noise tells a view of grey from the same view of a noiseless tile.
    grey = torch.full((64, 3, 16, 16), 0.5)
    nothing = nothing_in(grey)
    draws = draw_chances(64, (16, 16), generator())
    noisy, plain = (augment(grey, *nothing, draws, one)[0] for one in (tile, 0 * tile))
    spread = (noisy - plain)[:, :, 4:12, 4:12].std((1, 2, 3))
    assert 0.3 * LARGEST_NOISE < spread.mean() < 0.7 * LARGEST_NOISE  # uniform from 0
    assert spread.max() < 1.2 * LARGEST_NOISE


def test_noise_begins_where_it_was_drawn_and_goes_on_at_the_other_end():
    tile = torch.arange(16 * 16.0).reshape(1, 1, 16, 16).expand(-1, 3, -1, -1) / 1000
    draws = draw_chances(1, (8, 8), generator())
    draws = Draws(torch.full_like(draws.own, 0.5), torch.tensor([15, 12]))
    black = torch.zeros(1, 3, 8, 8)
    nothing = nothing_in(black)
    views = augment(black, *nothing, draws, tile)[0]
    first = [252, 253, 254, 255, 240, 241, 242, 243]
    second = [12, 13, 14, 15, 0, 1, 2, 3]
    expected = torch.tensor([first, second]) / 1000 * LARGEST_NOISE / 2
    assert torch.allclose(views[0, 0, :2], expected)


def test_rows_of_the_draws_give_rows_of_the_views():
    images, boxes = torch.rand(5, 3, HEIGHT, WIDTH), torch.rand(5, 2, 4).sort(2).values
    num_boxes, (draws, tile) = torch.tensor([2, 1, 0, 2, 2]), chance_for(images)
    classes = torch.randint(0, 9, (5, 2))
    whole = augment(images, boxes, classes, num_boxes, draws, tile)
    for rows in (slice(0, 2), slice(2, 5), slice(3, 3)):
        own = (images[rows], boxes[rows], classes[rows], num_boxes[rows])
        part = augment(*own, draws.rows(rows), tile)
        for one_part, of_whole in zip(part, whole, strict=True):
            assert torch.allclose(one_part, of_whole[rows], atol=1e-6)


def test_a_view_has_noise():
    grey = torch.full((4, 3, HEIGHT, WIDTH), 0.5)
    middles = augment(grey, *nothing_in(grey), *chance_for(grey))[0][:, :, 20:28, 36:44]
    assert (middles.std((2, 3)) > 0).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_flip_mirrors_picture_and_boxes_together(mirrored):
    images = painted([10, 5, 30, 20])
    boxes, counts = torch.cat([normalised([10, 5, 30, 20]), torch.zeros(1, 1, 4)], 1), one()
    flipped, moved, classes, left = flip(
        images, boxes, torch.tensor([[2, 0]]), counts, torch.tensor([mirrored])
    )
    expected = [WIDTH - 30, 5, WIDTH - 10, 20] if mirrored else [10, 5, 30, 20]
    assert extent(flipped[0]) == expected
    assert torch.allclose(moved[0, :1], normalised(expected)[0])
    assert not moved[0, 1].any()
    assert left.tolist() == [1]
    assert classes.tolist() == [[2, 0]]


def test_flip_mirrors_each_picture_as_told():
    images = painted([0, 0, 10, 10]).expand(3, -1, -1, -1)
    boxes = normalised([0, 0, 10, 10]).expand(3, -1, -1)
    mirrored = torch.tensor([True, False, True])
    flipped, moved, _, _ = flip(images, boxes, classes_of(boxes), one().expand(3), mirrored)
    assert torch.equal(flipped[:, 0, 0, 0] == 0, mirrored)
    assert torch.equal(moved[:, 0, 0] > 0.5, mirrored)


def test_classes_stay_with_their_boxes():
    """A twin that moves each box alone: what is left of it has its class, in the old order."""
    rng, seen = torch.Generator().manual_seed(0), 0
    for _ in range(50):
        low = torch.rand(3, 5, 2, generator=rng) * 0.8
        boxes = torch.cat([low, low + 0.2 * torch.rand(3, 5, 2, generator=rng)], dim=2)
        classes = torch.randint(0, 4, (3, 5), generator=rng)
        num_boxes = torch.randint(0, 6, (3,), generator=rng)
        warp = Warp(torch.ones(3, 2), torch.rand(3, 2, generator=rng) - 0.5)
        moved, moved_classes, counts = warp_boxes(boxes, classes, num_boxes, warp)
        for picture in range(3):
            alone = Warp(warp.scale[[picture]], warp.shift[[picture]])
            left = []
            for place in range(num_boxes[picture]):
                box = boxes[picture, place][None, None]
                own, _, kept = warp_boxes(box, classes_of(box), one(), alone)
                if kept.item():
                    left.append((own.flatten().tolist(), int(classes[picture, place])))
            count = int(counts[picture])
            assert moved_classes[picture, :count].tolist() == [number for _, number in left]
            assert moved[picture, :count].tolist() == [box for box, _ in left]
            assert not moved_classes[picture, count:].any()
            seen += bool(0 < count < num_boxes[picture])
    assert seen > 20
