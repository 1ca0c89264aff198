"""The plain world, for tests that mean it, and for those to which the world doesn't matter."""

from endoforge.sim.randomization import load_randomization

PLAIN = load_randomization("plain")
