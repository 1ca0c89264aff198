"""What each part of the simulated world is worth on real frames: trainings without some of them.

    python benchmarks/world_parts.py checkpoints/parts --steps 4000 --jobs 12
    python benchmarks/world_parts.py checkpoints/parts assets/real assets/few

The first line trains 12 detectors, each on the ranges of `--ranges` with about half of the parts
put to what they are without them (`PARTS`); weights that are there already stay. The second
measures them. A part's worth is the mean of the trainings with it less the mean of those without:
by the design of Plackett and Burman (Biometrika 33:305, 1946), every part is on in six of the
twelve, and any two are on together in three, so that all twelve tell of every part. Its standard
error comes from what the parts leave unexplained, or, where they leave nothing, from `--noise`.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge import __version__
from endoforge.core.parsing import parse_toml
from endoforge.sim.randomization import parse_randomization, randomization_toml, ranges_file
from real import measured

OFF: dict[str, Any] = {"probability": 0.0, "strength": [0.0, 0.0]}
NONE, ONE = [0.0, 0.0], [1.0, 1.0]


def off(*names: str) -> dict[str, Any]:
    """Of these things no run has any."""
    return dict.fromkeys(names, OFF)


PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "kinds": {
        "polyps": {
            **dict.fromkeys(["share_iib", "share_iic", "share_iia_iic"], 0.0),
            **dict.fromkeys(["share_lst_g", "share_lst_ng", "share_mass", "ulcerated"], 0.0),
        }
    },
    "heads": {
        "polyps": {
            "uneven": NONE,
            **dict.fromkeys(["cauliflower", "long_stalks", "on_folds", "diminutive"], 0.0),
        }
    },
    "tissue": {
        "mucosa": {
            "branching": 0.0,
            **dict.fromkeys(["vessel_patches", "hue", "dye_in_pits"], NONE),
            **off("inflamed", "melanosis", "film"),
        }
    },
    "polyp surface": {
        "polyp_surface": {
            **off("own_pits", "red_spots", "white_spots", "erosion"),
            **dict.fromkeys(["wall_part", "margin_mm", "top"], NONE),
        }
    },
    "light": {
        "light": {
            **dict.fromkeys(["falloff", "bounces", "crevices"], NONE),
            **dict.fromkeys(["ripples", "wet_patches", "shadows"], NONE),
        }
    },
    "camera": {
        "camera": {
            **dict.fromkeys(["exposure_error", "hardness", "black_level"], NONE),
            **dict.fromkeys(["softness", "oversharp", "colour_noise", "haze_colour"], NONE),
            "metered": ONE,
            "colour_mode": OFF,
        },
        "lens": dict.fromkeys(["bloom", "ghosts", "drops", "fog"], NONE),
    },
    "folds": {
        "anatomy": {
            "fold_thickness": ONE,
            "fold_spacing_mm": [15.0, 32.0],
            **dict.fromkeys(["fold_roundness", "extra_folds", "wrinkles", "collapse"], NONE),
        }
    },
    "lookalikes": {
        "lookalikes": {
            **off("knobs", "follicles", "suction", "valve"),
            **off("appendix", "cushions", "inverted", "villi"),
        }
    },
    "residue": {"residue": {"soft": 0.0, "clarity": NONE, **off("bile", "mucus")}},
    "pictures": {
        "screen": off("framing", "stretched", "ground", "panels", "repeated", "stills", "twin"),
        "recording": off(
            "colour_ghosts", "interlaced", "doubled", "soft", "ringing", "soft_chroma"
        ),
    },
    "instruments": {
        "instruments": {
            **off("snare", "forceps", "needle", "cap", "jet"),
            **off("lift", "ulcers", "scars", "tattoo", "clips"),
        }
    },
}
"""Of each part, the ranges without it, by table."""
GENERATOR = (1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0)
"""The first of the twelve trainings, the next ones turned by one each, and the last one nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the ranges and weights of the trainings")
    parser.add_argument("roots", type=Path, nargs="*", help="capture runs to measure on")
    parser.add_argument("--ranges", default="real", help="a name, or a file")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--noise", type=float, default=0.01, help="deviation between two seeds")
    asked = parser.parse_args()
    design = plackett_burman()[:, : len(PARTS)]
    folders = [asked.folder / f"{row:02d}" for row in range(len(design))]
    for folder, row in zip(folders, design, strict=True):
        write_ranges(asked.ranges, row, folder)
    with ThreadPoolExecutor(asked.jobs) as pool:
        list(pool.map(lambda place: train(folders[place], asked.steps, place + 1), range(12)))
    for root in asked.roots:
        weights = [str(folder / "tinydet.safetensors") for folder in folders]
        scores = [measured(root, one) for one in weights]
        for metric in ("ap50", "ap", "recall_at_1_fp_a_frame"):
            report(root, metric, design, np.array([one[metric] for one in scores]), asked.noise)


def plackett_burman() -> NDArray[np.int64]:
    """Which of 11 parts each of 12 trainings has: (12, 11) of 0 and 1."""
    turned = [np.roll(GENERATOR, turn) for turn in range(11)]
    return np.array([*turned, np.zeros(11, np.int64)])


def write_ranges(ranges: str, row: NDArray[np.int64], folder: Path) -> None:
    """Write the ranges of one training: those of `--ranges`, less the parts that it lacks."""
    tables = parse_toml(ranges_file(ranges).read_text("utf-8"))
    for has, without in zip(row, PARTS.values(), strict=True):
        for table, fields in without.items():
            if not has:
                tables.setdefault(table, {}).update(fields)
    folder.mkdir(parents=True, exist_ok=True)
    text = randomization_toml(parse_randomization(tables))
    (folder / "ranges.toml").write_text(text, encoding="utf-8")


def train(folder: Path, steps: int, seed: int) -> None:
    """Train by the recipe of the packaged weights, for so many steps, unless that was done."""
    if (folder / "tinydet.safetensors").exists():
        return
    command = f"""-m endoforge train --simulate --paint 0.7 --batch-size 64 --lr-start 4e-3
        --lr-end 1e-5 --scheduler cosine --target-size 320x256 --log-every 1000
        --steps {steps} --seed {seed}"""
    with (folder / "log.txt").open("w") as log:
        subprocess.run(
            [sys.executable, *command.split(), "--randomization", folder / "ranges.toml",
             "--ckpt-dir", folder],
            stdout=log, stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip


def report(
    root: Path, metric: str, design: NDArray[np.int64], scores: NDArray[np.float64], noise: float
) -> None:
    """Print what each part is worth in this metric, and the error of that."""
    signs = np.column_stack([np.ones(len(design)), 2 * design - 1])
    worth, *_ = np.linalg.lstsq(signs, scores, rcond=None)
    free = len(design) - signs.shape[1]
    rest = scores - signs @ worth
    deviation = float(np.sqrt(rest @ rest / free)) if free >= 4 else noise
    line = {
        "benchmark": "world_parts",
        "version": __version__,
        "root": root.name,
        "metric": metric,
        "mean": round(float(scores.mean()), 4),
        "best": round(float(scores.max()), 4),
        "worth": {name: round(2 * w, 4) for name, w in zip(PARTS, worth[1:], strict=True)},
        "error": round(deviation / np.sqrt(3), 4),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
