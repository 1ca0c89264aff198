"""What `datagen` takes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from endoforge.core.errors import UserError
from endoforge.core.sizes import parse_size

MAX_SEED = 2**64 - 1


@dataclass(frozen=True, kw_only=True)
class DatagenConfig:
    """Simulate colonoscopies and record their frames, exactly labelled, as capture runs.

    Every run is a colon of its own with its own polyps, look and camera path, all from its seed:
    the same seed writes the same pixels. One folder a run appears under --output-root.
    """

    seed: Annotated[int | None, arg(metavar="INT")] = None
    """Base seed; run i's seed follows from it and i. Default: POLYP_SEED if set, else the time."""

    output_root: Annotated[str, arg(metavar="FOLDER")] = "assets/datasets/captures"
    """Folder that gets the run folders (made if it isn't there)."""

    max_frames: int = 200
    """Frames a run; the camera's path is spread over them."""

    runs: int = 1
    """Runs to record, each of another seed."""

    prune_empty: bool = False
    """Afterwards copy the frames with polyps to --prune-output-root (as `prune-empty` does)."""

    prune_output_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Where the pruned copies go. Default: <output-root>_filtered."""

    resolution: Annotated[str, arg(metavar="WIDTHxHEIGHT")] = "640x360"
    """Size of the frames, WIDTHxHEIGHT in pixels."""

    renderer: Literal["auto", "cpu", "cuda", "vulkan", "metal", "amdgpu"] = "auto"
    """What renders: a GPU if there is one, else the CPU. `endoforge devices` lists them."""

    def __post_init__(self) -> None:
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise UserError(f"--seed {self.seed}: must be between 0 and 2^64 - 1")
        if self.max_frames < 1:
            raise UserError(f"--max-frames {self.max_frames}: must be 1 or more")
        if self.runs < 1:
            raise UserError(f"--runs {self.runs}: must be 1 or more")
        width, height = self.size
        if not (64 <= width <= 4096 and 64 <= height <= 4096):
            raise UserError(f"--resolution {self.resolution}: each side must be 64 to 4096 pixels")
        if self.prune_output_root is not None and not self.prune_empty:
            raise UserError("--prune-output-root: needs --prune-empty")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return parse_size(self.resolution, "--resolution")

    @property
    def pruned_root(self) -> str:
        """Where pruned copies go."""
        return self.prune_output_root or self.output_root.rstrip("/") + "_filtered"
