import numpy as np

from endoforge.sim import shell
from endoforge.sim.centreline import NUM_ALONG
from endoforge.sim.wall import NUM_AROUND


def test_slopes_are_rounded_one_by_one(monkeypatch):
    """OpenCV's magnitude rounds otherwise where its result begins elsewhere in memory, so that a
    seed had one wall this time and another the next."""
    rng = np.random.default_rng(0)
    radius = rng.uniform(15, 16, (NUM_ALONG, NUM_AROUND)).astype(np.float32)
    monkeypatch.setattr(shell, "_steepest_nearby", lambda _, slope: slope)
    wall = shell._wall_table(radius)
    _, safe, along, around = wall.T
    slope = np.clip(np.sqrt(along * along + around * around), 0.25, shell.STEEPEST)
    assert np.array_equal(safe, 1 / np.sqrt(1 + slope * slope))
