"""The simulator as a Python API: from a seed to batches of labelled frames on the device.

`Simulator` gives one run's frames; `bake` and `render_runs`, which it is made of, are what
`datagen` is made of too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.core.checks import (
    check_count,
    check_frame_rate,
    check_render_size,
    check_seed,
    check_stretch,
)
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.sim.camera import CameraState
from endoforge.sim.clock import CAPTURES, Clock
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.flight import Flight, plan_flight
from endoforge.sim.labels import PolypView, polyp_views
from endoforge.sim.optics import Lens
from endoforge.sim.polyps import Paris
from endoforge.sim.randomization import Randomization
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.stops import Check, go_on
from endoforge.sim.streams import Stream, stream

BATCH_CPU, BATCH_GPU = 4, 64
"""Frames rendered at once, on a CPU and on a GPU, which takes many to be busy."""
GROUP_BATCHES, GROUP_RUNS = 16, 64
"""Runs are loaded together on a GPU until they fill so many batches, or are so many."""


@dataclass(frozen=True, eq=False)
class BakedRun:
    """A run that is ready to be rendered: its scene, its flight, and the noise of every frame.

    `wanted` are the numbers of the frames to render, of `states`.
    """

    scene: Scene = field(repr=False)
    lens: Lens
    states: Sequence[CameraState] = field(repr=False)
    noise_seeds: Sequence[int] = field(repr=False)
    wanted: Sequence[int] = field(repr=False)

    @property
    def seed(self) -> int:
        """The run's seed, from which all of it follows, given the ranges."""
        return self.scene.seed


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """The truth of one frame: where the camera was, and each polyp as the picture shows it."""

    run: BakedRun = field(repr=False)
    frame_id: int
    """Its number within the run, from 0."""
    views: tuple[PolypView, ...]
    """The polyps in the picture, those without a box too (see `sim.labels`)."""

    @property
    def state(self) -> CameraState:
        """The camera at that moment: its pose, time and movement."""
        return self.run.states[self.frame_id]

    @property
    def boxes(self) -> NDArray[np.float32]:
        """The N boxes (N, 4) float32: x0, y0, x1, y1 in pixels, right and bottom exclusive."""
        boxes = [view.box_px for view in self.views if view.box_px is not None]
        return np.array(boxes, np.float32).reshape(-1, 4)

    @property
    def kinds(self) -> list[Paris]:
        """The Paris kind of each of the N boxes."""
        return [view.polyp.paris for view in self.views if view.box_px is not None]

    @property
    def instances(self) -> NDArray[np.uint8]:
        """The value in the instance image of each of the N boxes: (N,) uint8."""
        return np.array([v.instance for v in self.views if v.box_px is not None], np.uint8)


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """A batch of B frames, on the renderer's device, and their truth.

    The tensors are views of the renderer's buffers: clone what must outlive the next batch.

    `rgb` (B, H, W, 3) uint8; `instance` (B, H, W) uint8, 0 the wall and k a polyp; `depth`
    (B, H, W) float32, mm along the ray, 0 under the screen's mask, 280 where nothing is met;
    `normals` (B, H, W, 3) float32 unit vectors in camera axes (right, down, forward), or None
    if they weren't asked for; `labels` the truth of each frame, in the same order.
    """

    rgb: torch.Tensor
    instance: torch.Tensor
    depth: torch.Tensor
    normals: torch.Tensor | None
    labels: list[FrameTruth]

    @property
    def states(self) -> list[CameraState]:
        """The cameras of the B frames."""
        return [label.state for label in self.labels]

    def __len__(self) -> int:
        return len(self.labels)


class Simulator:
    """The frames of one simulated colonoscopy, in batches, on the renderer's device.

    >>> for batch in Simulator(7, size=(256, 256), max_frames=100):
    ...     learn(batch.rgb, [label.boxes for label in batch.labels])

    `seed` is the run's: `sim.streams.run_seed(s, i)` is that of run i of `datagen --seed s`.
    `size` is (width, height) in pixels; `max_frames` spreads so many over the procedure (None:
    all of its captures, about 1,400); `batch_size` None suits the renderer; with `normals` the
    batches have those too. `fps` (up to 240) takes the frames of a video in place of captures,
    of which `max_frames` are the first; `start_s` and `end_s` are the seconds of the procedure
    from which on and before which frames are taken (None: to its end). It yields `FrameBatch`es,
    can be iterated again, and gives the same frames; one iteration at a time.

    Raises UserError for what can't be used: a seed of more than 64 bits, a side outside 64 to 4096,
    a number below 1, a start after the procedure's end, a renderer that isn't there; and in a
    process that was forked from one that had a simulator: use multiprocessing's "spawn".
    """

    def __init__(
        self,
        seed: int,
        *,
        randomization: Randomization = Randomization(),
        size: tuple[int, int] = (640, 360),
        max_frames: int | None = None,
        fps: float | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        batch_size: int | None = None,
        renderer: RendererName = "auto",
        normals: bool = False,
    ) -> None:
        check_seed("seed", seed)
        if not isinstance(randomization, Randomization):
            raise UserError(f"randomization {randomization}: must be a Randomization")
        check_render_size(f"size {size}", size)
        for name, number in (("max_frames", max_frames), ("batch_size", batch_size)):
            if number is not None:
                check_count(name, number)
        if fps is not None:
            check_frame_rate("fps", fps)
        check_stretch("start_s", start_s, "end_s", end_s)
        self.engine = start_engine(renderer)
        self.run = bake(seed, randomization, size, max_frames, Clock(fps, start_s, end_s))
        self.batch_size = min(batch_size or default_batch_size(self.engine), self.num_frames)
        self._renderer = Renderer(*size, self.engine, self.batch_size, normals=normals)

    @property
    def num_frames(self) -> int:
        """The number of frames of the whole run."""
        return len(self.run.states)

    def __len__(self) -> int:
        """The number of batches of the whole run, of which the last may be short."""
        return -(-self.num_frames // self.batch_size)

    def __iter__(self) -> Iterator[FrameBatch]:
        return render_runs(self._renderer, [self.run])


def default_batch_size(engine: Engine) -> int:
    """How many frames at once suit the engine."""
    return BATCH_CPU if engine.name == "cpu" else BATCH_GPU


def bake(
    seed: int,
    randomization: Randomization,
    size: tuple[int, int],
    max_frames: int | None,
    clock: Clock = CAPTURES,
    check: Check = go_on,
) -> BakedRun:
    """Make a run from its seed, ready to render.

    Takes some tenths of a second on a CPU, and may run in any thread. `size` is (width, height) in
    pixels. Raises UserError as `Clock.states`, and Stopped once `check` does.
    """
    check()
    scene = make_scene(seed, randomization)
    return bake_flight(scene, plan_flight(scene, check), size, max_frames, clock)


def bake_flight(
    scene: Scene,
    flight: Flight,
    size: tuple[int, int],
    max_frames: int | None,
    clock: Clock = CAPTURES,
) -> BakedRun:
    """Make the run of a scene and its flight, as `bake` does."""
    seed = scene.seed
    _ = scene.tables, scene.optics(*size)  # made here, in the worker: the renderer only copies
    states = clock.states(scene, flight, max_frames)
    _ = [state.rows for state in states]
    noise = stream(seed, Stream.NOISE).integers(0, 2**20, size=len(states))
    return BakedRun(scene, scene.lens(*size), states, noise.tolist(), range(len(states)))


def render_runs(renderer: Renderer, runs: Iterable[BakedRun]) -> Iterator[FrameBatch]:
    """Render the wanted frames of the runs, in order; a batch may hold frames of several runs.

    A frame's pixels don't depend on what it shares a batch with. Runs are taken from the iterable
    only as they are needed.
    """
    for group in _groups(runs, renderer):
        shots = [
            (run, frame, CameraShot(run.states[frame], place, run.noise_seeds[frame]))
            for place, run in enumerate(group)
            for frame in run.wanted
        ]
        if shots:
            renderer.load([run.scene for run in group])
        for first in range(0, len(shots), renderer.batch_size):
            some = shots[first : first + renderer.batch_size]
            frames = renderer.render([shot for _, _, shot in some])
            yield _batch(frames, [(run, frame) for run, frame, _ in some])


def _groups(runs: Iterable[BakedRun], renderer: Renderer) -> Iterator[list[BakedRun]]:
    """Yield the runs in groups whose scenes are loaded together."""
    most_runs = _runs_a_group(renderer.engine)
    enough = GROUP_BATCHES * renderer.batch_size
    group: list[BakedRun] = []
    for run in runs:
        group.append(run)
        if len(group) >= most_runs or sum(len(one.wanted) for one in group) >= enough:
            yield group
            group = []
    if group:
        yield group


def _runs_a_group(engine: Engine) -> int:
    """How many runs a group has at most; a CPU gains nothing from more than one."""
    return 1 if engine.name == "cpu" else GROUP_RUNS


def _batch(frames: RenderedFrames, shown: Sequence[tuple[BakedRun, int]]) -> FrameBatch:
    stats = frames.stats.cpu().numpy()
    labels = [
        FrameTruth(run, frame, tuple(polyp_views(run.scene, run.states[frame], stats[row])))
        for row, (run, frame) in enumerate(shown)
    ]
    return FrameBatch(frames.rgb, frames.instance, frames.depth, frames.normals, labels)
