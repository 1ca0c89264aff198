"""The Ray cluster of a job: connected to or started, kept quiet, and left again."""

import contextlib
import importlib
import io
import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from endoforge.core.errors import UserError
from endoforge.core.packages import packages_of
from endoforge.core.signals import held_interrupts

log = logging.getLogger(__name__)

ANSWER_S = 5
"""Seconds within which a cluster must answer at its address; Ray itself waits for minutes."""
STORE_BYTES = 100 * 2**20
"""Memory for values that workers share, of which there are none: Ray takes no less than 75 MB."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # Else Ray warns that it will once stop hiding GPUs from workers that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
OF_OUR_OWN = {
    # So long agents of a Ray whose driver was killed try to tell it; else a minute.
    "RAY_gcs_server_request_timeout_seconds": "20",
}
BOUNDED = {
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": str(ANSWER_S),
    "RAY_gcs_rpc_server_connect_timeout_s": "1",
}
"""How often, and how long each time, Ray tries to reach a cluster."""


@contextlib.contextmanager
def cluster(address: str, num_cpus: int) -> Iterator[Any]:
    """Connect to the Ray cluster at `address`, and yield the module `ray`; leave it in the end.

    `local` starts one of this machine, with so many CPUs for its workers, and ends it. Whatever
    Ray says meanwhile goes to the debug log. Raises UserError if there is no Ray, or no cluster
    that this process can join.
    """
    if address not in ("local", "auto"):
        _refuse_silence(address)
    settings = QUIET | (OF_OUR_OWN if address == "local" else BOUNDED)
    before = dict(os.environ)
    os.environ.update(settings)
    with hushed():
        try:
            with held_interrupts():  # half-started, Ray would leave processes behind
                ray = _ray()
                _join(ray, address, num_cpus)
        finally:
            for name in settings:
                os.environ.pop(name, None)
                if name in before:
                    os.environ[name] = before[name]
        try:
            yield ray
        finally:
            # It prints here what it has kept of its threads' lines, since they say the same.
            with held_interrupts(), contextlib.redirect_stdout(io.StringIO()):
                ray.shutdown()


def _ray() -> Any:
    with packages_of("ray", "--ray"):
        return importlib.import_module("ray")


def _refuse_silence(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except OSError as error:
        raise UserError(
            f"--ray {address}: nothing answers there ({error.strerror or error}); give the "
            "address of a cluster's head, as `ray start --head` prints it, or local"
        ) from error


def _join(ray: Any, address: str, num_cpus: int) -> None:
    if ray.is_initialized():
        raise UserError("--ray: this process is connected to Ray already; ray.shutdown() first")
    mine = {"num_cpus": num_cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        with _unseen_stderr():
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **(mine if address == "local" else {}),
            )
    except (Exception, SystemExit) as error:
        ray.shutdown()
        log.debug("ray.init", exc_info=True)
        raise UserError(f"--ray {address}: {_why_not(error)}") from error


def _why_not(error: BaseException) -> str:
    """Ray's paragraphs on what is wrong, as a line that says the mend."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        # "The cluster was started with: Ray: 2.60.0 Python: 3.12.1 This process on node 10.0.0.1
        # was started with: Ray: 2.60.0 Python: 3.11.7"
        _, _, versions = text.partition("The cluster was started with:")
        return f"another Python or Ray than the cluster's ({versions.strip()}); install the same"
    if isinstance(error, ConnectionError):
        return (
            "no Ray cluster there; give the address of its head, as `ray start --head` prints it, "
            "or local"
        )
    return f"Ray can't be joined from here ({text[:200]}); run the command on a node of the cluster"


@contextlib.contextmanager
def _unseen_stderr() -> Iterator[None]:
    """What Ray's core writes to the process's stderr while it connects goes to the debug log."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none, as after `2>&-`
        yield
        return
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            heard.seek(0)
            for line in heard.read().decode(errors="replace").splitlines():
                log.debug("ray: %s", line)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """What Ray's threads print goes to the debug log; for what puts another stdout in place, too.

    As a bar does, so that lines stand above it.
    """
    quiet: Any = _Hush(sys.stdout)
    with contextlib.redirect_stdout(quiet):
        yield


class _Hush:
    """A stream that Ray's threads don't reach."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray"):
            if text.strip():
                log.debug("ray: %s", text.strip())
            return len(text)
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
