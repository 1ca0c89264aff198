"""Where the seed of a job, or of a simulated world, comes from."""

import os
import time

from endoforge.core.checks import MAX_SEED
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.resume import seed_to_resume

POLYP_SEED = "POLYP_SEED"


def seed_of(config: DatagenConfig) -> int | None:
    """From the flag, POLYP_SEED, the runs to resume, or else the time; None: the manifest's.

    Raises UserError where that is no seed, or none can be chosen.
    """
    if config.from_manifest is not None:
        return None
    if config.seed is not None or POLYP_SEED in os.environ:
        return first_seed(config.seed)
    if config.resume:
        return seed_to_resume(config.output_root)
    if config.run_range is not None:
        raise UserError("--run-range: give --seed too, so that all parts are of one data set")
    return first_seed(None)


def first_seed(given: int | None) -> int:
    """From the flag, POLYP_SEED, or else the time; raises UserError where that is no seed."""
    if given is not None:
        return given
    text = os.environ.get(POLYP_SEED)
    if text is None:
        return time.time_ns() // 1_000_000
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise UserError(f"{POLYP_SEED}={text}: must be a whole number between 0 and 2^64 - 1")
    return int(text)
