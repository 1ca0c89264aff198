"""Runs that processes make ahead."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from endoforge.backends.machine_board import MachineBoard
from endoforge.core.errors import UserError
from endoforge.sim.bakery import BEHIND, LOOKS, Bakery, Recipe
from endoforge.sim.streams import training_seed
from tests.plain_ranges import PLAIN

RECIPE = Recipe(7, PLAIN, (64, 64), 8)


@pytest.fixture
def bakery() -> Iterator[Bakery]:
    bakery = Bakery(RECIPE, workers=1)
    yield bakery
    bakery.close()


def test_runs_come_in_order_as_the_recipe_makes_them(bakery: Bakery) -> None:
    """Runs of two colons, beginning within the first, then others from another number on."""
    for first, count in ((2, 5), (0, 1)):
        runs = bakery.runs(first)
        for number, footage in enumerate(islice(runs, count), start=first):
            expected = list(RECIPE.make(number // LOOKS))[number % LOOKS]
            assert footage.seed == expected.seed == training_seed(7, number)
            assert np.array_equal(footage.steps, expected.steps)
            assert np.array_equal(footage.kinds, expected.kinds)
            assert footage.arrays.keys() == expected.arrays.keys()
            for name, array in footage.arrays.items():
                assert array.dtype == expected.arrays[name].dtype
                assert np.array_equal(array, expected.arrays[name])
        runs.close()


@pytest.mark.skipif(not hasattr(os, "nice"), reason="no nice levels here")
def test_who_makes_runs_stands_back_for_who_uses_them(bakery: Bakery) -> None:
    own = os.nice(0)
    assert bakery._open().submit(os.nice, 0).result() == min(own + BEHIND, 19)


def test_two_processes_of_a_machine_make_runs_for_each_other() -> None:
    """As threads: each has memory of its own, and finds the other's."""
    store = HashStore()
    bakeries = [Bakery(RECIPE, 1, MachineBoard(store, number, 2)) for number in range(2)]
    seen: list[list[bytes]] = [[], []]

    def read(number: int) -> None:
        runs = bakeries[number].runs(2)
        for footage in islice(runs, 2 * LOOKS):
            seen[number].append(footage.arrays["wall"].tobytes())
        runs.close()

    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(read, range(2)))
    finally:
        for bakery in bakeries:
            bakery.close()
    expected = [footage for colon in range(3) for footage in RECIPE.make(colon)][2:]
    assert seen[0] == seen[1] == [run.arrays["wall"].tobytes() for run in expected[: 2 * LOOKS]]
    assert len({memory.address for memory in bakeries[0].memories}) == 2
    assert len(bakeries[1].memories) == 2


def test_it_opens_again_after_it_was_closed(bakery: Bakery) -> None:
    seeds = []
    for _ in range(2):
        runs = bakery.runs(3)
        seeds.append(next(runs).seed)
        runs.close()
        bakery.close()
    assert seeds == [training_seed(7, 3)] * 2


def test_a_worker_that_is_killed_is_told_of(bakery: Bakery) -> None:
    runs = bakery.runs(0)
    next(runs)
    assert bakery._pool is not None
    for process in bakery._pool._processes.values():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="was ended from outside"):
        list(islice(runs, 4))


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script, pids = tmp_path / "parent.py", tmp_path / "pids"
    script.write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from tests.sim.test_bakery import RECIPE, Bakery\n"
        "if __name__ == '__main__':\n"
        "    bakery = Bakery(RECIPE, workers=1)\n"
        "    next(bakery.runs(0))\n"
        f"    Path({str(pids)!r}).write_text(' '.join(map(str, bakery._pool._processes)))\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    parent = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": path})
    deadline = time.monotonic() + 600
    while not pids.exists() or not pids.read_text():
        assert time.monotonic() < deadline
        assert parent.poll() is None
        time.sleep(0.05)
    worker = int(pids.read_text())
    parent.kill()
    parent.wait()
    while _runs(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
