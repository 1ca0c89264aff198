"""The report of a job: what it wrote, and how fast."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from endoforge.captures.prune import PruneReport
from endoforge.captures.schema import FrameLabel
from endoforge.core.text import counted


@dataclass(frozen=True)
class LostRun:
    """A run that isn't complete, since something ended each worker that made it."""

    run_index: int
    tries: int
    reason: str
    """What ended the last one."""


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
    on_disk: int = 0
    """Whole frames that this job put on disk, with those that it was ended before counting."""
    lost: list[LostRun] = field(default_factory=list)
    """Runs that workers of a cluster couldn't make, in order."""
    seconds: float = 0.0
    pruned: PruneReport | None = None

    def count(self, label: FrameLabel) -> None:
        """Count a frame that is on disk, and its boxes."""
        boxes = sum(polyp.bbox_px is not None for polyp in label.polyp_labels)
        self.frames += 1
        self.frames_with_polyps += boxes > 0
        self.boxes += boxes

    def count_earlier(self, run_indices: Iterable[int], complete: Container[int]) -> list[int]:
        """Count the runs of a job that are `complete` already; gives those that it has to make."""
        indices = list(run_indices)
        todo = [index for index in indices if index not in complete]
        self.complete_before = len(indices) - len(todo)
        return todo

    def add(self, part: "DatagenReport") -> None:
        """Count what another report says was written."""
        self.run_dirs += part.run_dirs
        self.frames += part.frames
        self.frames_with_polyps += part.frames_with_polyps
        self.boxes += part.boxes

    def lines(self) -> list[str]:
        """The summary for people: a line or two, and those of pruning."""
        rate = self.frames / max(self.seconds, 1e-9)
        num_runs = len(self.run_dirs) + self.num_put
        lines = [
            f"{self.address or self.output_root}: {counted(num_runs, 'run')}, "
            f"{counted(self.frames, 'frame')}, {self.frames_with_polyps:,} with polyps, "
            f"{counted(self.boxes, 'box')} "
            f"({self.seconds:.1f} s, {rate:.1f} frames/s, renderer {self.renderer})"
        ]
        if self.complete_before or self.resumed:
            lines.append(
                f"  resumed: {counted(self.complete_before, 'run')} complete already, "
                f"{self.resumed:,} begun"
            )
        for one in self.lost:
            lines.append(
                f"  not complete: run {one.run_index}, tried {counted(one.tries, 'time')}: "
                f"{one.reason}"
            )
        return lines + (self.pruned.lines() if self.pruned else [])
