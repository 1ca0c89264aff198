"""What this process may use of the machine."""

import os
import shutil
from pathlib import Path


def cpu_cores() -> int:
    """How many cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_bytes(place: Path) -> int:
    """How many bytes are free where a file or folder is, or is to be; raises OSError."""
    absolute = place.absolute()
    there = next(one for one in (absolute, *absolute.parents) if one.exists())
    return shutil.disk_usage(there).free
