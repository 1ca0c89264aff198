"""Lets the processes that torchrun starts train together."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from endoforge.backends import ghost_norm
from endoforge.backends.machine_board import MachineBoard
from endoforge.backends.roll_call import store_of_living
from endoforge.core.errors import UserError
from endoforge.core.noticeboard import Noticeboard
from endoforge.data.loader import Shard

log = logging.getLogger(__name__)

Value = TypeVar("Value")

LONGEST_WAIT = timedelta(hours=6)
"""How long to wait for a process that loads or measures; one that died is noticed at once."""

TALKING = "lost", "one of them ended; its own message says why"
MEETING = (
    "can't reach",
    "one of them ended, or their hosts don't reach each other; of several network interfaces "
    "GLOO_SOCKET_IFNAME, and for GPUs NCCL_SOCKET_IFNAME, name the one to use",
)
"""What may go wrong with other processes, and its mend."""


class Group:
    """One of `size` processes that train together; a process alone is a group of one.

    All of them must call its methods in the same order. Where another one has died, these raise
    UserError.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        control: dist.ProcessGroup | None = None,
        board: Noticeboard | None = None,
    ) -> None:
        self.rank = rank
        self.size = size
        self.board = board or Noticeboard()
        """Notes of the processes of this machine."""
        self._control = control
        self._ballot = torch.zeros(1)
        self._poll: dist.Work | None = None

    @property
    def is_main(self) -> bool:
        """Is this the one process that writes?"""
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        """The part of each batch that is this process's: whole groups of ghost norms."""
        return Shard(self.rank, self.size, ghost_norm.GHOST_ROWS)

    def add_up(self, tensor: Tensor) -> Tensor:
        """Change `tensor` in place to its sum over the processes, each with its own; return it."""
        if self.size > 1:
            with named_errors():
                dist.all_reduce(tensor)
        return tensor

    def from_main(self, value: Value) -> Value:
        """Give the main process's `value`, whatever the others give."""
        if self.size == 1:
            return value
        box = [value]
        with named_errors():
            dist.broadcast_object_list(box, src=0, group=self._control)
        return box[0]

    def gather(self, value: Value) -> list[Value]:
        """Give the values of all processes, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values = [value] * self.size
        with named_errors():
            dist.all_gather_object(values, value, group=self._control)
        return values

    def vote(self, wish: bool) -> bool:
        """Say if anyone wished it. Of several processes, all hear of a wish at the same later call.

        The votes of one call are counted until the next, while the device works.
        """
        if self.size == 1:
            return wish
        with named_errors():
            if self._poll is not None:
                self._poll.wait()
            wished = self._poll is not None and self._ballot.item() > 0
            self._ballot = torch.tensor([float(wish)])
            self._poll = dist.all_reduce(self._ballot, group=self._control, async_op=True)
        return wished


def warn_of_idle(group: Group, batch_size: int) -> None:
    """Tell the user if batches of so many rows leave some of the processes without work."""
    parts = len(ghost_norm.group_sizes(batch_size))
    if parts < group.size and group.is_main:
        log.warning(
            "%d of %d processes have nothing to do: they share a batch in parts of %d frames or "
            "more, so for all of them give --batch-size %d",
            group.size - parts, group.size, ghost_norm.GHOST_ROWS,
            group.size * ghost_norm.GHOST_ROWS,
        )  # fmt: skip


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """Join the group that torchrun made this process a part of, or be one alone, on `device`."""
    if not dist.is_torchelastic_launched():
        yield Group()
        return
    backend = "gloo"
    if device.type != "cpu":
        torch.accelerator.set_device_index(device)
        backend = f"cpu:gloo,{device.type}:{dist.get_default_backend_for_device(device)}"
    with named_errors(MEETING):
        shared, rank, size = next(rendezvous("env://", timeout=LONGEST_WAIT))
        store = store_of_living(shared, rank, size, longest=LONGEST_WAIT)
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=LONGEST_WAIT
        )
        # Talk of the program goes past the accelerator, whose queue it would have to wait for.
        control = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
    yield Group(rank, size, control, _board(store))
    # After an error, to take leave of the others could wait for the dead.
    dist.destroy_process_group()


def _board(store: Store) -> Noticeboard:
    """The noticeboard of those processes that torchrun started on this machine."""
    machine = PrefixStore(f"machine {os.environ['GROUP_RANK']}", store)
    return MachineBoard(machine, int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]))


@contextmanager
def named_errors(trouble: tuple[str, str] = TALKING) -> Iterator[None]:
    """Raise UserError where talk with other processes broke off: the trouble and its mend."""
    try:
        yield
    except RuntimeError as error:
        # After the place in the library's source, and before its advice.
        reason = re.sub(r"^\[[^\]]*\] ", "", str(error)).splitlines()[0].split(". ")[0]
        what, mend = trouble
        raise UserError(
            f"{what} the other processes of this training ({reason}): {mend}"
        ) from error
