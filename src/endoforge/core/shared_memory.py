"""Memory that processes share, whose room is taken when it is made.

A process that first writes to a page for which a file system has no room left dies of SIGBUS,
without a word.
"""

import mmap
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.core.errors import UserError

Address = tuple[int, int, int]
"""A process, its descriptor of memory, and the memory's bytes."""


class SharedMemory:
    """Zero bytes that the process which makes them shares with those that it starts with them.

    Where it `is_reachable`, others find it at its `address` as long as its maker has it, and keep
    it afterwards.
    """

    _memory: Any
    _descriptor = -1
    is_reachable = hasattr(os, "posix_fallocate") and Path("/proc/self/fd").is_dir()

    def __init__(self, num_bytes: int, what: str) -> None:
        """Raises UserError, which says `what` they are for, where there is no room."""
        if hasattr(os, "posix_fallocate"):
            self._map(_take_room(num_bytes, what), num_bytes)
        else:  # no room can be taken there, or it is that of the system's page file
            self._size = num_bytes
            self._memory = multiprocessing.get_context("spawn").RawArray("B", num_bytes)

    @property
    def bytes(self) -> NDArray[np.uint8]:
        """The memory itself, (num_bytes,) uint8; what one process writes all others see."""
        return np.frombuffer(self._memory, np.uint8)

    @property
    def address(self) -> Address:
        """Where another process finds it."""
        return os.getpid(), self._descriptor, self._size

    @classmethod
    def at(cls, address: Address) -> "SharedMemory":
        """The memory of another process of this user and machine; UserError if it can't be had."""
        process, descriptor, size = address
        found = cls.__new__(cls)
        try:
            found._map(os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR), size)
        except OSError as error:
            raise UserError(
                f"can't reach the shared memory of process {process} ({error.strerror}): processes "
                "that train together must be those of one user in one container"
            ) from error
        return found

    def __getstate__(self) -> dict[str, Any]:
        """For a process that is being started, and for no other use."""
        if self._descriptor < 0:
            return {"memory": self._memory}
        from multiprocessing.reduction import DupFd

        return {"size": self._size, "descriptor": DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "memory" in state:
            self._memory = state["memory"]
            self._size = len(self._memory)
        else:
            self._map(state["descriptor"].detach(), state["size"])

    def _map(self, descriptor: int, size: int) -> None:
        self._size, self._descriptor = size, descriptor
        self._memory = mmap.mmap(descriptor, size)

    def __del__(self) -> None:
        """The memory itself goes with the last view of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _take_room(num_bytes: int, what: str) -> int:
    """The descriptor of a file without a name: in memory, else in the temporary folder."""
    refused = []
    for folder in dict.fromkeys(("/dev/shm", tempfile.gettempdir())):
        if not Path(folder).is_dir():
            continue
        try:
            with tempfile.TemporaryFile(prefix="endoforge-", dir=folder) as file:
                os.posix_fallocate(file.fileno(), 0, num_bytes)
                return os.dup(file.fileno())
        except OSError as error:
            refused.append(f"{folder}: {error.strerror or error}")
    raise UserError(
        f"no room for {num_bytes / 1e6:.0f} MB of shared memory {what} ({'; '.join(refused)}): "
        "make room in one of these folders (in a container, --shm-size), or set TMPDIR to a larger "
        "one, then run the same command again"
    )
