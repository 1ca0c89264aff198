"""Cameras in, pictures out: a batch of shots to RGB, instances, depth, normals and pixel counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from endoforge.core.forks import refuse_fork
from endoforge.core.signals import held_interrupts
from endoforge.sim.camera import CameraState
from endoforge.sim.darkroom import Darkroom
from endoforge.sim.engine import Engine, settle, wait
from endoforge.sim.kept_textures import kept_textures
from endoforge.sim.kernels import passes, pixels, shadow
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    METERED,
    POLYP_ROWS,
    STATS,
    TILE,
    FrameSize,
    SceneArrays,
    Target,
    View,
)
from endoforge.sim.needs import Needs
from endoforge.sim.packing import Movers, scene_arrays
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.sim.scene import Scene
from endoforge.sim.sensor import JPEG_COLUMN, JPEG_ROW, SENSOR_ROWS

EMPTY_STATS = (0, 0, 1 << 30, 1 << 30, 0, 0)
"""A polyp's row of `stats` before any pixel is counted: a box that every pixel widens."""


@dataclass(frozen=True)
class CameraShot:
    """One picture to take: the camera, in which of the loaded scenes, and with which noise."""

    state: CameraState
    scene: int = 0
    noise_seed: int = 0


@dataclass(frozen=True)
class RenderedFrames:
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
        """The pictures (B, H, W, 3) uint8, RGB."""
        return self.rgbi[..., :3]

    @property
    def instance(self) -> torch.Tensor:
        """The instance images (B, H, W) uint8: 0 wall or screen, k polyp k - 1."""
        return self.rgbi[..., 3]


def even_stride(rows: int) -> int:
    """Choose a step that visits each of `rows` rows once, round and round, any run of them evenly.

    A CPU's threads each take a run of a kernel's rows. Taken from top to bottom, one thread would
    have the polyp to itself, and the others would wait for it.
    """
    golden = round(0.618 * rows)
    return next(step for step in range(max(golden, 1), rows + 2) if math.gcd(step, rows) == 1)


class Renderer:
    """Renders up to `batch_size` shots at once, `width` x `height`, of the scenes last loaded.

    It holds the buffers of all passes for a whole batch, and hands out views of them. With
    `normals` the frames have those too.
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
        self._strides = (1, 1)
        if engine.name == "cpu":
            self._strides = (even_stride(-(-height // CELL)), even_stride(height))
        self.size: Any = FrameSize.of(height, width)
        self._detail, self._bubbles, self._fine = (
            torch.from_numpy(texture).to(engine.device) for texture in kept_textures()
        )
        self._empty_stats = torch.tensor(EMPTY_STATS, dtype=torch.int32, device=engine.device)
        self.target = self._target()

    def load(self, scenes: Sequence[Scene]) -> None:
        """Put the scenes on the device, in the place of those before; shots name them by place."""
        arrays = [scene_arrays(scene, self.width, self.height) for scene in scenes]
        joined = {name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]}
        self._movers = Movers.of(scenes)
        self.use(
            {name: torch.from_numpy(array) for name, array in joined.items()},
            with_jpeg=any(scene.camera.jpeg > 0 for scene in scenes),
        )

    def use(self, tables: Mapping[str, torch.Tensor], *, with_jpeg: bool) -> None:
        """Render the scenes whose `packing.scene_arrays` these are, one after another.

        Tables that are on the device already are read from where they are. Without `with_jpeg`,
        scenes that have JPEG lack it. Raises UserError in a process that was forked from the one
        that started the engine.
        """
        refuse_fork("the renderer")
        there = {name: table.to(self.engine.device) for name, table in tables.items()}
        if not with_jpeg:  # kernels go by the table, and there is no room for JPEG's planes
            there["sensors"] = there["sensors"].clone()
            there["sensors"][JPEG_ROW::SENSOR_ROWS, JPEG_COLUMN] = 0.0
        self.scenes: Any = SceneArrays(
            **there, detail=self._detail, bubbles=self._bubbles, fine=self._fine
        )
        self.view: Any = View(
            self._zeros(self.batch_size * CAMERA_ROWS, 4),
            self._zeros(self.batch_size * MAX_POLYPS * POLYP_ROWS, 4),
        )
        self._darkroom = Darkroom(
            self.scenes,
            self.view,
            self.target,
            self.batch_size,
            self.height,
            self.width,
            with_jpeg=with_jpeg,
        )

    def switch_jpeg(self, on: bool) -> None:
        """Say whether frames go through JPEG from now on; the loaded scenes must all have it.

        It is noted in their tables, on the device.
        """
        self.scenes.sensors[JPEG_ROW::SENSOR_ROWS, JPEG_COLUMN] = float(on)
        self._darkroom.with_jpeg = on
        settle(self.engine)

    def render(self, shots: Sequence[CameraShot], *, use_lattice: bool = True) -> RenderedFrames:
        """Render the shots, at most `batch_size`, of the scenes that `load` put there.

        `use_lattice=False` traces every pixel, for checks.
        """
        cameras, polyps = self._movers.at(
            np.array([shot.scene for shot in shots]),
            np.stack([shot.state.rows for shot in shots]),
            np.array([shot.state.time_s for shot in shots]),
            np.array([shot.noise_seed for shot in shots]),
        )
        return self.render_rows(
            torch.from_numpy(cameras), torch.from_numpy(polyps), use_lattice=use_lattice
        )

    def render_rows(
        self,
        cameras: torch.Tensor,
        polyps: torch.Tensor,
        *,
        use_lattice: bool = True,
        hidden: bool = True,
    ) -> RenderedFrames:
        """Render cameras and their polyps, N of each, as `packing.Movers.at` gives both.

        Without `hidden`, unoccluded pixels aren't looked for: they are the visible ones. Raises
        UserError in a process that was forked from the one that started the engine.
        """
        refuse_fork("the renderer")
        count = len(cameras)
        self.view.cameras[: count * CAMERA_ROWS] = cameras.view(-1, 4)
        self.view.polyps[: count * MAX_POLYPS * POLYP_ROWS] = polyps.view(-1, 4)
        self.target.light.zero_()
        self.target.stats.view(-1, STATS)[:] = self._empty_stats

        scenes, view, target, size = self.scenes, self.view, self.target, self.size
        needs, span = Needs.of(scenes.sensors, cameras), self._span
        of_cells, of_pixels = self._strides
        with held_interrupts():  # quadrants drops some exceptions while it compiles
            passes.look_ahead(scenes, view, target, size, count)
            if needs.shadows:
                shadow.cast_shadows(scenes, view, target, size, count)
            pixels.find_surfaces(scenes, view, target, use_lattice, span, of_cells, size, count)
            pixels.shade_surfaces(scenes, view, target, span, size, count)
            if needs.instruments or self.normals:
                pixels.add_instruments(scenes, view, target, self.normals, span, size, count)
            passes.count_polyps(scenes, view, target, hidden, of_pixels, size, count)
            self._darkroom.develop(count, needs)
            wait(self.engine)
        return self._frames(count)

    def _frames(self, count: int) -> RenderedFrames:
        shape = (self.batch_size, self.height, self.width)
        return RenderedFrames(
            rgbi=self.target.image.view(torch.uint8).view(*shape, 4)[:count],
            depth=self.target.radiance.view(*shape, 4)[:count, ..., 3],
            normals=self.target.normals.view(*shape, 4)[:count, ..., :3] if self.normals else None,
            stats=self.target.stats.view(self.batch_size, MAX_POLYPS, STATS)[:count],
        )

    def _target(self) -> Any:
        tiles_y, tiles_x, per_tile = self.size.tiles_y, self.size.tiles_x, TILE // CELL
        tiles = self.batch_size * tiles_y * tiles_x
        lattice = (tiles_y * per_tile + 1) * (tiles_x * per_tile + 1)
        pixels = self.batch_size * self.height * self.width
        return Target(
            tile_t=self._zeros(tiles),
            tile_mask=self._zeros(tiles, dtype=torch.int32),
            lattice=self._zeros(self.batch_size * lattice, 2),
            light=self._zeros(METERED * self.batch_size, dtype=torch.int32),
            gain=self._zeros(self.batch_size),
            radiance=self._zeros(pixels, 4),
            normals=self._zeros(pixels, 4),
            shadows=self._zeros(self.batch_size * lattice, 4),
            image=self._zeros(pixels, dtype=torch.int32),
            stats=self._zeros(self.batch_size * MAX_POLYPS * STATS, dtype=torch.int32),
        )

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype, device=self.engine.device)
