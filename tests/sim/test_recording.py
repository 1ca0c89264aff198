"""What recorders do to the picture: closed forms, and the kernels beside their slow twin."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.display import Recorder
from endoforge.sim.optics import Lens
from endoforge.sim.sensor import PICTURE_ROW, CameraSettings
from tests.sim import test_develop
from tests.sim.develop_reference import Exposure, developed, path_of
from tests.sim.picture_reference import recorded
from tests.sim.test_develop import PLAIN, flat_light, scenery

pytestmark = pytest.mark.usefixtures("cpu")
EXPOSURE_S = 0.02


class Recorded(CameraSettings):
    """A camera whose table has a recording's rows too, as of frames of 52 rows."""

    recording = Recorder()

    def table_rows(self) -> NDArray[np.float32]:
        rows = super().table_rows()
        rows[PICTURE_ROW : PICTURE_ROW + 2] = self.recording.table_rows(EXPOSURE_S, 52)
        return rows


def develop(
    frame: Exposure, recording: Recorder, lens: Lens, screens: NDArray[np.int32] | None = None
) -> NDArray[np.int64]:
    """(H, W, 3): the frame through a plain camera and this recorder."""

    class Camera(Recorded):
        pass

    Camera.recording = recording
    settings = Camera(**vars(PLAIN))
    return test_develop.develop([frame], [settings], lens, screens)[0, ..., :3].astype(np.int64)


@pytest.mark.parametrize(
    "recording",
    [
        Recorder(soft=0.5),
        Recorder(soft=1.0),
        Recorder(ringing=0.6),
        Recorder(soft_chroma=0.8),
        Recorder(interlaced=0.8),
        Recorder(colour_ghosts=0.9),
        Recorder(doubled=0.7),
        Recorder(doubled=0.4, interlaced=0.3, soft=0.3, soft_chroma=0.4),
    ],
)
def test_the_kernels_match_their_slow_twin(recording: Recorder) -> None:
    lens = Lens(72, 52, 120.0)
    frame = replace(scenery(lens), movement=(0.2, 0.1, 0.2), rotation=(0.01, 0.02, 0.02))
    out = develop(frame, recording, lens)
    before = developed(frame, PLAIN, lens.focal_px, 0.0)
    path = path_of(
        frame.rays, frame.radiance[..., 3], np.array(frame.movement), np.array(frame.rotation)
    )
    truth = recorded(before, path, recording.table_rows(EXPOSURE_S, 52))
    error = np.abs(out - truth)
    assert np.median(error) <= 1.0
    assert np.percentile(error, 95) < 6
    assert np.abs(truth - before).mean() > 0.3, "it does something"


def test_colours_of_a_moving_edge_part() -> None:
    """A bright bar that moves to the left: red shows where it was, blue where it will be."""
    lens = Lens(96, 64, 100.0)
    frame = flat_light(lens, 0.0)
    frame.radiance[:, 46:50, :3] = 2.0
    turned = replace(frame, rotation=(0.0, 6 / lens.focal_px, 0.0))
    row = develop(turned, Recorder(colour_ghosts=0.6), lens)[32]
    middles = [float((np.arange(96) * row[:, k]).sum() / row[:, k].sum()) for k in range(3)]
    # 0.02 s, as long as the exposure, in which it moves by 6 px: one step each way.
    np.testing.assert_allclose(np.array(middles) - middles[1], [6, 0, -6], atol=0.6)


def test_every_second_line_is_of_another_moment() -> None:
    lens = Lens(96, 64, 100.0)
    frame = flat_light(lens, 0.0)
    frame.radiance[:, 46:50, :3] = 2.0
    turned = replace(frame, rotation=(0.0, 6 / lens.focal_px, 0.0))
    out = develop(turned, Recorder(interlaced=0.5), lens)[..., 1]
    middles = (out * np.arange(96)).sum(axis=1) / out.sum(axis=1)
    np.testing.assert_allclose(middles[20:40:2] - 47.5, 0, atol=0.6)
    np.testing.assert_allclose(middles[21:41:2] - 47.5, 6, atol=0.6)


def test_what_rests_has_neither_combs_nor_ghosts() -> None:
    lens = Lens(72, 52, 120.0)
    plain = test_develop.develop([scenery(lens)], [PLAIN], lens)[0, ..., :3].astype(int)
    mixed = develop(scenery(lens), Recorder(colour_ghosts=1.0, interlaced=1.0, doubled=1.0), lens)
    assert np.abs(mixed - plain).max() <= 2


def test_without_exposure_time_there_is_no_motion_to_go_by() -> None:
    rows = Recorder(colour_ghosts=1.0, interlaced=1.0, doubled=1.0).table_rows(0.0, 256)
    assert (rows[0, :3] == 0).all()
    assert rows[1, 3] == 1


def test_words_and_mask_stay_where_they_are_and_soften() -> None:
    lens = Lens(96, 64, 120.0)
    screens = np.zeros((1, 64, 96), np.int32)
    screens[:, :, :32] = 1 << 24 | 10 | 200 << 8 | 60 << 16
    frame = replace(flat_light(lens, 0.5), rotation=(0.0, 0.05, 0.0))
    frame.radiance[:, :32] = 0.0
    still = develop(frame, Recorder(interlaced=1.0, doubled=0.5), lens, screens)
    assert np.abs(still[:, :32] - [10, 200, 60]).max() <= 2
    assert np.ptp(still[:, 33:]) <= 2
    soft = develop(frame, Recorder(soft=1.0), lens, screens)
    # The two columns at the right have 4 + 1 of 16 parts.
    picture = soft[30, 60, 0]
    assert soft[30, 31, 0] == pytest.approx(10 + 5 / 16 * (picture - 10), abs=3)
    assert np.abs(soft[:, :29] - [10, 200, 60]).max() <= 2
