import math

import pytest
import torch

from endoforge.detect.loss import complete_iou, detection_loss, quality_focal_loss

ONE_CLASS = torch.zeros(1, 1, dtype=torch.int64)


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


def test_the_whole_loss_of_one_small_box_in_numbers():
    # One box that lies exactly in the cell of row 0, column 1: only that cell is positive.
    raw = torch.zeros(1, 5, 2, 2)
    raw[0, 1:] = math.log(0.5)
    raw[0, 1:, 0, 1] = math.log(1.0)  # says (4, -4, 20, 12) for (8, 0, 16, 8): IoU 64 / 256
    box = torch.tensor([[[0.5, 0.0, 1.0, 0.5]]])
    loss = detection_loss(raw, box, ONE_CLASS, torch.tensor([1]), stride=8)
    entropy = math.log(2)
    objectness = 3 * 0.5 * entropy + 0.25 * entropy
    assert float(loss.mean_iou) == pytest.approx(0.25)
    assert float(loss.total) == pytest.approx(objectness + 2 * (1 - 0.25), abs=1e-5)


def test_a_batch_without_boxes_has_a_loss_and_finite_slopes():
    raw = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    classes = ONE_CLASS.expand(2, 1)
    loss = detection_loss(raw, torch.zeros(2, 1, 4), classes, torch.tensor([0, 0]), stride=8)
    loss.total.backward()
    assert float(loss.mean_iou) == 0
    assert torch.isfinite(raw.grad).all()
    assert float(raw.grad[:, 1:].abs().sum()) == 0


def test_a_step_down_the_slope_brings_the_boxes_nearer():
    raw = torch.randn(1, 5, 3, 3, generator=torch.Generator().manual_seed(1)) * 0.5
    raw.requires_grad_()
    box, count = torch.tensor([[[0.1, 0.2, 0.8, 0.7]]]), torch.tensor([1])
    before = detection_loss(raw, box, ONE_CLASS, count, stride=8)
    before.total.backward()
    after = detection_loss(raw.detach() - 0.01 * raw.grad, box, ONE_CLASS, count, stride=8)
    assert float(after.total) < float(before.total.detach())
    assert float(after.mean_iou) > float(before.mean_iou)


def slow_score_loss(raw, positives):
    """Quality focal loss, output by output; `positives` are {(row, column): (class, quality)}."""
    total = 0.0
    for number in range(raw.shape[1] - 4):
        for row in range(raw.shape[2]):
            for column in range(raw.shape[3]):
                of_class, quality = positives.get((row, column), (None, 0.0))
                wanted = quality if of_class == number else 0.0
                said = 1 / (1 + math.exp(-float(raw[0, number, row, column])))
                entropy = -wanted * math.log(said) - (1 - wanted) * math.log(1 - said)
                total += abs(wanted - said) * entropy
    return total


def test_the_quality_is_wanted_at_the_true_class_alone():
    """Two boxes of two of three classes, a loop over every output of the net."""
    raw = torch.randn(1, 7, 2, 2, generator=torch.Generator().manual_seed(0))
    raw[:, 3:] = math.log(0.5)  # every cell says its own square of 8 pixels
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0], [0, 0, 0, 0]]])
    classes = torch.tensor([[2, 1, 0]])
    loss = detection_loss(raw, boxes, classes, torch.tensor([2]), stride=8)
    scores = slow_score_loss(raw, {(0, 0): (2, 0.5), (1, 1): (1, 1.0)})
    iou, ciou = ciou_by_hand([0, 0, 8, 8], [0, 0, 8, 4])
    assert iou == 0.5
    assert float(loss.total) == pytest.approx(scores / 2 + 2 * (1 - ciou) / 2, abs=1e-5)
    assert float(loss.mean_iou) == pytest.approx(0.75)


def test_one_class_of_several_costs_as_the_only_one_and_what_the_others_say():
    raw = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(3))
    boxes = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(4)).sort(2).values
    counts, silent = torch.tensor([3, 1]), torch.full((2, 1, 4, 4), -60.0)
    alone = detection_loss(raw, boxes, torch.zeros(2, 3, dtype=torch.int64), counts, stride=8)
    beside = torch.cat([silent, raw], dim=1)
    second = detection_loss(beside, boxes, torch.ones(2, 3, dtype=torch.int64), counts, stride=8)
    assert float(second.total) == pytest.approx(float(alone.total), rel=1e-6)
