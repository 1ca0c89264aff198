"""Renews the README's picture: what the packaged weights find in frames that no training saw."""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.evaluate.config import EvalConfig
from endoforge.report.drawn_frames import detection_grid
from endoforge.report.eval_command import run_eval

OUT = Path(__file__).parents[1] / "docs" / "images" / "detections.jpg"
SEED, RUNS, FRAMES_A_RUN = 23, 6, 12
ROWS, COLUMNS, OF = 2, 3, 24
"""The sheet, and the number of evenly spread frames of which it shows every fourth."""
GAP_PX = 6


def main() -> None:
    """Write docs/images/detections.jpg."""
    with tempfile.TemporaryDirectory() as folder:
        generate(
            DatagenConfig(
                seed=SEED,
                runs=RUNS,
                max_frames=FRAMES_A_RUN,
                resolution="640x512",
                output_root=f"{folder}/frames",
                prune_empty=True,
                prune_output_root=f"{folder}/pruned",
            )
        )
        config = EvalConfig(checkpoint="packaged", input_root=f"{folder}/pruned")
        pictures = detection_grid(run_eval(config), OF)
    step = len(pictures) // (ROWS * COLUMNS)
    chosen = pictures[step // 2 :: step][: ROWS * COLUMNS]
    tiles = [cv2.imdecode(np.frombuffer(p.jpeg, np.uint8), cv2.IMREAD_COLOR) for p in chosen]
    tiles = [cv2.copyMakeBorder(tile, *[GAP_PX // 2] * 4, cv2.BORDER_CONSTANT) for tile in tiles]
    rows = [np.hstack(tiles[row * COLUMNS :][:COLUMNS]) for row in range(ROWS)]
    sheet = cv2.resize(np.vstack(rows), None, fx=0.62, fy=0.62, interpolation=cv2.INTER_AREA)
    OUT.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(OUT), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{OUT}: {OUT.stat().st_size // 1024} kB")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
