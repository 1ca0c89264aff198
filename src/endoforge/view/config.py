"""What `sim-view` takes; nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from endoforge.backends.flags import (
    AdapterFlag,
    BackendFlag,
    CheckpointFlag,
    DeviceFlag,
    check_compute,
)
from endoforge.captures.addresses import live_address
from endoforge.core import checks
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.sizes import parse_size
from endoforge.core.text import printable
from endoforge.detect.packaged import DEFAULT_CHECKPOINT, packaged_weights, weights_file
from endoforge.roots.places import refuse_cloud

Mode = Literal["sim", "datagen"]
DEFAULT_PORT = 8765


@dataclass(frozen=True, kw_only=True)
class SimViewConfig:
    """Fly an endoscope through a simulated colon in the browser, and watch a detector at it.

    It prints an address to open. Ctrl-C ends it.
    """

    mode: Mode = "sim"
    """sim: fly as you like; datagen: record one run, show it, and end; with --headless, datagen."""

    headless: bool = False
    """Open no browser; with --mode datagen, no server either: the same as the command datagen."""

    source: Annotated[tuple[str, ...], arg(metavar="VIDEO|FOLDER|DEVICE|ADDRESS...")] = ()
    """Real pictures in the place of the simulator's: a video, a folder of pictures, a camera or
    capture card (/dev/video0), or a stream (rtsp, rtsps, http, https, udp, rtmp, srt). Of several,
    the first is shown, and the page chooses among them and the simulator."""

    seed: Annotated[int | None, arg(metavar="INT")] = None
    """Base seed of the first colon, as of datagen. Default: POLYP_SEED if set, else the time."""

    randomization: Annotated[str | None, arg(metavar="NAME|FILE.toml")] = None
    """Ranges that colons are drawn from, as of datagen: plain, real, or a file's."""

    output_root: Annotated[str, arg(metavar="FOLDER")] = "assets/datasets/captures"
    """Folder that gets recorded runs (made if it isn't there)."""

    max_frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames of a recording at most; a data run spreads so many evenly over the procedure."""

    resolution: Annotated[str, arg(metavar="WIDTHxHEIGHT")] = "640x360"
    """Size of the frames, WIDTHxHEIGHT in pixels."""

    renderer: RendererName = "auto"
    """What renders: a GPU if there is one, else the CPU. `endoforge devices` lists them."""

    checkpoint: CheckpointFlag = None

    weights: Annotated[tuple[str, ...], arg(metavar="FILE...")] = ()
    """More weights that the page can choose, beside --checkpoint, the .safetensors files in its
    folder, and those that come with EndoForge (packaged)."""

    infer_obj_thresh: float = 0.3
    """Score from which a detection is shown at first, 0 to 1; keys - and = change it."""

    infer_iou_thresh: float = 0.5
    """Overlap from which two detections count as the same at first; keys [ and ] change it."""

    backend: BackendFlag = "torch"
    device: DeviceFlag = "auto"
    adapter: AdapterFlag = None

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen on; from other machines, pages need the token that it prints."""

    port: Annotated[int | None, arg(metavar="INT")] = None
    """Port to listen on. Default: 8765, or the next one that is free."""

    status_file: Annotated[str, arg(metavar="FILE")] = "logs/train_status.json"
    """Status file of a training, which the training tab shows and its `train` writes."""

    metrics_out: Annotated[str, arg(metavar="FILE")] = "logs/train_metrics.jsonl"
    """Metrics file of a training, which the training tab shows and its `train` writes."""

    def __post_init__(self) -> None:
        checks.check_choice("--mode", self.mode, get_args(Mode))
        for source in self.source:
            self._check_source(source)
        if self.seed is not None:
            checks.check_seed("--seed", self.seed)
        if self.randomization is not None:
            checks.check_path("--randomization", self.randomization)
        if self.max_frames is not None:
            checks.check_at_least("--max-frames", self.max_frames, 1, example="200")
        checks.check_render_size(f"--resolution {self.resolution}", self.size)
        checks.check_probability("--infer-obj-thresh", self.infer_obj_thresh, example="0.3")
        checks.check_probability("--infer-iou-thresh", self.infer_iou_thresh, example="0.5")
        check_compute(self.backend, self.device, self.adapter)
        if self.checkpoint is not None:
            refuse_cloud(
                "--checkpoint",
                self.checkpoint,
                "sim-view reads files of this machine: copy it here",
            )
        if self.port is not None and not 0 <= self.port <= 65535:
            raise UserError(f"--port {self.port}: must be 0 (any free one) to 65535; try 8765")
        if not self.host.strip():
            raise UserError("--host: must be an address; try 127.0.0.1")

    def _check_source(self, source: str) -> None:
        if not source.strip():
            raise UserError("--source: names nothing; try a video, a folder or /dev/video0")
        if self.mode == "datagen":
            raise UserError("--source: --mode datagen records the simulator; leave one of them out")
        if self.seed is not None:
            raise UserError("--source: --seed is of the simulator; leave one of them out")
        if live_address(source) is None and not Path(source).exists():
            raise UserError(f"--source {printable(source)}: no such video, folder or device")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return parse_size(self.resolution, "--resolution")

    @property
    def first_weights(self) -> str:
        """The file of weights to look at first; raises UserError if they aren't to be had."""
        return DEFAULT_CHECKPOINT if self.checkpoint is None else str(weights_file(self.checkpoint))

    @property
    def stand_in(self) -> Path | None:
        """Weights to use while there is no file of `first_weights`; None if the user named one."""
        return packaged_weights() if self.checkpoint is None else None

    @property
    def root(self) -> Path:
        """The folder that gets recorded runs."""
        return Path(self.output_root)
