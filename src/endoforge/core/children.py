"""What a process does at its start that another of ours works for."""

import multiprocessing
import os
import signal
import threading


def become_child() -> None:
    """Leave Ctrl-C to the parent, which closes us, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
