import math

import pytest
import torch

from endoforge.detect.boxes import FIRST_LOG2, LOG2_STEP, NUM_BINS, NUM_EDGE_CHANNELS, make_cells
from endoforge.detect.loss import (
    complete_iou,
    detection_loss,
    distribution_focal_loss,
    quality_focal_loss,
)

ONE_CLASS = torch.zeros(1, 1, dtype=torch.int64)
SURE = 30.0
"""A logit beside zeros that leaves the others nothing."""


def cells_of(*grid_hw):
    """The cells of a picture of so many rows and columns of 8 pixels, at that stride alone."""
    return make_cells((8 * grid_hw[0], 8 * grid_hw[1]), (8,), torch.device("cpu"))


def edges_saying(strides):
    """(NUM_EDGE_CHANNELS,) logits of four edges that all lie at one of the bins' distances."""
    place = round((math.log2(strides) - FIRST_LOG2) / LOG2_STEP)
    edges = torch.zeros(4, NUM_BINS)
    edges[:, place] = SURE
    return edges.flatten()


def edge_cost(strides, wanted):
    """Cross-entropy of such an edge against a distance that is a bin's too."""
    return 0.0 if strides == wanted else SURE


def ciou_by_hand(box, truth):
    """Complete IoU of two boxes in plain numbers (Zheng et al. 2020)."""
    width, height = box[2] - box[0], box[3] - box[1]
    true_width, true_height = truth[2] - truth[0], truth[3] - truth[1]
    across = max(0, min(box[2], truth[2]) - max(box[0], truth[0]))
    along = max(0, min(box[3], truth[3]) - max(box[1], truth[1]))
    iou = across * along / (width * height + true_width * true_height - across * along)
    around = math.dist(
        (min(box[0], truth[0]), min(box[1], truth[1])),
        (max(box[2], truth[2]), max(box[3], truth[3])),
    )
    apart = math.dist(
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
        ((truth[0] + truth[2]) / 2, (truth[1] + truth[3]) / 2),
    )
    v = 4 / math.pi**2 * (math.atan(true_width / true_height) - math.atan(width / height)) ** 2
    alpha = v / (1 - iou + v) if v else 0
    return iou, iou - apart**2 / around**2 - alpha * v


@pytest.mark.parametrize(
    ("box", "truth"),
    [
        ([0, 0, 4, 4], [0, 0, 4, 4]),
        ([0, 0, 4, 4], [2, 0, 6, 4]),
        ([0, 0, 4, 4], [8, 8, 9, 12]),
        ([1, 1, 3, 9], [0, 2, 8, 5]),
    ],
)
def test_complete_iou_by_hand(box, truth):
    found = complete_iou(torch.tensor(box).float(), torch.tensor(truth).float())
    assert [float(value) for value in found] == pytest.approx(ciou_by_hand(box, truth), abs=1e-5)


def test_complete_iou_of_half_overlapping_squares_in_numbers():
    # IoU 8 / 24; centres 2 apart in a box of 6 by 4; the same aspect.
    iou, ciou = complete_iou(torch.tensor([0.0, 0, 4, 4]), torch.tensor([2.0, 0, 6, 4]))
    assert float(iou) == pytest.approx(1 / 3)
    assert float(ciou) == pytest.approx(1 / 3 - 4 / 52)


def test_quality_focal_loss_in_numbers():
    logit = math.log(0.2 / 0.8)  # says 0.2
    loss = quality_focal_loss(torch.tensor([logit] * 3), torch.tensor([0.0, 0.2, 1.0]))
    assert loss.tolist() == pytest.approx([0.2 * -math.log(0.8), 0, 0.8 * -math.log(0.2)], abs=1e-6)


def test_distribution_focal_loss_in_numbers():
    # The cell of (4, 4) and a box whose edges lie 1, 1, 2 and 3 strides away: bins 6, 6 and 8, and
    # 3 strides, between bins 9 and 10.
    cells = cells_of(1, 1)
    truth = torch.tensor([[[4.0 - 8, 4.0 - 8, 4.0 + 16, 4.0 + 24]]])
    logits = torch.arange(NUM_BINS, dtype=torch.float32) * 0.1
    log_weights = logits.log_softmax(0).expand(1, 1, 4, NUM_BINS)
    place = (math.log2(3) + 3) / 0.5
    expected = [-float(log_weights[0, 0, 0, n]) for n in (6, 6, 8)]
    expected.append(
        -float((10 - place) * log_weights[0, 0, 0, 9] + (place - 9) * log_weights[0, 0, 0, 10])
    )
    [[found]] = distribution_focal_loss(log_weights, truth, cells.centres, cells.strides).tolist()
    assert found == pytest.approx(sum(expected) / 4, rel=1e-5)


def test_the_whole_loss_of_one_small_box_in_numbers():
    # One box that lies exactly in the cell of row 0, column 1: only that cell is positive.
    raw = torch.zeros(1, 4, 1 + NUM_EDGE_CHANNELS)
    raw[..., 1:] = edges_saying(0.5)
    raw[0, 1, 1:] = edges_saying(1.0)  # says (4, -4, 20, 12) for (8, 0, 16, 8): IoU 64 / 256
    box = torch.tensor([[[0.5, 0.0, 1.0, 0.5]]])
    loss = detection_loss(raw, box, ONE_CLASS, torch.tensor([1]), cells_of(2, 2))
    entropy = math.log(2)
    objectness = 3 * 0.5 * entropy + 0.25 * entropy
    assert float(loss.mean_iou) == pytest.approx(0.25)
    expected = objectness + 4 * (1 - 0.25) + 0.5 * edge_cost(1.0, 0.5)
    assert float(loss.total) == pytest.approx(expected, abs=1e-4)


def random_raw(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_batch_without_boxes_has_a_loss_and_finite_slopes():
    raw = random_raw(2, 9, 1 + NUM_EDGE_CHANNELS, seed=0).requires_grad_()
    classes = ONE_CLASS.expand(2, 1)
    loss = detection_loss(raw, torch.zeros(2, 1, 4), classes, torch.tensor([0, 0]), cells_of(3, 3))
    loss.total.backward()
    assert float(loss.mean_iou) == 0
    assert torch.isfinite(raw.grad).all()
    assert float(raw.grad[..., 1:].abs().sum()) == 0


def test_a_step_down_the_slope_brings_the_boxes_nearer():
    raw = random_raw(1, 9, 1 + NUM_EDGE_CHANNELS, seed=1) * 0.5
    raw.requires_grad_()
    box, count = torch.tensor([[[0.1, 0.2, 0.8, 0.7]]]), torch.tensor([1])
    before = detection_loss(raw, box, ONE_CLASS, count, cells_of(3, 3))
    before.total.backward()
    after = detection_loss(raw.detach() - 0.1 * raw.grad, box, ONE_CLASS, count, cells_of(3, 3))
    assert float(after.total) < float(before.total.detach())
    assert float(after.mean_iou) > float(before.mean_iou)


def slow_score_loss(raw, positives):
    """Quality focal loss, output by output; `positives` are {cell: (class, quality)}."""
    total = 0.0
    for cell in range(raw.shape[1]):
        for number in range(raw.shape[2] - NUM_EDGE_CHANNELS):
            of_class, quality = positives.get(cell, (None, 0.0))
            wanted = quality if of_class == number else 0.0
            said = 1 / (1 + math.exp(-float(raw[0, cell, number])))
            entropy = -wanted * math.log(said) - (1 - wanted) * math.log(1 - said)
            total += abs(wanted - said) * entropy
    return total


def test_the_quality_is_wanted_at_the_true_class_alone():
    """Two boxes of two of three classes, a loop over every output of the net."""
    raw = random_raw(1, 4, 3 + NUM_EDGE_CHANNELS, seed=0)
    raw[..., 3:] = edges_saying(0.5)  # every cell says its own square of 8 pixels
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0], [0, 0, 0, 0]]])
    classes = torch.tensor([[2, 1, 0]])
    loss = detection_loss(raw, boxes, classes, torch.tensor([2]), cells_of(2, 2))
    scores = slow_score_loss(raw, {0: (2, 0.5), 3: (1, 1.0)})
    iou, ciou = ciou_by_hand([0, 0, 8, 8], [0, 0, 8, 4])
    assert iou == 0.5
    # Of the first box one edge of four is off: it lies on the centre, so the first bin is meant.
    edges = 0.5 * SURE / 4
    assert float(loss.total) == pytest.approx(scores / 2 + (4 * (1 - ciou) + edges) / 2, abs=1e-4)
    assert float(loss.mean_iou) == pytest.approx(0.75)


def test_one_class_of_several_costs_as_the_only_one_and_what_the_others_say():
    raw = random_raw(2, 16, 1 + NUM_EDGE_CHANNELS, seed=3)
    boxes = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(4)).sort(2).values
    counts, silent, cells = torch.tensor([3, 1]), torch.full((2, 16, 1), -60.0), cells_of(4, 4)
    alone = detection_loss(raw, boxes, torch.zeros(2, 3, dtype=torch.int64), counts, cells)
    beside = torch.cat([silent, raw], dim=2)
    second = detection_loss(beside, boxes, torch.ones(2, 3, dtype=torch.int64), counts, cells)
    assert float(second.total) == pytest.approx(float(alone.total), rel=1e-6)


@pytest.mark.parametrize("num_boxes", [[2, 1, 0], [0, 0, 0]])
def test_looking_at_positive_cells_alone_changes_nothing(num_boxes, monkeypatch):
    """As a CPU does, beside all cells, as a GPU does."""
    cells = make_cells((64, 96), (8, 16), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(3, len(cells.centres), 2 + NUM_EDGE_CHANNELS, generator=generator)
    raw.requires_grad_()
    boxes = torch.tensor([[0.1, 0.1, 0.9, 0.8], [0.3, 0.2, 0.4, 0.3]]).repeat(3, 1, 1)
    truth = boxes, torch.tensor([[0, 1], [1, 0], [0, 0]]), torch.tensor(num_boxes)

    def loss_and_slopes():
        loss = detection_loss(raw, *truth, cells)
        [slopes] = torch.autograd.grad(loss.total, raw)
        return loss.total.detach(), loss.mean_iou, slopes

    chosen = loss_and_slopes()
    monkeypatch.setattr("endoforge.detect.loss._chosen", lambda _positive: None)
    for one, other in zip(chosen, loss_and_slopes(), strict=True):
        assert torch.isfinite(one).all()
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)
