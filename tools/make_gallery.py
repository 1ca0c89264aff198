"""Renews the pictures of docs/gallery.md: `make gallery`. Names of sheets renew only those."""

import sys
import time
from pathlib import Path

from gallery.layout import save
from gallery.sheets import SHEETS
from gallery.studio import Studio

OUT = Path(__file__).parents[1] / "docs" / "images" / "gallery"
MOST_BYTES = 6_500_000
TILES = {"segments": (448, 252), "polyps": (400, 225)}
"""(width, height) in pixels, where it isn't the usual one."""


def main(names: list[str]) -> None:
    """Write the named sheets, or all, under docs/images/gallery/."""
    for name in names or SHEETS:
        started = time.perf_counter()
        path = OUT / f"{name}.jpg"
        save(SHEETS[name](Studio(TILES.get(name, (320, 180)))), path)
        print(
            f"{path.name}: {path.stat().st_size // 1000} kB, {time.perf_counter() - started:.0f} s"
        )
    total = sum(path.stat().st_size for path in OUT.glob("*.jpg"))
    print(f"{total // 1000} kB in all")
    if total >= MOST_BYTES:
        sys.exit(f"that is more than {MOST_BYTES // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
