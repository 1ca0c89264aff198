import numpy as np
import pytest

from endoforge.captures.frame_times import (
    TIMES_NAME,
    FrameTime,
    append_frame_time,
    read_frame_times,
)
from endoforge.captures.recorder import RunRecorder
from endoforge.core.errors import UserError


def test_times_are_read_back_and_the_last_line_of_a_frame_counts(tmp_path):
    append_frame_time(tmp_path, 0, FrameTime(0.0, 0))
    append_frame_time(tmp_path, 12, FrameTime(0.5))
    append_frame_time(tmp_path, 12, FrameTime(0.48, 12))
    assert read_frame_times(tmp_path) == {0: FrameTime(0.0, 0), 12: FrameTime(0.48, 12)}


def test_a_run_without_times_has_none(tmp_path):
    assert read_frame_times(tmp_path) == {}


def test_a_line_that_a_kill_cut_short_is_passed_over_and_written_on_after(tmp_path):
    append_frame_time(tmp_path, 0, FrameTime(0.0))
    with (tmp_path / TIMES_NAME).open("a") as file:
        file.write('{"frame_id": 1, "sec')
    assert read_frame_times(tmp_path) == {0: FrameTime(0.0)}
    append_frame_time(tmp_path, 1, FrameTime(0.04))
    assert read_frame_times(tmp_path) == {0: FrameTime(0.0), 1: FrameTime(0.04)}


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "{no JSON}",
        '{"frame_id":' * 5000 + "1" + "}" * 5000,
        '{"frame_id": 1}',
        '{"frame_id": -1, "seconds": 0.5}',
        '{"frame_id": true, "seconds": 0.5}',
        '{"frame_id": 1, "seconds": NaN}',
        '{"frame_id": 1, "seconds": 1' + "0" * 400 + "}",
        '{"frame_id": 1, "seconds": "0.5"}',
        '{"frame_id": 1, "seconds": 0.5, "source_frame": 1.5}',
    ],
)
def test_a_line_that_is_no_time_is_named(tmp_path, line):
    (tmp_path / TIMES_NAME).write_text(f'{{"frame_id": 0, "seconds": 0}}\n{line}\n')
    with pytest.raises(UserError, match=r"frame_times.jsonl, line 2: not a frame's time; fix"):
        read_frame_times(tmp_path)


def test_an_image_without_a_label_has_its_time(tmp_path):
    recorder = RunRecorder.create(tmp_path, seed=0, max_frames=None, extra={})
    recorder.write_unlabelled(7, np.zeros((8, 8, 3), np.uint8), FrameTime(0.28, 7))
    recorder.finish()
    assert read_frame_times(recorder.run_dir) == {7: FrameTime(0.28, 7)}
