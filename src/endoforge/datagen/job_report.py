"""The report of a job: what it wrote, and how fast."""

from dataclasses import dataclass, field
from pathlib import Path

from endoforge.captures.prune import PruneReport
from endoforge.captures.schema import FrameLabel


@dataclass
class DatagenReport:
    """What a job wrote: frames and boxes; `run_dirs` are the runs that it finished.

    Runs of object storage lie at `address` alone: of those, `num_put` says how many there are.
    """

    output_root: Path
    renderer: str
    address: str | None = None
    run_dirs: list[Path] = field(default_factory=list)
    num_put: int = 0
    frames: int = 0
    frames_with_polyps: int = 0
    boxes: int = 0
    complete_before: int = 0
    """Runs that an earlier job had finished, and that were left as they are."""
    resumed: int = 0
    """Runs that an earlier job had begun."""
    seconds: float = 0.0
    pruned: PruneReport | None = None

    def count(self, label: FrameLabel) -> None:
        """Count a frame that is on disk, and its boxes."""
        boxes = sum(polyp.bbox_px is not None for polyp in label.polyp_labels)
        self.frames += 1
        self.frames_with_polyps += boxes > 0
        self.boxes += boxes

    def lines(self) -> list[str]:
        """The summary for people: a line or two, and those of pruning."""
        rate = self.frames / max(self.seconds, 1e-9)
        num_runs = len(self.run_dirs) + self.num_put
        lines = [
            f"{self.address or self.output_root}: {num_runs} runs, {self.frames} frames, "
            f"{self.frames_with_polyps} with polyps, {self.boxes} boxes "
            f"({self.seconds:.1f} s, {rate:.1f} frames/s, renderer {self.renderer})"
        ]
        if self.complete_before or self.resumed:
            lines.append(
                f"  resumed: {self.complete_before} runs were complete already, "
                f"{self.resumed} had been begun"
            )
        return lines + (self.pruned.lines() if self.pruned else [])
