"""Processes that train together, where they can't meet."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed import HashStore  # type: ignore[attr-defined]

from endoforge.backends import group
from endoforge.backends.group import Group, joined, warn_of_idle
from endoforge.core.errors import UserError


def test_processes_that_cant_reach_each_other_hear_of_interfaces(monkeypatch):
    """As gloo says it where a host's own name is a loopback address."""

    def fail(*_args, **_more):
        raise RuntimeError(
            "Gloo connectFullMesh failed with [/w/pair.cc:152] timed out connecting: SO_ERROR: "
            "Connection refused, remote=[127.0.0.1]:25495"
        )

    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(group, "rendezvous", lambda *_args, **_more: iter([(HashStore(), 0, 1)]))
    monkeypatch.setattr(dist, "init_process_group", fail)
    with (
        pytest.raises(
            UserError, match=r"can't reach the other .*Connection refused.*SOCKET_IFNAME"
        ),
        joined(torch.device("cpu")),
    ):
        pass


@pytest.mark.parametrize(
    ("rank", "batch_size", "said"),
    [
        (0, 64, []),
        (0, 63, ["1 of 4 processes have nothing to do"]),
        (0, 16, ["3 of 4 processes have nothing to do"]),
        (1, 16, []),
    ],
)
def test_processes_without_work_are_told_of_once(caplog, rank, batch_size, said):
    warn_of_idle(Group(rank, 4), batch_size)
    assert [line.split(":")[0] for line in caplog.messages] == said
    assert all(line.endswith("give --batch-size 64") for line in caplog.messages)
