"""The flags of `datagen`, checked; nothing heavy is imported here."""

import re
from dataclasses import dataclass, fields
from typing import Annotated

from tyro.conf import arg

from endoforge.core import checks
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.machine import cpu_cores
from endoforge.core.sizes import parse_size
from endoforge.roots.places import RootFlag, refuse_cloud

MOST_RUNS = 1_000_000
"""Runs of one job at most."""
SAVED = ("instance", "depth", "normals", "pose")
"""What --save can name, in the order in which it is kept."""

OF_NO_CLUSTER = ("metal", "vulkan")
"""Renderers that --ray can't have: a cluster counts CPUs and the GPUs of CUDA and ROCm."""


@dataclass(frozen=True, kw_only=True)
class DatagenConfig:
    """Simulate colonoscopies and record their frames, exactly labelled, as capture runs.

    Every run is a colon of its own with its own polyps, look and camera path, all from its seed:
    the same seed writes the same pixels. One folder a run appears under --output-root.
    """

    seed: Annotated[int | None, arg(metavar="INT")] = None
    """Base seed; run i's seed follows from it and i. Default: POLYP_SEED if set, else the time."""

    output_root: RootFlag = "assets/datasets/captures"
    """Folder that gets the run folders (made if it isn't there), or an address such as
    s3://bucket/captures, to which each run is put when it is complete."""

    max_frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames a run at most, spread evenly over it; with --fps the first ones. Default: all
    captures, about 1,400."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Frames a second of the procedure, as a video has them. Default: a capture every 0.33 s, and
    twice as often near polyps."""

    from_s: Annotated[float, arg(name="from", metavar="SECONDS")] = 0.0
    """Second of the procedure from which on frames are taken."""

    to_s: Annotated[float | None, arg(name="to", metavar="SECONDS")] = None
    """Second of the procedure before which frames are taken. Default: its end."""

    runs: Annotated[int | None, arg(metavar="INT")] = None
    """Runs of the data set, each of another seed. Default: 1, or as --run-range needs."""

    run_range: Annotated[str | None, arg(metavar="A:B")] = None
    """Record runs A to B - 1 of the data set only: a part for one of several jobs."""

    workers: Annotated[int | None, arg(metavar="INT")] = None
    """Threads that prepare scenes and write files. Default: one a CPU core. With --ray the
    cluster's workers, each of a CPU core or a GPU; default: as many as it has."""

    ray: Annotated[str | None, arg(metavar="ADDRESS|local")] = None
    """Have workers of the Ray cluster at HOST:PORT make the runs; auto: of the one that this
    machine is part of; local: of one that is started here and ended afterwards."""

    polyps: Annotated[str | None, arg(metavar="MIN-MAX")] = None
    """Polyps a run, such as 12-20; in place of the randomisation's."""

    randomization: Annotated[str | None, arg(metavar="NAME|FILE.toml")] = None
    """Ranges that runs are drawn from: plain, real, or a file's, in place of the defaults that it
    names."""

    print_randomization: bool = False
    """Print the ranges in effect as TOML, and do nothing else."""

    from_manifest: Annotated[str | None, arg(metavar="FILE")] = None
    """Make the run of this run_manifest.json again, bit for bit, under --output-root."""

    save: Annotated[str | None, arg(metavar="KIND,...")] = None
    """More ground truth beside the images: any of instance,depth,normals,pose."""

    resume: bool = False
    """Go on with the unfinished runs of this data set under --output-root; skip finished ones."""

    prune_empty: bool = False
    """Afterwards copy the frames with polyps to --prune-output-root (as `prune-empty` does)."""

    prune_output_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Where the pruned copies go. Default: <output-root>_filtered."""

    resolution: Annotated[str, arg(metavar="WIDTHxHEIGHT")] = "640x360"
    """Size of the frames, WIDTHxHEIGHT in pixels."""

    renderer: RendererName = "auto"
    """What renders: a GPU if there is one, else the CPU. `endoforge devices` lists them."""

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.seed is not None:
            checks.check_seed("--seed", self.seed)
        for flag in ("max_frames", "runs", "workers"):
            number = getattr(self, flag)
            if number is not None:
                checks.check_count(f"--{flag.replace('_', '-')}", number)
        if self.runs is not None and self.runs > MOST_RUNS:
            raise UserError(f"--runs {self.runs}: must be at most {MOST_RUNS:,}; make parts of it")
        if self.fps is not None:
            checks.check_frame_rate("--fps", self.fps)
        checks.check_stretch("--from", self.from_s, "--to", self.to_s)
        checks.check_render_size(f"--resolution {self.resolution}", self.size)
        if self.prune_output_root is not None and not self.prune_empty:
            raise UserError("--prune-output-root: needs --prune-empty")
        if self.ray is not None:
            self._check_ray(self.ray)
            why = "with --ray, workers write to a folder that all nodes see; name one"
            refuse_cloud("--output-root", self.output_root, why)
        if self.prune_empty:
            why = "--prune-empty is for folders; leave it out, then run `endoforge prune-empty`"
            refuse_cloud("--output-root", self.output_root, why)
        if self.from_manifest is not None:
            self._refuse_what_the_manifest_says()
        # Each raises UserError for what it can't read.
        _ = self.run_indices, self.polyp_count, self.saved

    def _check_kinds(self) -> None:
        """Programs, unlike the command line, may give anything."""
        checks.check_text("--resolution", self.resolution)
        checks.check_path("--output-root", self.output_root)
        for check, flags in (
            (checks.check_text, ("run_range", "polyps", "save", "ray")),
            (checks.check_path, ("prune_output_root", "randomization", "from_manifest")),
        ):
            for flag in flags:
                if (value := getattr(self, flag)) is not None:
                    check(f"--{flag.replace('_', '-')}", value)

    @property
    def size(self) -> tuple[int, int]:
        """The frames' (width, height) in pixels."""
        return parse_size(self.resolution, "--resolution")

    @property
    def pruned_root(self) -> str:
        """The folder that pruned copies go to."""
        return self.prune_output_root or self.output_root.rstrip("/") + "_filtered"

    @property
    def run_indices(self) -> range:
        """The runs of the data set to record, by their numbers from 0."""
        if self.run_range is None:
            return range(self.runs or 1)
        first, end = checks.parse_ends("--run-range", self.run_range, ":", example="0:10")
        if first == end:
            raise UserError(
                f"--run-range {self.run_range}: holds no run, since {end} is the first that isn't "
                f"made; try {first}:{first + 1}"
            )
        indices = range(first, end)
        if len(indices) > MOST_RUNS:
            raise UserError(f"--run-range {self.run_range}: at most {MOST_RUNS:,} runs at once")
        if self.runs is not None and indices.stop > self.runs:
            raise UserError(f"--run-range {self.run_range}: must lie within 0:{self.runs} (--runs)")
        return indices

    @property
    def polyp_count(self) -> tuple[int, int] | None:
        """The (least, most) polyps a run, or None if the ranges decide."""
        if self.polyps is None:
            return None
        return checks.parse_ends("--polyps", self.polyps, "-", example="12-20")

    @property
    def saved(self) -> tuple[str, ...]:
        """The kinds that --save names, each once, in the order of `SAVED`."""
        kinds = [kind.strip() for kind in self.save.split(",")] if self.save is not None else []
        for kind in kinds:
            if kind not in SAVED:
                raise UserError(f"--save {self.save}: expected any of {','.join(SAVED)}")
        return tuple(kind for kind in SAVED if kind in kinds)

    @property
    def num_workers(self) -> int:
        """The number of threads that prepare and write."""
        return self.workers or cpu_cores()

    def _check_ray(self, address: str) -> None:
        if address.startswith("ray://"):
            raise UserError(
                f"--ray {address}: works from a machine of the cluster alone; run the command "
                "there, with --ray auto"
            )
        port = re.fullmatch(r"[^\s/]+:(\d{1,5})", address)
        if address not in ("local", "auto") and not (port and 0 < int(port[1]) < 2**16):
            raise UserError(f"--ray {address}: expected HOST:PORT, auto or local")
        if self.renderer in OF_NO_CLUSTER:
            raise UserError(
                f"--renderer {self.renderer}: Ray can't say which worker has it; with --ray choose "
                "from auto, cpu, cuda, amdgpu"
            )
        if self.from_manifest is not None:
            raise UserError("--ray: --from-manifest makes one run; leave one of them out")

    def _refuse_what_the_manifest_says(self) -> None:
        defaults = {field.name: field.default for field in fields(DatagenConfig)}
        for flag in (
            "seed", "max_frames", "fps", "from_s", "to_s", "runs", "run_range", "polyps",
            "randomization", "save", "resolution",
        ):  # fmt: skip
            if getattr(self, flag) != defaults[flag]:
                name = f"--{flag.removesuffix('_s').replace('_', '-')}"
                raise UserError(f"{name}: --from-manifest has its own; leave one of them out")
