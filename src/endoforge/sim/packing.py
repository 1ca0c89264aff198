"""Scenes and cameras as the flat arrays that the kernels read; needs neither torch nor quadrants.

`kernels.types` says what stands where in the tables of scenes and cameras. A polyp's row, of
POLYP_COLUMNS numbers, is rows of four to the kernels:

0   head's centre x, y, z in the world in mm | half-axis along the axis in mm
4   axis away from the wall, unit | half-axis across it in mm
8   stalk's base x, y, z in the world in mm | stalk's radius in mm, 0: none
12  factors of the mucosa's albedo R, G, B | pattern of pits 0..1
16  width of its blend into the wall in mm | bounding sphere's radius in mm | s in mm | lobes in mm
20  vessels 0..1 | mucus 0..1 | added to the half-axes by its bounding ellipsoid in mm | 0
24  1 / half-axis^2 across, and along, per mm^2 | waves of the lobes per mm | share of the way from
    the centre to the base at which the bounding sphere's centre lies
28  direction it is stretched along, unit | 1 / stretch^2 - 1
32  egg's share, or width of a mass's joins in mm | creases in mm | crater's radius in mm | form:
    0 plain, 1 uneven, n > 1 a mass of n heads, -1 flat, -2 a mass around the lumen
36  layer of its pits in `surfaces.KINDS` | pits 0..1 | repeats of them in one of the detail | share
    of the wall's colour
40  margin in mm | top -1..1 | spots -1..1 | erosion 0..1
44  heads of a mass, a row each: x, y, z off the centre in mm | radius in mm. Of a flat lesion:
    height in mm | margin in mm | hollow 0..1 | nodules in mm || half the number of nodules per mm |
    part of a step that is safe | of a mass around the lumen, see `shapes.Band`: rounding in mm | 0
    || half length in mm | turn | middle in mm | radius in mm
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import INSTRUMENT_ROW, MOVE_ROW, WAVE_ROW
from endoforge.sim.instrument_rows import Carried
from endoforge.sim.optics import FAR_MM
from endoforge.sim.polyps import MAX_POLYPS, polyp_shifts, polyp_table
from endoforge.sim.scene import Scene
from endoforge.sim.sensor import MAX_LAMPS, PICTURE_ROW

SCENE_ARRAYS = (
    "centreline",
    "wall",
    "coat",
    "looks",
    "tissue",
    "sensors",
    "lamps",
    "rays",
    "screens",
)
"""The names of the arrays that `scene_arrays` makes."""


def scene_arrays(scene: Scene, width: int, height: int) -> dict[str, NDArray[Any]]:
    """Make a scene's rows of `kernels.types.SceneArrays`, by field, for frames of this size.

    float32 and shaped (rows, 4), but for `screens`: (width * height,) int32. The shapes are the
    same for all scenes.
    """
    tables, optics = scene.tables, scene.optics(width, height)
    # What depends on the size of the frames: the tables themselves are made once a scene.
    looks = tables.looks.copy()
    looks[1, 3], looks[2, 3] = optics.widest_tile, 1.0 / optics.lens.focal_px
    sensors = scene.camera.table_rows()
    recording = scene.recording.table_rows(scene.camera.exposure_s, height)
    sensors[PICTURE_ROW:] = np.concatenate([recording, optics.screen.insets])
    return {
        "centreline": tables.centreline,
        "wall": tables.wall,
        "coat": tables.coat,
        "looks": looks,
        "tissue": tables.tissue,
        "sensors": sensors,
        "lamps": _lamp_rows(scene),
        "rays": optics.rays,
        "screens": optics.screen.pixels.reshape(-1),
    }


@dataclass(frozen=True, eq=False)
class Movers:
    """What time changes in each of S scenes, and what cameras need to know of theirs.

    `polyps` (S, MAX_POLYPS, POLYP_COLUMNS) at rest, `swells` (S, MAX_POLYPS, 5) as of
    `polyps.swells`; `reaches` (S, MAX_POLYPS) mm from which a polyp can't be seen any more, 0 for
    those that aren't there; `exposure_s` and `peristalsis` (S,); `instruments` S, None for a scene
    without any.
    """

    polyps: NDArray[np.float32]
    swells: NDArray[np.float64]
    reaches: NDArray[np.float32]
    exposure_s: NDArray[np.float64]
    peristalsis: NDArray[np.float64]
    instruments: tuple[Carried | None, ...]

    @staticmethod
    def of(scenes: Sequence[Scene]) -> "Movers":
        """Collect those of some scenes, in their order."""
        return Movers(
            polyps=np.stack([polyp_table(scene.polyps) for scene in scenes]),
            swells=np.stack([_swells(scene) for scene in scenes]),
            reaches=np.stack([_reaches(scene) for scene in scenes]),
            exposure_s=np.array([scene.camera.exposure_s for scene in scenes]),
            peristalsis=np.array([scene.anatomy.peristalsis for scene in scenes]),
            instruments=tuple(Carried.of(scene) for scene in scenes),
        )

    def at(
        self,
        scenes: NDArray[np.intp],
        rows: NDArray[np.float32],
        times_s: NDArray[np.float64],
        noise_seeds: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Make cameras (N, CAMERA_ROWS, 4), polyps (N, MAX_POLYPS, POLYP_COLUMNS) of N pictures.

        `scenes` (N,) are the scenes' places in this, `rows` (N, CAMERA_ROWS, 4) the
        `CameraState.rows`; the rest is (N,).
        """
        polyps = self.polyps[scenes]
        shifts = polyp_shifts(self.swells[scenes], times_s)
        # Head and base: peristalsis carries a polyp with the wall that it sits on.
        polyps[:, :, 0:3] += shifts
        polyps[:, :, 8:11] += shifts
        cameras = rows.copy()
        # Whole numbers below 2^24, which a float32 holds exactly.
        cameras[:, 1, 3] = scenes
        cameras[:, 2, 3] = noise_seeds
        cameras[:, 3, 3] = _near_masks(cameras, polyps, self.reaches[scenes])
        # From mm/s and rad/s to mm and rad during the exposure.
        cameras[:, MOVE_ROW : MOVE_ROW + 2] *= self.exposure_s[scenes, None, None]
        cameras[:, WAVE_ROW, 0] = self.peristalsis[scenes]
        for scene, carried in enumerate(self.instruments):
            if carried is not None:
                (frames,) = np.nonzero(scenes == scene)
                cameras[frames, INSTRUMENT_ROW:] = carried.rows(
                    cameras[frames], polyps[frames], times_s[frames]
                )
        return cameras, polyps


def _swells(scene: Scene) -> NDArray[np.float64]:
    """The `polyps.swells` as (MAX_POLYPS, 5); polyps that aren't there stay where they are."""
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
    """Masks (N,): bit k says that polyp k may be seen, being near in space and along the colon."""
    offset = polyps[:, :, :3] - cameras[:, None, 0, :3]
    # Near in space may be behind a bend: what is much further along the colon can't be seen.
    along = np.abs(polyps[:, :, 18] - cameras[:, None, 0, 3])
    near = ((offset * offset).sum(axis=2) < reaches**2) & (along < 1.5 * reaches)
    # A sum of powers of two up to 2^23 is exact: why a scene has 24 polyps at most.
    bits = 2.0 ** np.arange(MAX_POLYPS, dtype=np.float32)
    return np.asarray(near.astype(np.float32) @ bits, np.float32)


def _lamp_rows(scene: Scene) -> NDArray[np.float32]:
    rows = np.zeros((MAX_LAMPS, 4), np.float32)
    rows[: len(scene.camera.lamps), :2] = scene.camera.lamps
    return rows
