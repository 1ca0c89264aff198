"""What is noted of frames as they are shown to the detector."""

import cv2
import numpy as np
import pytest

from endoforge.captures.tally import Tally
from endoforge.detect.neural import NeuralDetector
from endoforge.select.looking import look_at
from endoforge.select.looks import look_of
from endoforge.select.pool import read_pool
from tests.select.conftest import noise, save_frame, save_run, save_video_run


@pytest.fixture
def detector(lively):
    detector = NeuralDetector(lively)
    detector.set_thresholds(objectness=0.01, iou=0.5)
    return detector


def still_run(run, count):
    """A video of one picture again and again, so that the same is found in each frame."""
    save_video_run(run, count)
    for number in range(count):
        save_frame(run, number, 0)
    return run


def look(run, detector):
    left_out = Tally()
    return look_at(read_pool([run]).frames, detector, left_out), left_out


def test_of_each_frame_its_scores_and_its_look_are_noted(tmp_path, detector):
    seen, _ = look(save_run(tmp_path / "run_1", 11, format="coco"), detector)
    assert len(seen.frames) == len(seen.impressions) == 11
    for number, impression in enumerate(seen.impressions):
        scores = detector.detect(noise(number)).scores
        assert impression.scores == pytest.approx(scores[scores >= 0.05], abs=1e-5)
        assert impression.best == pytest.approx(scores[0], abs=1e-5)
        assert impression.tracked is None
        assert seen.looks[number].tolist() == look_of(noise(number)).tolist()


def test_a_track_goes_through_a_video_and_past_a_damaged_picture(tmp_path, detector):
    run = still_run(tmp_path / "run_1", 30)
    (run / "images/frame_00020.png").write_bytes(b"")
    seen, left_out = look(run, detector)
    assert left_out.counts == {"frame: image unreadable": 1}
    assert [frame.frame_id for frame in seen.frames] == [*range(20), *range(21, 30)]
    assert len(seen.impressions[0].tracked.ids) == 0
    ids = [set(one.tracked.ids.tolist()) for one in seen.impressions]
    assert ids[18]
    assert ids[18] <= ids[-1]


def test_another_size_begins_other_tracks_and_another_run_counts_anew(tmp_path, detector):
    run = still_run(tmp_path / "runs/run_1", 40)
    for number in range(20, 40):
        larger = cv2.resize(noise(0), (192, 128))
        cv2.imwrite(str(run / f"images/frame_{number:05d}.png"), larger[..., ::-1])
    still_run(tmp_path / "runs/run_2", 20)
    seen, _ = look(tmp_path / "runs", detector)
    assert [one.stretch for one in seen.impressions] == [0] * 20 + [1] * 20 + [0] * 20
    first, second, other = (
        {number for one in seen.impressions[start : start + 20] for number in one.tracked.ids}
        for start in (0, 20, 40)
    )
    assert first
    assert second
    assert max(first) < min(second)
    assert other == first


def test_a_find_that_no_track_has_is_loose(tmp_path, detector):
    """Of the first frame of a video all finds are, for a track takes two frames."""
    seen, _ = look(still_run(tmp_path / "run_1", 2), detector)
    assert seen.impressions[0].loose == pytest.approx(seen.impressions[0].best)
    assert seen.impressions[0].loose > 0.3
    assert np.isfinite(seen.looks).all()
