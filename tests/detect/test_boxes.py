import numpy as np
import pytest
import torch

from endoforge.detect.boxes import (
    FIRST_LOG2,
    LOG2_STEP,
    NUM_BINS,
    boxes_from_raw,
    make_cells,
)


def test_cells_run_stride_by_stride_and_row_by_row():
    cells = make_cells((16, 24), (8, 16), torch.device("cpu"))
    fine = [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    assert cells.centres.tolist() == [*fine, [8, 8], [24, 8]]
    assert cells.strides.tolist() == [8] * 6 + [16] * 2
    assert cells.least_side.tolist() == [0] * 6 + [64] * 2
    assert cells.most_side.tolist() == [72] * 6 + [np.inf] * 2


def test_a_stride_that_does_not_divide_a_side_has_a_cell_for_the_rest():
    assert len(make_cells((360, 640), (8, 16), torch.device("cpu")).strides) == 45 * 80 + 23 * 40


def said(weights):
    """Raw output of one cell of 8 pixels: for each edge {bin: weight}."""
    raw = torch.full((1, 1, 1 + 4 * NUM_BINS), -50.0)
    for edge, own in enumerate(weights):
        for place, weight in own.items():
            raw[0, 0, 1 + edge * NUM_BINS + place] = np.log(weight)
    return raw


def test_edges_are_means_of_logarithms_of_strides():
    assert (FIRST_LOG2, LOG2_STEP, NUM_BINS) == (-3, 0.5, 17)
    # Bins 4, 6, 8 and 10 are half a stride, 1, 2 and 4; half and half of 2 and 8 strides is 4.
    raw = said([{4: 1.0}, {6: 1.0}, {8: 1.0}, {8: 0.5, 12: 0.5}])
    [[box]] = boxes_from_raw(raw, make_cells((8, 8), (8,), torch.device("cpu")))
    assert box.tolist() == pytest.approx([4 - 4, 4 - 8, 4 + 16, 4 + 32])


def test_wild_raw_distances_stay_finite():
    cells = make_cells((8, 8), (8,), torch.device("cpu"))
    raw = torch.full((1, 1, 1 + 4 * NUM_BINS), 1e9)
    raw[..., ::2] = -1e9
    assert torch.isfinite(boxes_from_raw(raw, cells)).all()
