"""Which passes a batch needs: for what none of its scenes has, none is started."""

from dataclasses import dataclass
from typing import Any

import torch

from endoforge.sim.camera import INSTRUMENT_ROW
from endoforge.sim.display import RECORDING_ROWS
from endoforge.sim.instruments import CAP_ROW, COUNT_ROW
from endoforge.sim.light import FILM_ROW, LEVEL_ROW, SHADE_ROW
from endoforge.sim.sensor import LIGHT_ROW, PICTURE_ROW, SENSOR_ROWS


@dataclass(frozen=True)
class Needs:
    """What some scene or frame of a batch has, and so needs passes of its own for.

    `shadows` of the wall, `stray_light` in the lens or a processor that keeps the picture's
    brightness, `insets` of the picture on the screen, a `recorder` or colours taken in turn, and
    `instruments` or a cap before the lens.
    """

    shadows: bool = True
    stray_light: bool = True
    insets: bool = True
    recorder: bool = True
    instruments: bool = True

    @staticmethod
    def of(sensors: torch.Tensor, cameras: torch.Tensor) -> "Needs":
        """Read them from `SceneArrays.sensors` and from cameras (N, CAMERA_ROWS, 4).

        Of tables on a GPU, which to read would be to wait for it, all is taken to be needed.
        """
        if sensors.device.type != "cpu" or cameras.device.type != "cpu":
            return Needs()
        rows: Any = sensors.numpy().reshape(-1, SENSOR_ROWS, 4)
        carried: Any = cameras.numpy()[:, INSTRUMENT_ROW:]
        return Needs(
            shadows=bool(rows[:, LIGHT_ROW + SHADE_ROW, :2].any()),
            stray_light=bool(
                rows[:, LIGHT_ROW + FILM_ROW, 3].any() or rows[:, LIGHT_ROW + LEVEL_ROW, 0].any()
            ),
            insets=bool(rows[:, PICTURE_ROW + RECORDING_ROWS, 0].any()),
            recorder=bool(rows[:, PICTURE_ROW + 1, 3].any()),
            instruments=bool(carried[:, COUNT_ROW, :3].any() or carried[:, CAP_ROW, 0].any()),
        )
