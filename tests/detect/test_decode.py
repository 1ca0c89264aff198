import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from endoforge.detect.boxes import NUM_EDGE_CHANNELS, make_cells
from endoforge.detect.decode import candidates, decode_batch, detections_of, nms
from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou


def nms_by_brute_force(boxes, scores, classes, threshold):
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if classes[k] == classes[index]]
        overlaps = [pairwise_iou(boxes[[index]], boxes[[k]])[0, 0] for k in rivals]
        if all(overlap <= threshold for overlap in overlaps):
            kept.append(index)
    return kept


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 25),
    st.sampled_from([1, 3]),
    st.sampled_from([0.1, 0.5, 0.9]),
)
def test_nms_agrees_with_brute_force(seed, count, num_classes, threshold):
    rng = np.random.default_rng(seed)
    low = rng.random((count, 2)) * 0.6
    boxes = np.concatenate([low, low + rng.random((count, 2)) * 0.4], axis=1).astype(np.float32)
    scores = rng.integers(0, 5, count).astype(np.float32) / 4  # ties
    classes = rng.integers(0, num_classes, count)
    expected = nms_by_brute_force(boxes, scores, classes, threshold)
    assert nms(boxes, scores, classes, threshold).tolist() == expected
    assert nms(boxes, scores, classes, threshold, max_kept=3).tolist() == expected[:3]


def test_a_suppressed_box_suppresses_nothing():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert nms(boxes, scores, np.zeros(3, np.int64), 0.3).tolist() == [0, 2]
    assert nms(boxes, scores, np.array([0, 1, 0]), 0.3).tolist() == [0, 1, 2]


CELLS = make_cells((32, 48), (8,), torch.device("cpu"))
"""Of a picture of 4 by 6 cells of 8 pixels."""
BINS = {0.25: 2, 0.5: 4, 1.0: 6, 2.0: 8, 4.0: 10, 32.0: 16}
"""The place of some distances in strides among those that the net weighs."""


def raw_with(cells, grid_hw=(4, 6)):
    """Raw output of one picture: {(row, column): (score, distance in strides)}, else nothing.

    Distances are those of BINS.
    """
    return raw_of_classes({at: ([score], far) for at, (score, far) in cells.items()}, 1, grid_hw)


def test_decoding_by_hand():
    [found] = decode_batch(raw_with({(1, 2): (0.9, 1.0), (3, 5): (0.6, 0.25)}), CELLS)
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    # Centres (20, 12) and (44, 28) in a picture of 48 by 32.
    first = [12 / 48, 4 / 32, 28 / 48, 20 / 32]
    second = [42 / 48, 26 / 32, 46 / 48, 30 / 32]
    assert found.boxes == pytest.approx(np.array([first, second]))
    assert found.boxes.dtype == found.scores.dtype == np.float32


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.9, 1.0])
def test_only_cells_of_enough_score_are_worked_out_and_the_detections_are_those_of_all(threshold):
    raw = torch.randn((3, 24, 2 + NUM_EDGE_CHANNELS), generator=torch.Generator().manual_seed(1))
    raw[1, :, :2] -= 5.0  # a picture of less than the others
    boxes, *_ = candidates(raw, CELLS, threshold)
    enough = (raw[..., :2].sigmoid().amax(dim=2) >= threshold).sum(dim=1)
    assert boxes.shape == (3, enough.max(), 4)
    size = np.array([48, 32, 48, 32], np.float32)
    expected = [
        detections_of(Detections(box / size, *given), threshold, 0.5, 100)
        for box, *given in zip(*map(torch.Tensor.numpy, candidates(raw, CELLS)), strict=True)
    ]
    found = decode_batch(raw, CELLS, score_threshold=threshold)
    for one, other in zip(found, expected, strict=True):
        assert one.boxes == pytest.approx(other.boxes, abs=1e-6)
        assert one.scores.tolist() == other.scores.tolist()
        assert one.classes.tolist() == other.classes.tolist()


def test_no_picture_has_no_detections():
    assert decode_batch(torch.zeros(0, 24, 1 + NUM_EDGE_CHANNELS), CELLS) == []


def raw_of_classes(cells, num_classes, grid_hw=(4, 6)):
    """As `raw_with`, of {(row, column): (scores, distance)} with a score for each class."""
    raw = torch.full((1, grid_hw[0] * grid_hw[1], num_classes + NUM_EDGE_CHANNELS), -20.0)
    for (row, column), (scores, distance) in cells.items():
        cell = raw[0, row * grid_hw[1] + column]
        cell[:num_classes] = torch.logit(torch.tensor(scores))
        cell[num_classes:].unflatten(0, (4, -1))[:, BINS[distance]] = 20.0
    return raw


def test_a_cell_is_of_its_likeliest_class():
    cells = {(1, 2): ([0.2, 0.1, 0.9], 1.0), (3, 5): ([0.6, 0.5, 0.4], 0.25)}
    [found] = decode_batch(raw_of_classes(cells, 3), CELLS)
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert found.classes.tolist() == [2, 0]
    assert found.classes.dtype == np.int64
    assert found.boxes[0] == pytest.approx([12 / 48, 4 / 32, 28 / 48, 20 / 32])


def test_detections_of_other_classes_suppress_nothing():
    same = {(1, 1): ([0.9, 0.1], 4.0), (1, 2): ([0.8, 0.1], 4.0)}
    other = {(1, 1): ([0.9, 0.1], 4.0), (1, 2): ([0.1, 0.8], 4.0)}
    assert decode_batch(raw_of_classes(same, 2), CELLS)[0].classes.tolist() == [0]
    assert decode_batch(raw_of_classes(other, 2), CELLS)[0].classes.tolist() == [0, 1]


def test_boxes_are_clipped_to_the_picture():
    [found] = decode_batch(raw_with({(0, 0): (0.9, 32.0)}), CELLS)
    assert found.boxes.tolist() == [[0, 0, 1, 1]]


def test_thresholds_and_the_limit_hold():
    raw = raw_with({(0, 0): (0.9, 0.5), (0, 2): (0.6, 0.5), (0, 4): (0.2, 0.5)})
    assert len(decode_batch(raw, CELLS)[0]) == 3
    assert len(decode_batch(raw, CELLS, score_threshold=0.5)[0]) == 2
    assert len(decode_batch(raw, CELLS, max_detections=1)[0]) == 1


def test_neighbours_that_say_the_same_polyp_are_one_detection():
    raw = raw_with({(1, 2): (0.9, 2.0), (1, 3): (0.8, 2.0)})
    assert len(decode_batch(raw, CELLS, iou_threshold=0.5)[0]) == 1
    assert len(decode_batch(raw, CELLS, iou_threshold=0.9)[0]) == 2


def detections(*rows):
    """Of (x0, y0, x1, y1, score, class)."""
    columns = np.array(rows, np.float64)
    return Detections(
        columns[:, :4].astype(np.float32),
        columns[:, 4].astype(np.float32),
        columns[:, 5].astype(np.int64),
    )


def test_what_is_found_near_a_detection_votes_on_its_box():
    """By hand: a box 20 wide that another one, 18 of 20 of it in common, moves to its side."""
    found = detections((0.1, 0.1, 0.3, 0.3, 0.9, 0), (0.12, 0.1, 0.32, 0.3, 0.6, 0))
    say = 0.6 * np.exp(-((1 - 18 / 22) ** 2) / 0.02)
    moved = 0.02 * say / (0.9 + say)
    assert moved > 0.002
    [box] = detections_of(found, 0.1, 0.5, 100).boxes
    assert box == pytest.approx([0.1 + moved, 0.1, 0.3 + moved, 0.3], abs=1e-6)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ((0.12, 0.1, 0.32, 0.3, 0.6, 1), "another class"),
        ((0.12, 0.1, 0.32, 0.3, 0.44, 0), "less than half as sure"),
        ((0.17, 0.1, 0.37, 0.3, 0.6, 0), "too little overlap"),
    ],
)
def test_others_have_no_say(other, why):
    own = (0.1, 0.1, 0.3, 0.3, 0.9, 0)
    found = detections_of(detections(own, other), 0.1, 0.5, 100)
    assert found.boxes[0] == pytest.approx(own[:4], abs=1e-6), why


def test_a_higher_threshold_only_leaves_detections_out():
    raw = torch.randn((3, 24, 2 + NUM_EDGE_CHANNELS), generator=torch.Generator().manual_seed(1))
    for low, high in zip(
        decode_batch(raw, CELLS, score_threshold=0.1),
        decode_batch(raw, CELLS, score_threshold=0.6),
        strict=True,
    ):
        assert 0 < len(high) < len(low)
        assert low.above(0.6).boxes == pytest.approx(high.boxes, abs=1e-6)


def test_a_box_without_area_stays_where_it_is():
    boxes = np.array([[0.2, 0.2, 0.2, 0.5], [0.7, 0.7, 0.9, 0.9]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64))
    assert detections_of(found, 0.1, 0.5, 100).boxes == pytest.approx(boxes, abs=1e-7)
