"""What simulated data shows: how large boxes are, how far polyps, of which kinds, how well seen.

python benchmarks/boxes.py --randomization real
"""

import argparse
import json
from collections import Counter

import numpy as np

from endoforge import __version__
from endoforge.sim.randomization import NAMED, Randomization, load_randomization
from endoforge.sim.simulator import Simulator
from endoforge.sim.streams import run_seed

SIZE = (640, 360)
PERCENTILES = (5, 25, 50, 75, 95)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--max-frames", type=int, default=25)
    parser.add_argument("--randomization", choices=("default", *NAMED), default="plain")
    flags = parser.parse_args()
    named = flags.randomization
    ranges = Randomization() if named == "default" else load_randomization(named)
    boxes, frames, with_boxes = [], 0, 0
    kinds: Counter[str] = Counter()
    for run in range(flags.runs):
        simulator = Simulator(
            run_seed(flags.seed, run),
            randomization=ranges,
            size=SIZE,
            max_frames=flags.max_frames,
            renderer=flags.renderer,
        )
        for batch in simulator:
            frames += len(batch)
            shown = [[view for view in label.views if view.box_px] for label in batch.labels]
            with_boxes += sum(map(bool, shown))
            for view in (view for views in shown for view in views):
                kinds[view.polyp.paris] += 1
                x0, y0, x1, y1 = view.box_px
                area = 100 * (x1 - x0) * (y1 - y0) / (SIZE[0] * SIZE[1])
                boxes.append((area, view.distance_mm, view.visibility))
    area, distance, visibility = np.array(boxes).T
    result = {
        "benchmark": "boxes",
        "version": __version__,
        "randomization": named,
        "runs": flags.runs,
        "frames": frames,
        "with_boxes": with_boxes,
        "boxes": len(boxes),
        "percentiles": list(PERCENTILES),
        "area_percent": np.percentile(area, PERCENTILES).round(2).tolist(),
        "distance_mm": np.percentile(distance, PERCENTILES).round(1).tolist(),
        "kinds": dict(kinds.most_common()),
        "share_less_than_0.6_visible": round(float((visibility < 0.6).mean()), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
