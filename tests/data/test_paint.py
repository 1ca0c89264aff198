"""What is painted over pictures: how much of them, in which range, and by which chance."""

import pytest
import torch

from endoforge.backends.views import Chance, make_views
from endoforge.data.augment import draw_chances, noise_tile, seeded_generator
from endoforge.data.loader import Batch
from endoforge.data.paint import (
    MOTTLINGS,
    NUM_PAINT_DRAWS,
    PATCHES,
    RIDGES,
    SPREAD,
    draw_paint,
    paint,
    paint_fields,
)

SIZE = HEIGHT, WIDTH = 48, 80
CPU = torch.device("cpu")
SURFACE, LIGHT = 0, 1
"""The columns of a draw that say whether there is one."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def fields():
    return paint_fields(SIZE, generator())


def pictures(count, seed=1):
    """Uneven ones, none of which is black or white anywhere."""
    return 0.1 + 0.6 * torch.rand(count, 3, HEIGHT, WIDTH, generator=generator(seed))


def drawn(count, surface, light, seed=2):
    chance = draw_paint(count, 1.0, generator(seed))
    chance[:, SURFACE], chance[:, LIGHT] = surface, light
    return chance


def batch_of(images, rows, num_all):
    """The rows of a batch, without boxes."""
    count = len(images)
    return Batch(
        images=images,
        boxes=torch.zeros(count, 1, 4),
        classes=torch.zeros(count, 1, dtype=torch.int64),
        num_boxes=torch.zeros(count, dtype=torch.int64),
        indices=torch.arange(count).numpy(),
        rows=rows,
        num_all=num_all,
    )


def byte_pictures(count):
    return (255 * pictures(count)).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_as_many_get_a_surface_and_a_light_as_is_said(share):
    chance = draw_paint(4000, share, generator())
    assert chance.shape == (4000, NUM_PAINT_DRAWS)
    flags, rest = chance[:, :2], chance[:, 2:]
    assert set(flags.unique().tolist()) <= {0.0, 1.0}
    # Standard deviations of 0.007 where the share is 0.3; each is drawn alone.
    assert flags.mean(0).tolist() == pytest.approx([share, share], abs=0.03)
    assert flags.prod(1).mean() == pytest.approx(share**2, abs=0.03)
    assert rest.min() >= 0
    assert rest.max() < 1
    assert rest.mean() == pytest.approx(0.5, abs=0.01)


def test_the_fields_are_what_they_are_said_to_be(fields):
    assert fields.shape == (MOTTLINGS + RIDGES + PATCHES, SPREAD * HEIGHT, SPREAD * WIDTH)
    mottlings, ridges, patches = fields.split([MOTTLINGS, RIDGES, PATCHES])
    # Smooth noise of few values strays from its variance, and interpolation takes some of it.
    for noise in (mottlings, patches):
        assert noise.std() == pytest.approx(0.8, abs=0.3)
        assert abs(noise.mean()) < 0.4
    assert ridges.min() == 0
    assert 0.9 < ridges.max() <= 1
    assert (ridges > 0.5).float().mean() < 0.25, "ridges are thin"
    # Patches are smooth: a pixel is like the one beside it.
    steps = (patches[:, :, 1:] - patches[:, :, :-1]).abs().mean()
    assert steps < 0.1 * patches.std()


def test_a_share_of_nothing_leaves_the_pictures_alone(fields):
    images = pictures(4)
    painted = paint(images, draw_paint(4, 0.0, generator()), fields)
    assert torch.allclose(painted, images, atol=1e-5)


def test_a_share_of_all_changes_each(fields):
    images = pictures(16)
    changes = (paint(images, draw_paint(16, 1.0, generator()), fields) - images).abs()
    assert changes.amax((1, 2, 3)).min() > 0.02


@pytest.mark.parametrize(("surface", "light"), [(1, 0), (0, 1)])
def test_surface_and_light_each_change_it_alone(fields, surface, light):
    images = pictures(8)
    ratio = paint(images, drawn(8, surface, light), fields) / images
    assert (ratio.std((1, 2, 3)) > 0.005).all()


def test_values_stay_within_0_and_1_and_black_stays_dark(fields):
    for value in (0.0, 1.0):
        flat = torch.full((32, 3, HEIGHT, WIDTH), value)
        painted = paint(flat, drawn(32, 1, 1), fields)
        assert painted.min() >= 0
        assert painted.max() <= 1
        assert torch.isfinite(painted).all()
        if value == 0:
            assert painted.max() < 0.02, "what is nothing is multiplied"
    images = torch.rand(32, 3, HEIGHT, WIDTH, generator=generator())
    painted = paint(images, drawn(32, 1, 1), fields)
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_ridges_and_mottling_take_most_of_green_and_blue(fields):
    """As blood does. On grey, red is left over, in nearly each picture and in all together."""
    grey = torch.full((64, 3, HEIGHT, WIDTH), 0.4)
    spread = (paint(grey, drawn(64, 1, 0), fields) / grey).log().std((2, 3))
    red, green, blue = spread.mean(0)
    assert green > 1.5 * red
    assert blue > 1.5 * red


def test_light_falls_off_from_a_place_evenly_over_colours(fields):
    grey = torch.full((16, 3, HEIGHT, WIDTH), 0.4)
    painted = paint(grey, drawn(16, 0, 1), fields)
    assert torch.allclose(painted[:, :1].expand_as(painted), painted, atol=1e-6)
    # Smooth: no surface was asked for.
    steps = (painted[..., 1:] - painted[..., :-1]).abs().amax((1, 2, 3))
    assert (steps < 0.15 * (painted.amax((1, 2, 3)) - painted.amin((1, 2, 3))) + 1e-3).all()


def test_haze_lifts_black_towards_the_mean(fields):
    """Of a picture half black; the last number is the haze's, at its strongest 0.3."""
    images = pictures(1)
    images[..., : WIDTH // 2] = 0
    chance = drawn(1, 0, 1)
    chance[:, 2:] = 0.5
    chance[:, -1] = 0.0
    clear = paint(images, chance, fields)
    chance[:, -1] = 1.0
    hazy = paint(images, chance, fields)
    expected = 0.7 * clear + 0.3 * clear.mean((2, 3), keepdim=True)
    assert torch.allclose(hazy, expected, atol=1e-6)
    assert (hazy[..., : WIDTH // 2] > clear[..., : WIDTH // 2] + 0.03).all()


def test_the_same_seed_gives_the_same_paint_and_another_another():
    images = pictures(3)

    def of(seed):
        return paint(images, draw_paint(3, 1.0, generator(seed)), paint_fields(SIZE, generator(9)))

    assert torch.equal(of(4), of(4))
    assert not torch.equal(of(4), of(5))
    assert not torch.equal(paint_fields(SIZE, generator(1)), paint_fields(SIZE, generator(2)))


def test_windows_differ_between_pictures(fields):
    """Two equal pictures with the same numbers, but for where their windows begin."""
    chance = drawn(1, 1, 0).expand(2, -1).clone()
    mottling_at = 4  # after surface, light, strength and which field
    chance[0, mottling_at], chance[1, mottling_at] = 0.1, 0.9
    one, other = paint(pictures(1).expand(2, -1, -1, -1), chance, fields)
    assert not torch.allclose(one, other, atol=1e-3)


def test_a_part_of_a_batch_gets_the_paint_of_the_whole(fields):
    images, chance = pictures(5), draw_paint(5, 0.6, generator())
    whole = paint(images, chance, fields)
    for rows in (slice(0, 2), slice(2, 5), slice(3, 3)):
        part = paint(images[rows], chance[rows], fields)
        assert torch.allclose(part, whole[rows], atol=1e-6)


def test_processes_that_share_a_batch_get_the_views_that_one_would():
    images = byte_pictures(5)
    whole = make_views(*Chance(7, CPU, 0.8).inputs(batch_of(images, slice(0, 5), 5), 1, 2))
    for rows in (slice(0, 2), slice(2, 5)):
        part = make_views(*Chance(7, CPU, 0.8).inputs(batch_of(images[rows], rows, 5), 1, 2))
        assert torch.allclose(part[0], whole[0][rows], atol=1e-5)


def test_without_paint_chance_is_what_it_was_and_with_it_the_views_are_the_same_ones():
    """Paint draws after the views have drawn, from fields of its own."""
    batch = batch_of(byte_pictures(4), slice(0, 4), 4)
    without, painted = (Chance(3, CPU, share).inputs(batch, 2, 5) for share in (0.0, 0.7))
    draws = draw_chances(4, SIZE, seeded_generator(3, 2, 5))
    tile = noise_tile(SIZE, seeded_generator(3))
    assert len(without) == 7
    for one, other in zip(without[4:], (draws.own, draws.noise_at, tile), strict=True):
        assert torch.equal(one, other)
    *given, paint_chance, painted_tile, _ = painted
    for one, other in zip(given, without[:6], strict=True):
        assert torch.equal(one, other)
    assert torch.equal(painted_tile, tile)
    assert paint_chance.shape == (4, NUM_PAINT_DRAWS)
    views = make_views(*without), make_views(*painted)
    assert torch.equal(views[0][1], views[1][1])
    assert not torch.allclose(views[0][0], views[1][0], atol=0.02)
