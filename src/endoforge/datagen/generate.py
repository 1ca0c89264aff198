"""The loop of `datagen`: a scene, its flight, batches of pictures, and files."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.config import PruneConfig
from endoforge.captures.prune import PruneReport, prune_empty
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.core.progress import Advance, progress
from endoforge.datagen.config import DatagenConfig
from endoforge.sim.camera import CAPTURE_INTERVAL_S, Pose, fly
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.labels import PolypView, polyp_views
from endoforge.sim.optics import Lens
from endoforge.sim.renderer import Renderer, Shot
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.streams import Stream, run_seed, stream

log = logging.getLogger(__name__)

BATCH_CPU, BATCH_GPU = 4, 64
"""Frames rendered at once, and so the most that wait for their files."""
NUM_WRITERS = 4


@dataclass
class DatagenReport:
    """What was written."""

    output_root: Path
    renderer: str
    run_dirs: list[Path] = field(default_factory=list)
    frames: int = 0
    frames_with_polyps: int = 0
    boxes: int = 0
    seconds: float = 0.0
    pruned: PruneReport | None = None

    def lines(self) -> list[str]:
        """The summary for people."""
        rate = self.frames / max(self.seconds, 1e-9)
        lines = [
            f"{self.output_root}: {len(self.run_dirs)} runs, {self.frames} frames, "
            f"{self.frames_with_polyps} with polyps, {self.boxes} boxes "
            f"({self.seconds:.1f} s, {rate:.1f} frames/s, renderer {self.renderer})"
        ]
        return lines + (self.pruned.lines() if self.pruned else [])


def generate(config: DatagenConfig) -> DatagenReport:
    """Record `config.runs` runs; the config's seed must be set.

    Raises UserError if the renderer isn't there or the output can't be written.
    """
    if config.seed is None:
        raise ValueError("the seed must be chosen before generate()")
    engine = start_engine(config.renderer)
    report = DatagenReport(Path(config.output_root), engine.name)
    started = time.monotonic()
    log.info("base seed %d, renderer %s", config.seed, engine.name)
    with progress("simulating", config.runs * config.max_frames, "frames") as advance:
        for run in range(config.runs):
            _record_run(make_scene(run_seed(config.seed, run)), config, engine, report, advance)
    report.seconds = time.monotonic() - started
    if config.prune_empty:
        pruning = PruneConfig(input=config.output_root, output=config.pruned_root)
        report.pruned = prune_empty(pruning)
    return report


def _record_run(
    scene: Scene, config: DatagenConfig, engine: Engine, report: DatagenReport, advance: Advance
) -> None:
    lens = Lens(*config.size)
    poses = list(fly(scene, config.max_frames))
    batch_size = BATCH_CPU if engine.name == "cpu" else BATCH_GPU
    renderer = Renderer([scene], lens, engine, min(batch_size, len(poses)))
    recorder = RunRecorder.create(
        Path(config.output_root),
        seed=scene.seed,
        max_frames=config.max_frames,
        extra=_manifest_extra(scene, lens, engine),
    )
    try:
        _record_frames(scene, lens, poses, renderer, recorder, report, advance)
    except BaseException:
        log.warning("unfinished: %d whole frames in %s", recorder.num_frames, recorder.run_dir)
        raise
    recorder.finish()
    report.run_dirs.append(recorder.run_dir)


def _record_frames(
    scene: Scene,
    lens: Lens,
    poses: Sequence[Pose],
    renderer: Renderer,
    recorder: RunRecorder,
    report: DatagenReport,
    advance: Advance,
) -> None:
    """Render batch after batch; the files of one are written while the next is rendered."""
    noise = stream(scene.seed, Stream.SENSOR).integers(0, 2**20, size=len(poses))
    pending: list[tuple[Future[None], FrameLabel]] = []
    with ThreadPoolExecutor(NUM_WRITERS) as writers:
        for first in range(0, len(poses), renderer.batch_size):
            span = range(first, min(first + renderer.batch_size, len(poses)))
            frames = renderer.render([Shot(poses[i], 0, int(noise[i])) for i in span])
            images = frames.rgb.cpu().numpy().copy()
            stats = frames.stats.cpu().numpy()
            _settle(pending, report, advance)
            labels = [frame_label(i, poses[i], lens, scene, stats[k]) for k, i in enumerate(span)]
            pending = [
                (writers.submit(recorder.write, image, label), label)
                for image, label in zip(images, labels, strict=True)
            ]
        _settle(pending, report, advance)


def _settle(
    pending: Sequence[tuple[Future[None], FrameLabel]], report: DatagenReport, advance: Advance
) -> None:
    """Wait until the frames of a batch are on disk, then count them."""
    for written, label in pending:
        written.result()
        boxes = sum(polyp.bbox_px is not None for polyp in label.polyp_labels)
        report.frames += 1
        report.frames_with_polyps += boxes > 0
        report.boxes += boxes
        advance()


def frame_label(
    frame_id: int, pose: Pose, lens: Lens, scene: Scene, stats: NDArray[np.int32]
) -> FrameLabel:
    """The label of a frame, from its (MAX_POLYPS, 6) pixel counts.

    Its clock is the simulated one, which starts at 0: the same seed gives the same bytes.
    """
    sim_time = round(frame_id * CAPTURE_INTERVAL_S, 6)
    return FrameLabel(
        frame_id=frame_id,
        sim_time=sim_time,
        unix_time=sim_time,
        image=image_name(frame_id),
        image_present=True,
        camera_active=True,
        polyp_seed=scene.seed,
        polyp_labels=[_polyp_label(view, lens) for view in polyp_views(scene, pose, stats)],
        camera={"pose": pose.as_json(), "intrinsics": lens.intrinsics()},
    )


def _polyp_label(view: PolypView, lens: Lens) -> PolypLabel:
    box = view.box_px
    norm = None
    if box is not None:
        x0, y0, x1, y1 = box
        norm = (x0 / lens.width, y0 / lens.height, x1 / lens.width, y1 / lens.height)
    return PolypLabel(
        center_world=view.polyp.centre,
        bbox_px=box,
        bbox_norm=norm,
        label="polyp",
        visibility=round(view.visibility, 4),
        paris=view.polyp.paris,
        diameter_mm=round(view.polyp.diameter_mm, 3),
        distance_mm=round(view.distance_mm, 3),
    )


def _manifest_extra(scene: Scene, lens: Lens, engine: Engine) -> dict[str, Any]:
    return {
        "renderer": engine.name,
        "resolution": [lens.width, lens.height],
        "units": "mm",
        "diagonal_fov_deg": lens.diagonal_fov_deg,
        "scene": scene.parameters(),
    }
