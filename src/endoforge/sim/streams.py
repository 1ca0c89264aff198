"""Random streams: one for each part of a scene, all from the scene's seed."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Stream(IntEnum):
    """What a random stream is for. The numbers are part of what a seed means: never reuse one."""

    ANATOMY = 1
    POLYPS = 2
    APPEARANCE = 3
    CAMERA = 4
    SENSOR = 5
    TEXTURE = 6
    NUISANCES = 7
    SCREEN = 8
    NOISE = 9
    DEPOSITS = 10
    TONE = 11
    VIEWS = 12
    SURFACE = 13
    POLYP_SURFACE = 14
    PICTURE = 15
    DRESS = 16
    DISPLAY = 60
    LAYOUT = 61
    INSETS = 62
    RECORDING = 63
    STILLS = 64
    INSTRUMENTS = 70
    TREATMENT = 71
    TOOLS = 72
    CAP = 73
    JET = 74
    SHAFT = 75
    RETROFLEXION = 76
    FOLDS = 30
    LOOKALIKES = 31
    RESIDUE = 32
    RELIEF = 33
    CECUM = 34
    TISSUE = 40
    TISSUE_MAP = 41
    LESIONS = 42
    SURFACES = 43
    LIGHT = 50
    PROCESSOR = 51
    COLOUR_MODE = 52
    LENS = 53
    POLYP_SHAPES = 20
    CLUSTERS = 21


def stream(seed: int, part: Stream) -> np.random.Generator:
    """Make the generator of one part of the scene with this seed (any integer from 0)."""
    return np.random.default_rng([seed, int(part)])


def run_seed(base_seed: int, run: int) -> int:
    """The seed of run `run` (from 0) of the data set that `datagen --seed base_seed` makes.

    It is 0 to 2^64 - 1 and follows from the two numbers alone; ValueError if one is below 0.
    """
    return int(np.random.SeedSequence([base_seed, run]).generate_state(1, np.uint64)[0])


def training_seed(base_seed: int, run: int) -> int:
    """The seed of run `run` that a training with the seed `base_seed` learns from.

    It comes from other streams than `run_seed`: it is no run that `datagen` records.
    """
    return _far_seed(base_seed, 1, run)


def validation_seed(run: int) -> int:
    """The seed of run `run` that trainings are validated on, the same for all of them."""
    return _far_seed(0, 2, run)


def _far_seed(base_seed: int, purpose: int, run: int) -> int:
    sequence = np.random.SeedSequence(base_seed, spawn_key=(purpose, run))
    return int(sequence.generate_state(1, np.uint64)[0])


def smooth_noise(rng: np.random.Generator, count: int, correlation: float) -> NDArray[np.float64]:
    """Draw noise (count,) of mean 0 and variance about 1 that varies over `correlation` samples.

    White noise under a Gaussian low-pass, made and filtered on three times the length so that
    the two ends don't meet.
    """
    white = np.fft.rfft(rng.normal(size=3 * count))
    frequency = np.fft.rfftfreq(3 * count)
    low_pass = np.exp(-0.5 * (2 * np.pi * frequency * correlation / 2) ** 2)
    smooth = np.fft.irfft(white * low_pass, 3 * count)
    middle: NDArray[np.float64] = smooth[count : 2 * count] / max(float(smooth.std()), 1e-12)
    return middle
