"""How well pictures show what they are to show: views are chosen by these."""

import numpy as np

from .studio import Taken


def shows_one(taken: Taken, share: float) -> float:
    """How well the largest polyp in the picture is seen: whole, in the middle, of that share."""
    height, width = taken.instance.shape
    views = [view for view in taken.views if view.box_px is not None]
    if not views:
        return -100.0
    best = max(views, key=lambda view: float((taken.instance == view.instance).sum()))
    assert best.box_px is not None
    x0, y0, x1, y1 = best.box_px
    fills = float((taken.instance == best.instance).mean())
    middle = np.hypot((x0 + x1) / width - 1, (y0 + y1) / height - 1)
    cut = x0 <= 1 or y0 <= 1 or x1 >= width - 1 or y1 >= height - 1
    room = float(np.median(taken.depth)) / 25.0
    return float(
        3.0 * best.visibility - 2.0 * abs(np.log(fills / share)) - 1.2 * middle - 3.0 * cut
        + min(room, 1.0) - 0.5 * (len(views) - 1) + is_open(taken)
    )  # fmt: skip


def is_open(taken: Taken) -> float:
    """0..1: how much of the picture is neither right before the lens nor dark."""
    brightness = taken.rgb.mean(axis=2)
    return float(((taken.depth > 9) & (brightness > 25) & (brightness < 235)).mean())
