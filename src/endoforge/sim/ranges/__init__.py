"""What differs from run to run, one module for each part of the world.

Each has a dataclass of ranges, from which every run is drawn anew; `Randomization` holds them all.
"""
