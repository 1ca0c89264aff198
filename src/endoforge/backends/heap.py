"""Keeps the memory that a training on a CPU frees, for each step asks for as much again."""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""As <malloc.h> numbers them for `mallopt`."""
MOST_KEPT, MOST_FROM_HEAP = 2**31 - 1, 2**25
"""The largest that glibc takes of each, in bytes: a C int, and the 32 MiB of its manual page."""


def keep_freed_memory() -> None:
    """Have the process keep what it frees, and take blocks of up to 32 MiB from that.

    Else glibc gives the end of its heap back to the system, which clears every page of it again
    when the next step touches it: a tenth of a step's time. The process stays as large as its
    largest step made it. Where the C library is another one, nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(TRIM_THRESHOLD, MOST_KEPT)
    library.mallopt(MMAP_THRESHOLD, MOST_FROM_HEAP)
