"""Processes that others of ours work for: what a terminal sends to all is the parent's alone."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import multiprocessing, signal
from concurrent.futures import ProcessPoolExecutor
from endoforge.core.children import become_child, starting_children

SENT = {signal.SIGINT, signal.SIGHUP}

def states():
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    ignored = {number for number in SENT if signal.getsignal(number) == signal.SIG_IGN}
    return len(blocked & SENT), len(ignored)

def at_start_and_later():
    at_start = states()
    become_child()
    return at_start, states()

if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with starting_children():
            future = pool.submit(at_start_and_later)
        print(*future.result(), states())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no masks of signals")
def test_it_gets_none_from_its_first_moment_on(tmp_path: Path) -> None:
    """Blocked while it starts, then ignored; the parent gets them all the while."""
    script = tmp_path / "script.py"
    script.write_text(CODE)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.stdout == "(2, 0) (0, 2) (0, 0)\n", done.stderr


END = """
import atexit, os, signal
from endoforge.core.children import end_by_exception

end_by_exception()
again = lambda: os.kill(os.getpid(), signal.SIGTERM)
atexit.register(again)
try:
    again()
finally:
    again()
    print("cleaned up")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="ends processes otherwise")
def test_a_second_sigterm_is_no_traceback() -> None:
    """As when a renderer is closed twice: while it cleans up, and while Python ends."""
    done = subprocess.run(
        [sys.executable, "-c", END], capture_output=True, text=True, check=False, timeout=600
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "cleaned up\n", "")
