"""Passes that nothing in a batch needs aren't started; rows are shared evenly."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from endoforge.sim.camera import CAMERA_ROWS, INSTRUMENT_ROW
from endoforge.sim.display import RECORDING_ROWS
from endoforge.sim.instruments import CAP_ROW, COUNT_ROW
from endoforge.sim.light import FILM_ROW, LEVEL_ROW, SHADE_ROW
from endoforge.sim.needs import Needs
from endoforge.sim.renderer import even_stride
from endoforge.sim.sensor import LIGHT_ROW, PICTURE_ROW, SENSOR_ROWS

NOTHING = Needs(shadows=False, stray_light=False, insets=False, recorder=False, instruments=False)
OF_SCENES = (
    ("shadows", LIGHT_ROW + SHADE_ROW, 0),
    ("shadows", LIGHT_ROW + SHADE_ROW, 1),
    ("stray_light", LIGHT_ROW + FILM_ROW, 3),
    ("stray_light", LIGHT_ROW + LEVEL_ROW, 0),
    ("insets", PICTURE_ROW + RECORDING_ROWS, 0),
    ("recorder", PICTURE_ROW + 1, 3),
)
OF_FRAMES = (*((COUNT_ROW, column) for column in range(3)), (CAP_ROW, 0))


def tables() -> tuple[torch.Tensor, torch.Tensor]:
    """Those of two scenes and two frames that have nothing."""
    return torch.zeros(2 * SENSOR_ROWS, 4), torch.zeros(2, CAMERA_ROWS, 4)


def test_scenes_that_have_nothing_need_nothing() -> None:
    assert Needs.of(*tables()) == NOTHING


@pytest.mark.parametrize(("name", "row", "column"), OF_SCENES)
def test_one_scene_of_a_batch_is_enough(name: str, row: int, column: int) -> None:
    sensors, cameras = tables()
    sensors[SENSOR_ROWS + row, column] = 0.1
    assert Needs.of(sensors, cameras) == replace(NOTHING, **{name: True})


@pytest.mark.parametrize(("row", "column"), OF_FRAMES)
def test_one_frame_of_a_batch_is_enough(row: int, column: int) -> None:
    sensors, cameras = tables()
    cameras[1, INSTRUMENT_ROW + row, column] = 1.0
    assert Needs.of(sensors, cameras) == replace(NOTHING, instruments=True)


def test_tables_elsewhere_are_not_waited_for() -> None:
    sensors, cameras = tables()
    assert Needs.of(sensors.to("meta"), cameras.to("meta")) == Needs()


@pytest.mark.parametrize("rows", [*range(1, 70), 90, 256, 360, 1080])
def test_strides_visit_each_row_once_and_halves_evenly(rows: int) -> None:
    stride = even_stride(rows)
    assert math.gcd(stride, rows) == 1
    visited = np.arange(rows) * stride % rows
    assert sorted(visited) == list(range(rows))
    if rows >= 20:
        upper = (visited[: rows // 2] < rows // 2).mean()
        assert 0.35 <= upper <= 0.65
