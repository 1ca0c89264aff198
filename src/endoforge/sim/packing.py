"""Scenes and cameras as the flat arrays that the kernels read; needs neither torch nor quadrants.

`kernels.types` says what stands where.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import MOVE_ROW, WAVE_ROW
from endoforge.sim.optics import FAR_MM
from endoforge.sim.polyps import MAX_POLYPS, polyp_shifts, polyp_table
from endoforge.sim.scene import Scene
from endoforge.sim.sensor import MAX_LAMPS

SCENE_ARRAYS = ("centreline", "wall", "coat", "looks", "sensors", "lamps", "rays", "screens")
"""What `scene_arrays` gives."""


def scene_arrays(scene: Scene, width: int, height: int) -> dict[str, NDArray[Any]]:
    """A scene's rows of `kernels.types.SceneArrays`, by field, for frames of this size.

    float32 and shaped (rows, 4), but for `screens`: (width * height,) int32. The shapes are the
    same for all scenes.
    """
    tables, optics = scene.tables, scene.optics(width, height)
    looks = tables.looks.copy()
    looks[1, 3], looks[2, 3] = optics.widest_tile, 1.0 / optics.lens.focal_px
    return {
        "centreline": tables.centreline,
        "wall": tables.wall,
        "coat": tables.coat,
        "looks": looks,
        "sensors": scene.camera.table_rows(),
        "lamps": _lamp_rows(scene),
        "rays": optics.rays,
        "screens": optics.screen.pixels.reshape(-1),
    }


@dataclass(frozen=True, eq=False)
class Movers:
    """What time changes in each of S scenes, and what cameras need to know of theirs.

    `polyps` (S, MAX_POLYPS, POLYP_COLUMNS) at rest, `swells` (S, MAX_POLYPS, 5) as of
    `polyps.swells`; `reaches` (S, MAX_POLYPS) mm from which a polyp can't be seen any more, 0 for
    those that aren't there; `exposure_s` and `peristalsis` (S,).
    """

    polyps: NDArray[np.float32]
    swells: NDArray[np.float64]
    reaches: NDArray[np.float32]
    exposure_s: NDArray[np.float64]
    peristalsis: NDArray[np.float64]

    @staticmethod
    def of(scenes: Sequence[Scene]) -> "Movers":
        """Those of some scenes, in their order."""
        return Movers(
            polyps=np.stack([polyp_table(scene.polyps) for scene in scenes]),
            swells=np.stack([_swells(scene) for scene in scenes]),
            reaches=np.stack([_reaches(scene) for scene in scenes]),
            exposure_s=np.array([scene.camera.exposure_s for scene in scenes]),
            peristalsis=np.array([scene.anatomy.peristalsis for scene in scenes]),
        )

    def at(
        self,
        scenes: NDArray[np.intp],
        rows: NDArray[np.float32],
        times_s: NDArray[np.float64],
        noise_seeds: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cameras (N, CAMERA_ROWS, 4) and polyps (N, MAX_POLYPS, POLYP_COLUMNS) of N pictures.

        `scenes` (N,) are the scenes' places in this, `rows` (N, CAMERA_ROWS, 4) the
        `CameraState.rows`; the rest is (N,).
        """
        polyps = self.polyps[scenes]
        shifts = polyp_shifts(self.swells[scenes], times_s)
        polyps[:, :, 0:3] += shifts
        polyps[:, :, 8:11] += shifts
        cameras = rows.copy()
        cameras[:, 1, 3] = scenes
        cameras[:, 2, 3] = noise_seeds
        cameras[:, 3, 3] = _near_masks(cameras, polyps, self.reaches[scenes])
        cameras[:, MOVE_ROW : MOVE_ROW + 2] *= self.exposure_s[scenes, None, None]
        cameras[:, WAVE_ROW, 0] = self.peristalsis[scenes]
        return cameras, polyps


def _swells(scene: Scene) -> NDArray[np.float64]:
    """(MAX_POLYPS, 5) of `polyps.swells`; polyps that aren't there stay where they are."""
    rows = np.zeros((MAX_POLYPS, 5))
    rows[: len(scene.polyps)] = scene.swells
    return rows


def _reaches(scene: Scene) -> NDArray[np.float32]:
    reaches = np.zeros(MAX_POLYPS, np.float32)
    reaches[: len(scene.polyps)] = [FAR_MM + 2 * polyp.bound_mm for polyp in scene.polyps]
    return reaches


def _near_masks(
    cameras: NDArray[np.float32], polyps: NDArray[np.float32], reaches: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N,) numbers; bit k: polyp k may be seen, for it is near in space and along the colon."""
    offset = polyps[:, :, :3] - cameras[:, None, 0, :3]
    along = np.abs(polyps[:, :, 18] - cameras[:, None, 0, 3])
    near = ((offset * offset).sum(axis=2) < reaches**2) & (along < 1.5 * reaches)
    bits = 2.0 ** np.arange(MAX_POLYPS, dtype=np.float32)
    return np.asarray(near.astype(np.float32) @ bits, np.float32)


def _lamp_rows(scene: Scene) -> NDArray[np.float32]:
    rows = np.zeros((MAX_LAMPS, 4), np.float32)
    rows[: len(scene.camera.lamps), :2] = scene.camera.lamps
    return rows
