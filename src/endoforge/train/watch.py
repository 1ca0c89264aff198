"""What `--watch` looks at: it decides which validation is the best, and when patience ends."""

from endoforge.evaluate.metrics import Metrics
from endoforge.train.config import Watch

Score = tuple[float, ...]
"""What is watched, then what decides a tie. More is better."""

NAMES: dict[Watch, str] = {"ap": "AP", "ap50": "AP50", "mean-iou": "mean IoU"}
"""What people call each choice of `--watch`."""


def score_of(metrics: Metrics, watch: Watch) -> Score | None:
    """The score of a validation; None where it has no true box, so that nothing can be said.

    AP ties are decided by mean IoU, those of AP50 by AP before. Mean IoU stands alone.
    """
    ap, ap50 = metrics.ap, metrics.ap50
    if ap is None or ap50 is None:
        return None
    by_watch: dict[Watch, Score] = {
        "ap": (ap, metrics.mean_iou),
        "ap50": (ap50, ap, metrics.mean_iou),
        "mean-iou": (metrics.mean_iou,),
    }
    return by_watch[watch]
