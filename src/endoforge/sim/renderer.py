"""Cameras in, pictures out: a batch of poses to RGB, instances, depth and pixel counts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.sim.camera import Pose
from endoforge.sim.engine import Engine, wait
from endoforge.sim.kernels import passes
from endoforge.sim.kernels.types import CAMERA_ROWS, CELL, STATS, TILE, Target, View, World
from endoforge.sim.optics import Lens
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.sim.scene import Scene, SceneTables
from endoforge.sim.texture import detail_texture

EXPOSURE = 1.1
"""Mean light that the automatic exposure aims at, before the camera's response."""
EMPTY_STATS = (0, 0, 1 << 30, 1 << 30, 0, 0)


@dataclass(frozen=True)
class Shot:
    """One picture to take: where from, in which of the renderer's scenes, with which noise."""

    pose: Pose
    scene: int = 0
    noise_seed: int = 0


@dataclass(frozen=True)
class Frames:
    """Pictures of B shots, views of the renderer's buffers: valid until it renders again.

    `rgbi` (B, H, W, 4) uint8: RGB, and the instance (0 wall, k polyp k - 1); `depth` (B, H, W)
    float32 mm along the ray; `stats` (B, MAX_POLYPS, 6) int32: visible pixels, unoccluded pixels,
    and the visible ones' box x0, y0, x1, y1 (right and bottom exclusive).
    """

    rgbi: torch.Tensor
    depth: torch.Tensor
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
    """Renders up to `batch_size` shots of `scenes` at once through `lens`."""

    def __init__(
        self, scenes: Sequence[Scene], lens: Lens, engine: Engine, batch_size: int = 1
    ) -> None:
        self.lens = lens
        self.engine = engine
        self.batch_size = batch_size
        self.tiles = (-(-lens.height // TILE), -(-lens.width // TILE))
        grid = lens.rays(self.tiles[0] * TILE + 1, self.tiles[1] * TILE + 1)
        self.pixel_angle = 1.0 / lens.focal_px
        self.spread = _widest_tile(grid)
        self.world = self._world([scene.tables() for scene in scenes])
        self.view: Any = View(
            self._zeros(batch_size * CAMERA_ROWS, 4), self._array(_four_columns(grid))
        )
        self.target = self._target()

    def render(self, shots: Sequence[Shot], *, use_lattice: bool = True) -> Frames:
        """The pictures of the shots. `use_lattice=False` traces every pixel, for checks."""
        rows = [shot.pose.table_rows(shot.scene, shot.noise_seed) for shot in shots]
        count = len(rows)
        self.view.cameras[: CAMERA_ROWS * count] = torch.from_numpy(np.concatenate(rows))
        self.target.light.zero_()
        stats = self.target.stats.view(-1, STATS)
        stats[:] = torch.tensor(EMPTY_STATS, dtype=torch.int32)

        world, view, target, pixel = self.world, self.view, self.target, self.pixel_angle
        picture = (count, self.lens.height, self.lens.width)
        passes.cone_march(world, view, target, self.spread, count, *self.tiles)
        passes.trace_lattice(world, view, target, pixel, count, *self.tiles)
        passes.draw(world, view, target, pixel, EXPOSURE, use_lattice, *picture, *self.tiles)
        passes.count_unoccluded(world, view, target, *picture, *self.tiles)
        wait(self.engine)
        return self._frames(count)

    def _frames(self, count: int) -> Frames:
        shape = (self.batch_size, self.lens.height, self.lens.width)
        return Frames(
            rgbi=self.target.image.view(torch.uint8).view(*shape, 4)[:count],
            depth=self.target.depth.view(shape)[:count],
            stats=self.target.stats.view(self.batch_size, MAX_POLYPS, STATS)[:count],
        )

    def _world(self, tables: Sequence[SceneTables]) -> Any:
        arrays = {
            field.name: self._array(
                np.concatenate([getattr(table, field.name) for table in tables])
            )
            for field in fields(SceneTables)
        }
        return World(**arrays, texture=self._array(detail_texture()))

    def _target(self) -> Any:
        tiles = self.batch_size * self.tiles[0] * self.tiles[1]
        per_tile = TILE // CELL
        lattice = (self.tiles[0] * per_tile + 1) * (self.tiles[1] * per_tile + 1)
        pixels = self.batch_size * self.lens.height * self.lens.width
        return Target(
            tile_t=self._zeros(tiles),
            tile_mask=self._zeros(tiles, dtype=torch.int32),
            lattice=self._zeros(self.batch_size * lattice, 2),
            light=self._zeros(self.batch_size, dtype=torch.int32),
            image=self._zeros(pixels, dtype=torch.int32),
            depth=self._zeros(pixels),
            stats=self._zeros(self.batch_size * MAX_POLYPS * STATS, dtype=torch.int32),
        )

    def _array(self, values: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.engine.device)

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype, device=self.engine.device)


def _four_columns(grid: NDArray[np.float64]) -> NDArray[np.float32]:
    flat = grid.reshape(-1, 3)
    return np.concatenate([flat, np.zeros((len(flat), 1))], axis=1).astype(np.float32)


def _widest_tile(grid: NDArray[np.float64]) -> float:
    """Tangent of the largest angle between a tile's middle ray and those of its corners."""
    middle = grid[TILE // 2 :: TILE, TILE // 2 :: TILE]
    rows, columns = middle.shape[:2]
    cosine = 1.0
    for dy in (0, TILE):
        for dx in (0, TILE):
            corner = grid[dy::TILE, dx::TILE][:rows, :columns]
            cosine = min(cosine, float((middle * corner).sum(-1).min()))
    return float(np.tan(np.arccos(cosine))) * 1.02
