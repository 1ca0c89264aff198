"""The classical detector, on pictures whose answer is known and on simulated frames."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.detect.classical.contours import RADII, best_paths
from endoforge.detect.classical.view import see
from endoforge.detect.detections import Detections
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.overlap import pairwise_iou
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure

WALL = np.array([205.0, 128.0, 108.0])
"""The colour of mucosa under the lamp, RGB."""


def plane(height=360, width=640):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def wall(height=360, width=640):
    """Mucosa that a lamp lights from the middle of the picture, with fine grain.

    With a fall-off of 0.4 and more, such a picture is one large dome, and taken for a polyp.
    """
    x, y = plane(height, width)
    away = np.hypot(x - width / 2, y - height / 2) / np.hypot(width / 2, height / 2)
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(height, width)), (0, 0), 2)
    return WALL * (1 - 0.25 * away**2 + 0.03 * grain)[..., None]


def with_bump(picture, x0, y0, radius, colour=(1.05, 0.9, 0.9)):
    """A dome that faces the lamp in its middle and turns from it towards its rim."""
    x, y = plane(*picture.shape[:2])
    distance = np.hypot(x - x0, y - y0) / radius
    shade = 0.45 + 0.65 * np.sqrt(np.clip(1 - distance**2, 0, 1))
    dome = picture * shade[..., None] * colour
    return np.where((distance < 1)[..., None], dome, picture)


def with_glint(picture, x0, y0, radius):
    x, y = plane(*picture.shape[:2])
    return np.where((np.hypot(x - x0, y - y0) < radius)[..., None], 255.0, picture)


def with_lumen(picture, x0, y0, radius):
    """A tube that goes on into the dark."""
    x, y = plane(*picture.shape[:2])
    light = 1 - 0.92 * np.exp(-0.5 * (np.hypot(x - x0, (y - y0) * 1.2) / radius) ** 2)
    return picture * light[..., None]


def frame(picture):
    return np.clip(picture, 0, 255).round().astype(np.uint8)


def box(x0, y0, radius, width=640, height=360):
    return np.array(
        [[(x0 - radius) / width, (y0 - radius) / height, (x0 + radius) / width,
          (y0 + radius) / height]]
    )  # fmt: skip


def same(one, other):
    return np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)


BUMPS = [(300, 170, 60), (420, 230, 35), (200, 140, 90), (330, 200, 24)]


@pytest.mark.parametrize(("x0", "y0", "radius"), BUMPS)
def test_a_shaded_bump_is_found_where_it_is(x0, y0, radius):
    found = HeuristicDetector().detect(frame(with_bump(wall(), x0, y0, radius)))
    assert len(found) > 0
    assert pairwise_iou(found.boxes[:1], box(x0, y0, radius))[0, 0] > 0.5


def test_a_bump_moves_its_box_and_a_fainter_one_scores_less():
    detector = HeuristicDetector(objectness=0.0)
    left, right = (detector.detect(frame(with_bump(wall(), x, 180, 50))) for x in (200, 440))
    assert left.boxes[0] != pytest.approx(right.boxes[0], abs=0.1)
    faint = 0.75 * wall() + 0.25 * with_bump(wall(), 200, 180, 50)
    assert detector.detect(frame(faint)).scores[0] < left.scores[0]


@pytest.mark.parametrize(("x0", "y0", "radius"), [(320, 180, 60), (250, 130, 90), (400, 220, 45)])
def test_a_lumen_is_no_polyp(x0, y0, radius):
    assert len(HeuristicDetector().detect(frame(with_lumen(wall(), x0, y0, radius)))) == 0


def test_a_wall_and_a_glint_on_it_are_no_polyps():
    assert len(HeuristicDetector().detect(frame(wall()))) == 0
    for radius in (4, 8, 14):
        assert len(HeuristicDetector().detect(frame(with_glint(wall(), 400, 200, radius)))) == 0


def test_a_glint_on_a_bump_hides_nothing():
    picture = with_glint(with_bump(wall(), 300, 170, 60), 290, 150, 9)
    found = HeuristicDetector().detect(frame(picture))
    assert pairwise_iou(found.boxes[:1], box(300, 170, 60))[0, 0] > 0.5


def test_the_scopes_mask_and_letters_on_it_are_no_part_of_the_view():
    x, y = plane()
    inside = np.hypot(x - 400, y - 180) < 170
    masked = frame(np.where(inside[..., None], wall(), 0))
    cv2.putText(masked, "ID 12345", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    view = see(masked)
    assert view is not None
    sides = np.array([view.left * 640, view.top * 360, view.width * 640, view.height * 360])
    assert sides == pytest.approx([230, 10, 340, 340], abs=6)
    assert view.valid.mean() == pytest.approx(np.pi / 4, abs=0.06)
    assert len(HeuristicDetector().detect(masked)) == 0


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 500), (7, 5), (33, 200), (361, 641), (500, 120)]
)
@pytest.mark.parametrize("value", ["black", "white", "noise", "wall"])
def test_any_frame_gives_boxes_within_it_and_falling_scores(height, width, value):
    pictures = {
        "black": np.zeros((height, width, 3), np.uint8),
        "white": np.full((height, width, 3), 255, np.uint8),
        "noise": np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8),
        "wall": frame(wall(height, width)),
    }
    found = HeuristicDetector(objectness=0.0).detect(pictures[value])
    assert value != "black" or len(found) == 0
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.classes.dtype == np.int64
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert np.isfinite(found.scores).all()
    assert (np.diff(found.scores) <= 0).all()


def test_what_is_no_frame_is_named():
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 RGB, got \(4, 4\) uint8"):
        HeuristicDetector().detect(np.zeros((4, 4), np.uint8))


def test_thresholds_act():
    detector = HeuristicDetector()
    picture = frame(with_bump(with_bump(wall(), 240, 170, 50), 420, 190, 40))
    detector.set_thresholds(0.0, 0.35)
    everything = detector.detect(picture)
    middle = float(np.median(everything.scores))
    detector.set_thresholds(middle, 0.35)
    better = detector.detect(picture)
    assert 0 < len(better) < len(everything)
    assert better.scores.min() >= middle
    detector.set_thresholds(0.0, 0.0)
    apart = detector.detect(picture)
    assert 0 < len(apart) < len(everything)
    overlaps = pairwise_iou(apart.boxes, apart.boxes)
    assert (overlaps[~np.eye(len(apart), dtype=bool)] == 0).all()


def test_the_same_frame_gives_the_same_answer_in_turn_and_in_threads():
    detector = HeuristicDetector(objectness=0.01)
    pictures = [frame(with_bump(wall(), *bump)) for bump in BUMPS]
    before = [picture.copy() for picture in pictures]
    alone = [detector.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(detector.detect, pictures * 3))
    assert all(same(one, other) for one, other in zip(together, alone * 3, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(pictures, before, strict=True))


def test_a_frame_larger_by_two_gives_about_the_same():
    picture = frame(with_bump(wall(), 300, 170, 60))
    double = cv2.resize(picture, (1280, 720), interpolation=cv2.INTER_LINEAR)
    one, other = (HeuristicDetector().detect(some).boxes[0] for some in (picture, double))
    assert other == pytest.approx(one, abs=0.03)


def test_the_best_path_follows_the_edge_around_and_bends_with_it():
    rng = np.random.default_rng(5)
    edges = np.zeros((2, 16, len(RADII)), np.float32)
    edges[0, np.arange(16), 9 + (np.arange(16) // 8)] = 1  # bends where it rises and where it falls
    edges[1, :, 12] = 0.9
    edges += rng.uniform(0, 0.02, edges.shape).astype(np.float32)
    first, second = best_paths(edges)
    assert first.tolist() == [9] * 8 + [10] * 8
    assert second.tolist() == [12] * 16


@pytest.mark.slow
def test_on_simulated_frames_it_is_far_better_than_a_box_in_the_middle(tmp_path):
    generate(
        DatagenConfig(
            seed=4242,
            runs=3,
            max_frames=12,
            resolution="320x180",
            randomization="plain",
            output_root=str(tmp_path),
        )
    )
    frames = index_root(tmp_path).frames
    truths = [Truth(one.boxes, np.zeros(len(one.boxes), np.int64)) for one in frames]
    assert sum(map(len, truths)) > 15
    detector = HeuristicDetector(objectness=0.01)
    found = [detector.detect(read_picture(one.image_path)) for one in frames]
    constant = Detections(
        np.array([[0.35, 0.3, 0.65, 0.7]], np.float32), np.ones(1, np.float32), np.zeros(1, int)
    )
    good, stupid = (
        measure(some, truths, class_names=("polyp",), obj_thresh=0.3, iou_threshs=[0.5]).ap50
        for some in (found, [constant] * len(frames))
    )
    assert good is not None
    assert stupid is not None
    assert good > stupid + 0.2
