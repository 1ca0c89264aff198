"""Cameras in, pictures out: a batch of shots to RGB, instances, depth, normals and pixel counts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.sim.camera import MOVE_ROW, WAVE_ROW, CameraState
from endoforge.sim.darkroom import Darkroom
from endoforge.sim.engine import Engine, wait
from endoforge.sim.kernels import passes
from endoforge.sim.kernels.shading import MAX_LAMPS
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    FAR_MM,
    LOOK_ROWS,
    POLYP_ROWS,
    STATS,
    TILE,
    Target,
    View,
    World,
)
from endoforge.sim.polyps import MAX_POLYPS, polyp_shifts, polyp_table
from endoforge.sim.scene import Scene, SceneTables
from endoforge.sim.texture import bubble_texture, detail_texture

EMPTY_STATS = (0, 0, 1 << 30, 1 << 30, 0, 0)


@dataclass(frozen=True)
class Shot:
    """One picture to take: the camera, in which of the loaded scenes, and with which noise."""

    state: CameraState
    scene: int = 0
    noise_seed: int = 0


@dataclass(frozen=True)
class Frames:
    """Pictures of B shots, views of the renderer's buffers: valid until it renders again.

    `rgbi` (B, H, W, 4) uint8: RGB, and the instance (0 wall or screen, k polyp k - 1); `depth`
    (B, H, W) float32 mm along the ray, 280 where nothing is met, 0 where the screen covers the
    picture; `normals` (B, H, W, 3) float32 in camera axes (right, down, forward), 0 where there is
    no surface, or None; `stats` (B, MAX_POLYPS, 6) int32: visible pixels, unoccluded pixels, and
    the visible ones' box x0, y0, x1, y1 (right and bottom exclusive).
    """

    rgbi: torch.Tensor
    depth: torch.Tensor
    normals: torch.Tensor | None
    stats: torch.Tensor

    @property
    def rgb(self) -> torch.Tensor:
        """(B, H, W, 3) uint8."""
        return self.rgbi[..., :3]

    @property
    def instance(self) -> torch.Tensor:
        """(B, H, W) uint8."""
        return self.rgbi[..., 3]


class Renderer:
    """Renders up to `batch_size` shots at once, `width` x `height`, of the scenes last loaded.

    With `normals` the frames have those too.
    """

    def __init__(
        self,
        width: int,
        height: int,
        engine: Engine,
        batch_size: int = 1,
        *,
        normals: bool = False,
    ) -> None:
        self.width, self.height = width, height
        self.engine = engine
        self.batch_size = batch_size
        self.normals = normals
        self._span = CELL if engine.name == "cpu" else 1
        self.tiles = (-(-height // TILE), -(-width // TILE))
        self._detail = torch.from_numpy(detail_texture()).to(engine.device)
        self._bubbles = torch.from_numpy(bubble_texture()).to(engine.device)
        self.target = self._target()

    def load(self, scenes: Sequence[Scene]) -> None:
        """Put the scenes on the device, in the place of those before."""
        optics = [scene.optics(self.width, self.height) for scene in scenes]
        self._polyps = np.stack([polyp_table(scene.polyps) for scene in scenes])
        self._swells = np.stack([_swells(scene) for scene in scenes])
        self._reaches = np.stack([_reaches(scene) for scene in scenes])
        self._exposures = np.array([scene.camera.exposure_s for scene in scenes])
        self._peristalses = np.array([scene.anatomy.peristalsis for scene in scenes])
        tables = [scene.tables for scene in scenes]
        joined = {
            field.name: self._array(np.concatenate([getattr(t, field.name) for t in tables]))
            for field in fields(SceneTables)
        }
        looks = joined["looks"].view(len(scenes), LOOK_ROWS, 4)
        for look, eye in zip(looks, optics, strict=True):
            look[1, 3], look[2, 3] = eye.widest_tile, 1.0 / eye.lens.focal_px
        screens = np.stack([eye.screen.pixels for eye in optics])
        self.world: Any = World(
            **joined,
            sensors=self._array(np.concatenate([s.camera.table_rows() for s in scenes])),
            lamps=self._array(np.concatenate([_lamp_rows(scene) for scene in scenes])),
            rays=self._array(np.concatenate([eye.rays for eye in optics])),
            screens=torch.from_numpy(screens.reshape(-1)).to(self.engine.device),
            detail=self._detail,
            bubbles=self._bubbles,
        )
        self.view: Any = View(
            self._zeros(self.batch_size * CAMERA_ROWS, 4),
            self._zeros(self.batch_size * MAX_POLYPS * POLYP_ROWS, 4),
        )
        self._darkroom = Darkroom(
            self.world, self.view, self.target, self.batch_size, self.height, self.width
        )

    def render(self, shots: Sequence[Shot], *, use_lattice: bool = True) -> Frames:
        """The pictures of the shots. `use_lattice=False` traces every pixel, for checks."""
        count = len(shots)
        self._place(shots)
        self.target.light.zero_()
        self.target.stats.view(-1, STATS)[:] = torch.tensor(EMPTY_STATS, dtype=torch.int32)

        world, view, target = self.world, self.view, self.target
        picture, tiles = (count, self.height, self.width), self.tiles
        passes.meter(world, view, target, *picture, *tiles)
        passes.set_gain(world, view, target, count)
        passes.cone_march(world, view, target, count, *tiles)
        passes.trace_lattice(world, view, target, count, *tiles)
        passes.draw(world, view, target, use_lattice, self.normals, self._span, *picture, *tiles)
        passes.count(world, view, target, *picture, *tiles)
        self._darkroom.develop(count)
        wait(self.engine)
        return self._frames(count)

    def _place(self, shots: Sequence[Shot]) -> None:
        """Write the cameras, and the polyps as they are at each camera's time."""
        scenes = np.array([shot.scene for shot in shots])
        times = np.array([shot.state.time_s for shot in shots])
        polyps = self._polyps[scenes]
        shifts = polyp_shifts(self._swells[scenes], times)
        polyps[:, :, 0:3] += shifts
        polyps[:, :, 8:11] += shifts
        cameras = np.stack([shot.state.rows for shot in shots])
        cameras[:, 1, 3] = scenes
        cameras[:, 2, 3] = [shot.noise_seed for shot in shots]
        cameras[:, 3, 3] = _near_masks(cameras, polyps, self._reaches[scenes])
        cameras[:, MOVE_ROW : MOVE_ROW + 2] *= self._exposures[scenes, None, None]
        cameras[:, WAVE_ROW, 0] = self._peristalses[scenes]
        self.view.cameras[: cameras.size // 4] = torch.from_numpy(cameras.reshape(-1, 4))
        self.view.polyps[: polyps.size // 4] = torch.from_numpy(polyps.reshape(-1, 4))

    def _frames(self, count: int) -> Frames:
        shape = (self.batch_size, self.height, self.width)
        return Frames(
            rgbi=self.target.image.view(torch.uint8).view(*shape, 4)[:count],
            depth=self.target.radiance.view(*shape, 4)[:count, ..., 3],
            normals=self.target.normals.view(*shape, 4)[:count, ..., :3] if self.normals else None,
            stats=self.target.stats.view(self.batch_size, MAX_POLYPS, STATS)[:count],
        )

    def _target(self) -> Any:
        tiles = self.batch_size * self.tiles[0] * self.tiles[1]
        per_tile = TILE // CELL
        lattice = (self.tiles[0] * per_tile + 1) * (self.tiles[1] * per_tile + 1)
        pixels = self.batch_size * self.height * self.width
        return Target(
            tile_t=self._zeros(tiles),
            tile_mask=self._zeros(tiles, dtype=torch.int32),
            lattice=self._zeros(self.batch_size * lattice, 2),
            light=self._zeros(2 * self.batch_size, dtype=torch.int32),
            gain=self._zeros(self.batch_size),
            radiance=self._zeros(pixels, 4),
            normals=self._zeros(pixels if self.normals else 1, 4),
            image=self._zeros(pixels, dtype=torch.int32),
            stats=self._zeros(self.batch_size * MAX_POLYPS * STATS, dtype=torch.int32),
        )

    def _array(self, values: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.engine.device)

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype, device=self.engine.device)


def _swells(scene: Scene) -> NDArray[np.float64]:
    """(MAX_POLYPS, 5) of `polyps.swells`; polyps that aren't there stay where they are."""
    rows = np.zeros((MAX_POLYPS, 5))
    rows[: len(scene.polyps)] = scene.swells
    return rows


def _reaches(scene: Scene) -> NDArray[np.float32]:
    """(MAX_POLYPS,) mm from which a polyp can't be seen any more; 0 for those that aren't there."""
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
