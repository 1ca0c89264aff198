"""What a step frees, the next one gets back without the system."""

import ctypes
import platform
import subprocess
import sys

import pytest

from endoforge.backends import heap

STEPS = """
import resource
from endoforge.backends.heap import keep_freed_memory

def step():
    blocks = [bytearray(1 << 24) for _ in range(3)]

{keep}
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_fetched(keep):
    ran = subprocess.run(
        [sys.executable, "-c", STEPS.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_memory_of_a_step_is_the_next_one_s():
    whole = 3 * 3 * (1 << 24) // 4096
    assert pages_fetched("keep_freed_memory()") < whole / 100
    assert pages_fetched("") > whole / 10, "glibc keeps it by itself: the function has no use"


def test_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("was opened"))
    heap.keep_freed_memory()
