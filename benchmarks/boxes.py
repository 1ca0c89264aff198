"""How large the boxes of a data set are, how far the polyps, and how much of them is seen."""

import argparse
import json

import numpy as np

from endoforge import __version__
from endoforge.sim.randomization import load_randomization
from endoforge.sim.simulator import Simulator
from endoforge.sim.streams import run_seed

SIZE = (640, 360)
PERCENTILES = (5, 25, 50, 75, 95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--max-frames", type=int, default=25)
    flags = parser.parse_args()
    boxes, frames = [], 0
    for run in range(flags.runs):
        simulator = Simulator(
            run_seed(flags.seed, run),
            randomization=load_randomization("plain"),
            size=SIZE,
            max_frames=flags.max_frames,
            renderer=flags.renderer,
        )
        for batch in simulator:
            frames += len(batch)
            views = [view for label in batch.labels for view in label.views if view.box_px]
            for view in views:
                x0, y0, x1, y1 = view.box_px
                area = 100 * (x1 - x0) * (y1 - y0) / (SIZE[0] * SIZE[1])
                boxes.append((area, view.distance_mm, view.visibility))
    area, distance, visibility = np.array(boxes).T
    result = {
        "benchmark": "boxes",
        "version": __version__,
        "runs": flags.runs,
        "frames": frames,
        "boxes": len(boxes),
        "percentiles": list(PERCENTILES),
        "area_percent": np.percentile(area, PERCENTILES).round(2).tolist(),
        "distance_mm": np.percentile(distance, PERCENTILES).round(1).tolist(),
        "share_less_than_0.6_visible": round(float((visibility < 0.6).mean()), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
