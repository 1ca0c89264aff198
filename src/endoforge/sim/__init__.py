"""The world: anatomy, polyps, appearance, optics, camera path, the render kernels, labels.

Lengths are millimetres, angles radians, and seeds decide everything: each part of a scene draws
from a random stream of its own (`streams`), so that a change in one leaves the others as they were.
"""
