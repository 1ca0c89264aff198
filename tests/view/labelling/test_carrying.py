"""Boxes of the frame before are suggested where they have come to."""

import cv2
import numpy as np
import pytest

from endoforge.captures.frame_times import FrameTime
from endoforge.captures.recorder import RunRecorder
from endoforge.view.labelling.carrying import Carrier
from endoforge.view.labelling.keeping import LabelKeeper

from .runs import drawn, edit, texture, write_run

SIZE = (160, 120)


def moving_run(root, steps, *, seconds=0.2, noise=()):
    """A video whose picture moves by `steps` pixels to the left from frame to frame; the frames of
    `noise` show something else."""
    wide = texture(1, (SIZE[0] + 200, SIZE[1]))
    recorder = RunRecorder.create(root, seed=1, max_frames=None, extra={})
    left = 0
    for number, step in enumerate([0, *steps]):
        left += step
        picture = np.ascontiguousarray(wide[:, left : left + SIZE[0]])
        if number in noise:
            picture = texture(50 + number, SIZE)
        recorder.write_unlabelled(number, picture, FrameTime(seconds * number))
    recorder.finish()
    return recorder.run_dir


def test_a_box_moves_with_the_picture(tmp_path):
    run = moving_run(tmp_path, [6, 6])
    keeper, carrier = LabelKeeper(tmp_path), Carrier(tmp_path)
    keeper.keep(run.name, 0, edit(drawn(60, 40, 100, 80, polyp_id=4)), None)
    suggested = carrier.carried(run.name, 1)
    [polyp] = suggested.polyp_labels
    assert polyp.bbox_px == pytest.approx((54, 40, 94, 80), abs=1.5)
    assert (polyp.polyp_id, polyp.source, polyp.reviewed) == (4, "predicted", None)
    assert not (run / "labels/frame_00001.json").exists(), "a suggestion isn't saved"


def test_of_several_frames_the_last_says_which_boxes_there_are(tmp_path):
    run = moving_run(tmp_path, [4, 4, 4])
    keeper = LabelKeeper(tmp_path)
    one, two = drawn(60, 40, 100, 80, polyp_id=1), drawn(10, 10, 40, 40, polyp_id=2)
    keeper.keep(run.name, 0, edit(one, two), None)
    keeper.keep(run.name, 1, edit(drawn(56, 40, 96, 80, polyp_id=1)), None)
    three = drawn(110, 60, 140, 90, polyp_id=3)
    keeper.keep(run.name, 2, edit(three, drawn(52, 40, 92, 80, polyp_id=1)), None)
    polyps = Carrier(tmp_path).carried(run.name, 3).polyp_labels
    found = {polyp.polyp_id: polyp.bbox_px for polyp in polyps}
    assert found.keys() == {1, 3}
    assert found[1] == pytest.approx((48, 40, 88, 80), abs=2.5)
    assert found[3] == pytest.approx((106, 60, 136, 90), abs=2.5)


def test_nothing_is_carried_from_what_nobody_has_confirmed(tmp_path):
    run = moving_run(tmp_path, [4])
    LabelKeeper(tmp_path).keep(run.name, 0, edit(drawn(6, 4, 30, 30), reviewed=False), None)
    suggested = Carrier(tmp_path).carried(run.name, 1)
    assert (suggested.polyp_labels, suggested.why) == ([], "no confirmed boxes in the frame before")


def test_what_leaves_the_picture_isnt_suggested(tmp_path):
    run = moving_run(tmp_path, [20])
    LabelKeeper(tmp_path).keep(run.name, 0, edit(drawn(0, 40, 26, 80)), None)
    suggested = Carrier(tmp_path).carried(run.name, 1)
    assert (suggested.polyp_labels, suggested.why) == ([], "they have left the picture")


@pytest.mark.parametrize(("seconds", "carried"), [(0.2, 1), (5.0, 0)])
def test_where_the_motion_is_unknown_a_near_frame_has_them(tmp_path, seconds, carried):
    run = moving_run(tmp_path, [0], seconds=seconds, noise=(1,))
    LabelKeeper(tmp_path).keep(run.name, 0, edit(drawn(60, 40, 100, 80)), None)
    assert len(Carrier(tmp_path).carried(run.name, 1).polyp_labels) == carried


def test_pictures_by_themselves_have_none_of_another(tmp_path):
    run = write_run(tmp_path, [[drawn(10, 10, 40, 40)], []])
    cv2.imwrite(str(run / "images/frame_00001.png"), texture(99))
    assert Carrier(tmp_path).carried(run.name, 1).polyp_labels == []
