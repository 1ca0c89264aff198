"""Two engines, the same frames: how far their pictures, instances, depths and boxes differ."""

import argparse
import json

import numpy as np

from endoforge import __version__
from endoforge.sim.engine import start_engine
from endoforge.sim.flight import fly, thin
from endoforge.sim.labels import MIN_VISIBLE_PX
from endoforge.sim.randomization import load_randomization
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene

SIZE = (640, 360)
NUM_SCENES, POSITIONS = 10, 20


def frames_of(scenes: list[Scene], engine_name: str) -> dict[str, np.ndarray]:
    """Every array of every frame, joined: colour, instance, depth, counts."""
    renderer = Renderer(*SIZE, start_engine(engine_name), POSITIONS)  # type: ignore[arg-type]
    parts: dict[str, list[np.ndarray]] = {"rgb": [], "instance": [], "depth": [], "stats": []}
    for scene in scenes:
        renderer.load([scene])
        frames = renderer.render(
            [CameraShot(state, 0, k) for k, state in enumerate(thin(fly(scene), POSITIONS))]
        )
        for name, arrays in parts.items():
            arrays.append(getattr(frames, name).cpu().numpy().copy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def compare(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, object]:
    """The largest differences, and the mean one of colours."""
    colour = np.abs(one["rgb"].astype(np.int16) - other["rgb"])
    boxed = (one["stats"][..., 0] >= MIN_VISIBLE_PX) & (other["stats"][..., 0] >= MIN_VISIBLE_PX)
    either = (one["stats"][..., 0] >= MIN_VISIBLE_PX) | (other["stats"][..., 0] >= MIN_VISIBLE_PX)
    edges = np.abs(one["stats"][..., 2:] - other["stats"][..., 2:]).max(axis=-1)[boxed]
    depth = np.abs(one["depth"] - other["depth"]) / np.maximum(one["depth"], 1e-3)
    return {
        "frames": len(colour),
        "boxes": int(boxed.sum()),
        "boxes_in_one_only": int((either & ~boxed).sum()),
        "boxes_off_by_more_than_1_px": int((edges > 1).sum()),
        "largest_box_difference_px": int(edges.max(initial=0)),
        "mean_colour_difference": round(float(colour.mean()), 4),
        "pixels_of_another_instance": int((one["instance"] != other["instance"]).sum()),
        "share_of_depth_off_by_1_percent": round(float((depth > 0.01).mean()), 6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("renderers", nargs=2, metavar="RENDERER", help="such as: cpu cuda")
    arguments = parser.parse_args()
    plain = load_randomization("plain")
    scenes = [make_scene(seed, plain) for seed in range(1, NUM_SCENES + 1)]
    one, other = (frames_of(scenes, name) for name in arguments.renderers)
    result = {
        "benchmark": "agreement",
        "version": __version__,
        "renderers": arguments.renderers,
        **compare(one, other),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
