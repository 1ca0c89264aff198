"""What a run's video processor and recorder are given to, drawn from the ranges."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.ranges.screen_ranges import RecordingRanges, ScreenRanges
from endoforge.sim.ranges.values import draw_nuisance
from endoforge.sim.streams import Stream, stream

FIELD_S, GHOST_S, DOUBLE_S = 1 / 25, 1 / 30, 1 / 12
"""How far apart fields, colours and a doubled picture are at strength 1."""
WIDEST_STRETCH = 4 / 3
"""How much too wide a picture of 4:3 is that fills 16:9."""
LONGEST_STEP = 40.0
"""Moments are no further apart than so many exposures: one of a moment says nothing of the rest."""
RECORDING_ROWS = 2
"""Rows of `Recorder.table_rows`."""
MOST_INSETS = 6
"""Insets of a screen at most: their numbers fit three bits of its pixels."""
INSET_ROWS = 2
"""Rows of four numbers an inset."""
PICTURE_ROWS = RECORDING_ROWS + 1 + MOST_INSETS * INSET_ROWS
"""Rows of a scene that say what becomes of its picture: the recording's, and `screen.insets`'s."""


@dataclass(frozen=True)
class Display:
    """Strengths from 0 (none) to 1; `ScreenRanges` says of what.

    `stretch` is by how much too wide the picture is shown: 1 is as it is.
    """

    stretch: float = 1.0
    framing: float = 0.0
    ground: float = 0.0
    panels: float = 0.0
    repeated: float = 0.0
    stills: float = 0.0
    twin: float = 0.0


@dataclass(frozen=True)
class Recorder:
    """Strengths from 0 (none) to 1; `RecordingRanges` says of what."""

    colour_ghosts: float = 0.0
    interlaced: float = 0.0
    doubled: float = 0.0
    soft: float = 0.0
    ringing: float = 0.0
    soft_chroma: float = 0.0

    def table_rows(self, exposure_s: float, height: int) -> NDArray[np.float32]:
        """Make the (RECORDING_ROWS, 4) float32 that `kernels.picture` reads, of such frames.

        Colours, fields and the doubled picture apart, in times of exposure, and the share of the
        doubled picture | share of its surroundings that replaces a pixel (below 0: that is taken
        off), pixels from one of their samples to the next, reach of the chroma's smear, 1 if any
        of this is there.
        """
        steps = np.array(
            [self.colour_ghosts * GHOST_S, self.interlaced * FIELD_S, DOUBLE_S * (self.doubled > 0)]
        )
        if exposure_s > 0:
            steps = np.minimum(steps / exposure_s, LONGEST_STEP)
        else:
            steps[:] = 0.0
        softness = min(1.3 * self.soft, 1.0) - 1.4 * self.ringing
        step_px = min(max(1.0, round(height / 256 * (0.5 + self.soft))), 3.0)
        some = float(self != Recorder())
        rows = [[*steps, 0.5 * self.doubled], [softness, step_px, self.soft_chroma, some]]
        return np.array(rows, np.float32)


NO_DISPLAY, NO_RECORDER = Display(), Recorder()
"""A screen and a recorder that do nothing."""


def make_display(seed: int, ranges: ScreenRanges) -> Display:
    """Draw what the screen of a seed has."""
    rng = stream(seed, Stream.DISPLAY)
    names = [field.name for field in fields(ScreenRanges)]
    strengths = {name: draw_nuisance(rng, getattr(ranges, name)) for name in names}
    stretched = strengths.pop("stretched") * rng.choice([-1, 1])
    return Display(stretch=float(WIDEST_STRETCH**stretched), **strengths)


def make_recording(seed: int, ranges: RecordingRanges) -> Recorder:
    """Draw what the recording of a seed has."""
    rng = stream(seed, Stream.RECORDING)
    names = [field.name for field in fields(Recorder)]
    return Recorder(**{name: draw_nuisance(rng, getattr(ranges, name)) for name in names})
