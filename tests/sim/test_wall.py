"""The wall: calibres, folds, pouches, ends."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from endoforge.sim.anatomy import Anatomy, make_anatomy, straight_anatomy
from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG, SEGMENTS
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.wall import (
    ANATOMY,
    CAP_MM,
    COLUMN_ANGLES,
    MIN_RADIUS_MM,
    NUM_AROUND,
    along_segments,
    angle_to_diamond,
    close_ends,
    diamond_to_angle,
    make_wall,
    mound,
    patches,
    pit,
)
from tests.plain_ranges import PLAIN

SEEDS = range(6)
s_all = np.arange(NUM_ALONG) * ALONG_STEP_MM
SCOPE_MM = 10.0
"""What the simulated scope needs, as `polyps` has it."""


@pytest.fixture(scope="module", params=SEEDS)
def colon(request: pytest.FixtureRequest) -> Anatomy:
    return make_anatomy(request.param, PLAIN.anatomy, Nuisances())


def smooth_tube(radius_mm: float = 20.0) -> np.ndarray:
    return np.full((NUM_ALONG, NUM_AROUND), radius_mm, np.float32)


def test_diamond_angles_turn_back_into_angles() -> None:
    angles = np.linspace(-math.pi + 1e-6, math.pi, 37)
    np.testing.assert_allclose(diamond_to_angle(angle_to_diamond(angles)), angles, atol=1e-12)
    np.testing.assert_allclose(
        angle_to_diamond(np.array([0, math.pi / 2, math.pi, -math.pi / 2])),
        [0, 1, 2, 3],
        atol=1e-12,
    )


def test_segments_differ_in_calibre_as_in_people() -> None:
    """From narrow to wide: sigmoid, descending, transverse, ascending, cecum."""
    mean: dict[str, list[float]] = {name: [] for name in SEGMENTS}
    for seed in SEEDS:
        colon = make_anatomy(seed, PLAIN.anatomy, Nuisances())
        segment = np.array([colon.segment(s) for s in s_all])
        inside = (s_all > 2 * CAP_MM) & (s_all < colon.length_mm - 2 * CAP_MM)
        for name in SEGMENTS:
            mean[name].append(float(np.median(colon.radius[inside & (segment == name)])))
    calibre = {name: np.mean(values) for name, values in mean.items()}
    ordered = ["sigmoid", "descending", "transverse", "ascending", "cecum"]
    values = [calibre[name] for name in ordered]
    assert values == sorted(values), calibre
    assert calibre["rectum"] > calibre["sigmoid"] + 2


def test_the_transverse_colon_is_triangular_and_the_descending_round() -> None:
    """The third harmonic of the cross-section over its mean, where no fold stands."""

    def third(name: str) -> float:
        parts = []
        for seed in SEEDS:
            colon = make_anatomy(seed, PLAIN.anatomy, Nuisances())
            rows = [row for row, s in enumerate(s_all[:1500]) if colon.segment(s) == name]
            ring = np.percentile(colon.radius[rows].reshape(len(rows), -1), 50, axis=0)
            wave = np.exp(3j * COLUMN_ANGLES)
            weight = np.gradient(np.unwrap(COLUMN_ANGLES))
            parts.append(abs((ring * wave * weight).sum()) / abs((ring * weight).sum()))
        return float(np.mean(parts))

    assert third("transverse") > 1.5 * third("descending")


def test_along_segments_takes_each_value_in_the_middle_of_its_segment() -> None:
    ends = np.array([150.0, 500, 750, 1100, 1300, 1400])
    values = along_segments({name: float(k) for k, name in enumerate(SEGMENTS)}, ends)
    middles = (ends + np.concatenate([[0.0], ends[:-1]])) / 2
    at = values[np.rint(middles / ALONG_STEP_MM).astype(int)]
    np.testing.assert_allclose(at, range(6), atol=0.01)
    assert values[round(150 / ALONG_STEP_MM)] == pytest.approx(0.5, abs=0.05)
    assert np.abs(np.diff(values)).max() < 0.05


def test_the_ends_are_closed_and_rounded(colon: Anatomy) -> None:
    assert (colon.radius[0] == 0).all()
    assert (colon.radius[s_all >= colon.length_mm] == 0).all()
    assert (colon.radius[(s_all > CAP_MM) & (s_all < colon.length_mm - CAP_MM)] > 0).all()


def test_the_caps_are_quarters_of_an_ellipse() -> None:
    """At a fifth of the cap's 15 mm the radius is sqrt(0.2 x 1.8) = 0.6 of what it was."""
    closed = close_ends(smooth_tube(), 600.0)
    assert closed[round(3.0 / ALONG_STEP_MM)] == pytest.approx(12.0)
    assert closed[round(597.0 / ALONG_STEP_MM)] == pytest.approx(12.0)
    assert (closed[round(CAP_MM / ALONG_STEP_MM) : round(585 / ALONG_STEP_MM)] == 20).all()


def test_the_narrowest_place_leaves_room_for_the_scope(colon: Anatomy) -> None:
    inside = (s_all > CAP_MM) & (s_all < colon.length_mm - CAP_MM)
    radius = colon.radius[inside]
    assert radius.min() >= MIN_RADIUS_MM - 2.0 - 1e-5
    opposite = np.roll(radius, NUM_AROUND // 2, axis=1)
    assert (radius + opposite).min() > SCOPE_MM + 2.0


def test_folds_are_raised_into_the_lumen_and_higher_with_their_strength() -> None:
    """Between a fold of height 0 and of 1 the wall comes in; nowhere does it go out much."""
    ends = np.linspace(0, 1400, 7)[1:]
    calibre = np.full(NUM_ALONG, 20.0)

    def wall(height: float) -> np.ndarray:
        ranges = replace(PLAIN.anatomy, fold_height=(height, height))
        return make_wall(np.random.default_rng(3), ranges, calibre, ends, 1400.0, 0.0)[0]

    flat, half, high = wall(0.0), wall(0.5), wall(1.0)
    body = slice(round(60 / ALONG_STEP_MM), round(1300 / ALONG_STEP_MM))
    raised = flat[body] - high[body]
    assert raised.min() > -1e-4
    assert 5 < np.percentile(raised, 99) < 14
    # Half as high all over: but for the least radius that is left.
    np.testing.assert_allclose((flat - half)[body][raised < 8], raised[raised < 8] / 2, atol=0.7)
    assert 0.1 < (raised > 2).mean() < 0.6, "between the folds there is room"


def test_folds_are_as_far_apart_as_they_are_drawn() -> None:
    """Of 25 mm each (times the segment's spacing), in the transverse colon 26 mm."""
    ends = np.array([20.0, 21, 22, 1300, 1301, 1400])
    ranges = replace(PLAIN.anatomy, fold_height=(1.0, 1.0), fold_spacing_mm=(25.0, 25.0))
    calibre = np.full(NUM_ALONG, 20.0)
    wall, _ = make_wall(np.random.default_rng(5), ranges, calibre, ends, 1400.0, 0.0)
    body = wall[round(100 / ALONG_STEP_MM) : round(1200 / ALONG_STEP_MM)].mean(axis=1)
    body = cv2.GaussianBlur(body[:, None], (1, 0), 0, sigmaY=3)[:, 0]
    spectrum = np.abs(np.fft.rfft(body - body.mean()))
    period = len(body) * ALONG_STEP_MM / (5 + spectrum[5:].argmax())
    assert period == pytest.approx(25.0 * ANATOMY["transverse"].spacing, rel=0.06)


def test_a_pit_goes_outwards_by_its_depth_and_is_as_wide_as_its_mouth() -> None:
    radius = smooth_tube()
    pit(radius, 300.0, 0.5, mouth_mm=3.0, depth_mm=5.0)
    column = int(angle_to_diamond(0.5) * NUM_AROUND / 4)
    along = radius[:, column] - 20
    assert along[400] == pytest.approx(5.0, abs=0.01)  # row 400: 300 mm
    assert (along > 2.5).sum() * ALONG_STEP_MM == pytest.approx(2 * 3.0 * 0.94, abs=0.8)
    assert (radius >= 20).all()
    assert (radius > 20.1).mean() < 0.002


def test_a_mound_comes_in_and_leaves_the_least_radius() -> None:
    radius = smooth_tube(10.0)
    mound(radius, 300.0, -3.1, (5.0, 8.0), 9.0)
    assert radius.min() == MIN_RADIUS_MM - 2.0
    assert (radius <= 10).all()
    around = COLUMN_ANGLES[radius[400] < 9.0]
    assert (np.abs(np.abs(around) - 3.1) < 1.6).all(), "across the seam, too"


def test_bulges_at_and_beyond_the_ends_of_the_table_harm_nothing() -> None:
    for s_mm in (0.0, s_all[-1], s_all[-1] + 50):
        radius = smooth_tube()
        pit(radius, s_mm, 0.0, 3.0, 4.0)
        assert radius.shape == (NUM_ALONG, NUM_AROUND)
        assert np.isfinite(radius).all()


def test_diverticula_pit_outwards_most_in_the_sigmoid() -> None:
    share = dict.fromkeys(SEGMENTS, 0)
    for seed in SEEDS:
        none, many = (
            make_anatomy(seed, PLAIN.anatomy, Nuisances(diverticula=strength))
            for strength in (0.0, 1.0)
        )
        before_cecum = s_all < none.length_mm - 90
        change = (many.radius - none.radius)[before_cecum]
        assert change.min() > -0.01, "nothing comes in"
        assert change.max() > 3.0
        rows = np.flatnonzero((change > 1.5).any(axis=1))
        for row in rows:
            share[many.segment(s_all[row])] += 1
    assert share["sigmoid"] > 0.5 * sum(share.values())
    assert share["rectum"] < 0.05 * sum(share.values())


def test_more_diverticula_with_more_strength() -> None:
    def pits(strength: float) -> int:
        none = make_anatomy(2, PLAIN.anatomy, Nuisances())
        some = make_anatomy(2, PLAIN.anatomy, Nuisances(diverticula=strength))
        rows = s_all < none.length_mm - 90
        deep = ((some.radius - none.radius)[rows] > 1.5).astype(np.uint8)
        return int(cv2.connectedComponents(deep)[0]) - 1

    numbers = [pits(strength) for strength in (0.0, 0.3, 1.0)]
    assert numbers[0] == 0
    assert 8 <= numbers[1] <= 20
    assert 30 <= numbers[2] <= 64


def test_the_cecum_has_a_valve_and_an_appendix(colon: Anatomy) -> None:
    """Lips that stand 3 mm and more in, 52 to 64 mm before the end; a pit 14 to 19 mm before."""
    length = colon.length_mm
    near_end = colon.radius[(s_all > length - 19.5) & (s_all < length - 13.5)]
    assert (near_end.max(axis=1) - np.median(near_end, axis=1)).max() > 1.5
    valve = colon.radius[(s_all > length - 68) & (s_all < length - 48)]
    assert (np.percentile(valve, 75, axis=1) - valve.min(axis=1)).max() > 3


@pytest.mark.parametrize(
    ("along_mm", "columns"), [(9.0, 9.0), (45.0, 50.0), (160.0, 200.0), (3.2, 6.8), (60.0, 128.0)]
)
def test_patches_are_seamless_and_of_about_unit_variance(along_mm: float, columns: float) -> None:
    noise = patches(np.random.default_rng(1), along_mm, columns)
    assert noise.shape == (NUM_ALONG, NUM_AROUND)
    assert np.isfinite(noise).all()
    spread = [patches(np.random.default_rng(k), along_mm, columns) for k in range(8)]
    assert 0.6 < np.std(spread) < 1.6
    across = np.abs(noise[:, 0] - noise[:, -1]).mean()
    beside = np.abs(np.diff(noise, axis=1)).mean()
    assert across < 2.5 * beside + 1e-6


def test_swelling_is_a_wave_that_travels_towards_the_rectum() -> None:
    colon = Anatomy(
        **{**vars(straight_anatomy(20.0)), "peristalsis": 0.04},
    )
    # By hand: a quarter of 120 mm is the crest at time 0; 9 s are one turn.
    assert colon.swelling(30.0, 0.0) == pytest.approx(0.04)
    assert colon.swelling(90.0, 0.0) == pytest.approx(-0.04)
    assert colon.swelling(0.0, 2.25) == pytest.approx(0.04)
    assert colon.swelling(150.0, 9.0) == pytest.approx(0.04)
    assert colon.swelling(30.0, 1.0) == pytest.approx(colon.swelling(30.0 + 120 / 9, 0.0))
