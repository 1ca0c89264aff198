"""`sim-view`: starts the session and the server, says where to look, and ends both."""

import contextlib
import errno
import logging
import os
import platform
import socket
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import cv2
import uvicorn

from endoforge.core.errors import UserError
from endoforge.core.outputs import check_output_folder
from endoforge.core.text import counted
from endoforge.view.config import DEFAULT_PORT, SimViewConfig
from endoforge.view.labelling.label_api import LabelTab
from endoforge.view.live import MOST_MESSAGE, Hub
from endoforge.view.live_recording import Recording
from endoforge.view.security import is_loopback, new_token, watch_token
from endoforge.view.server import make_app
from endoforge.view.session import Session
from endoforge.view.source_recording import SourceRecording
from endoforge.view.training.api import TrainingTab

log = logging.getLogger(__name__)

TRIES = 50
"""Ports that are tried, from the usual one on."""
LAST_LOOK_S = 1.0
"""Seconds for which the end of a data run is shown."""
JOB_ENDS_S = 8.0
"""Seconds for a training that is stopped with the server to save itself."""
UNSPECIFIED = ("0.0.0.0", "::", "")
"""Hosts to listen on that are no address to open."""


@dataclass
class ViewReport:
    """What a session has recorded: of --mode datagen, its run."""

    root: Path
    run: str | None = None
    frames: int = 0

    def lines(self) -> list[str]:
        """The report for people; no line if no data run was recorded."""
        if self.run is None:
            return []
        return [f"{self.root}: 1 run, {counted(self.frames, 'frame')} ({self.run})"]


def run_view(config: SimViewConfig, seed: int) -> ViewReport:
    """Serve until Ctrl-C, or until the data run of --mode datagen is done.

    Raises UserError if the port is taken, the runs can't be written, or the renderer or the device
    isn't there.
    """
    check_output_folder("--output-root", config.output_root)
    listening = listen(config)
    port = listening.getsockname()[1]
    token = None if is_loopback(config.host) else new_token()
    with contextlib.closing(listening):
        session = Session(config, seed)
        _say(config, port, token)
        return serve(session, listening, token)


def serve(session: Session, listening: socket.socket, token: str | None) -> ViewReport:
    """Serve a session on a socket until its end.

    Raises KeyboardInterrupt after Ctrl-C, and the error that ended the session, if one did.
    """
    config = session.config
    training, labels = TrainingTab(config), LabelTab(config)
    port = listening.getsockname()[1]
    app = make_app(Hub(session), training, labels, host=config.host, port=port, token=token)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="websockets-sansio",
            ws_max_size=MOST_MESSAGE,
            ws_ping_interval=10,  # finds viewers that are gone without a word
            ws_ping_timeout=10,
            ws_per_message_deflate=False,  # JPEGs don't get smaller
            timeout_graceful_shutdown=1,  # viewers never leave by themselves
            server_header=False,
        )
    )
    ended: list[Exception | None] = []

    def end(error: Exception | None) -> None:
        ended.append(error)
        if error is None:
            time.sleep(LAST_LOOK_S)
        server.should_exit = True

    session.on_end = end
    cv2.setNumThreads(1)  # the renderer wants the cores
    try:
        session.start()
        training.watch.start()
        server.run(sockets=[listening])
    finally:
        session.close()
        training.watch.end()
        training.jobs.close(JOB_ENDS_S)
        labels.learning.close(JOB_ENDS_S)
    if not ended:
        raise KeyboardInterrupt  # the server may have kept it to itself
    if ended[0] is not None:
        raise ended[0]
    return _report(config, session.last_recording)


def listen(config: SimViewConfig) -> socket.socket:
    """A socket that listens where the flags say; raises UserError if none can."""
    wanted = DEFAULT_PORT if config.port is None else config.port
    tries = range(wanted, wanted + (TRIES if config.port is None else 1))
    for port in tries:
        try:
            return _bound(config.host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(
                    f"--host {config.host} --port {port}: can't listen there "
                    f"({error.strerror or error}); try --host 127.0.0.1"
                ) from error
    if config.port is None:
        raise UserError(f"ports {tries[0]} to {tries[-1]} are taken: give --port 0 for any other")
    raise UserError(f"--port {config.port} is taken: give another one, or none for the next free")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def address_of(host: str, port: int, token: str | None) -> str:
    """The address to open in a browser."""
    name = addresses()[0] if host in UNSPECIFIED else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def addresses() -> list[str]:
    """What other machines may know this one by: the address of its network, and its name."""
    name = socket.gethostname()
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("203.0.113.1", 9))  # sends nothing: it only asks for the way there
        except OSError:  # no network
            return [name]
        return [str(probe.getsockname()[0]), name]


def _say(config: SimViewConfig, port: int, token: str | None) -> None:
    address = address_of(config.host, port, token)
    print(f"sim-view: open {address}   (Ctrl-C ends it)", flush=True)
    if token is not None:
        for name in addresses()[1:] if config.host in UNSPECIFIED else []:
            print(f"  or {address_of(name, port, token)}", flush=True)
        print(f"  to watch only: {address_of(config.host, port, watch_token(token))}")
        print(
            "  whoever has the first address can watch, steer, and start jobs; the connection isn't"
        )
        print(
            "  encrypted: beyond a network that you trust, leave --host out, and use "
            f"ssh -L {port}:127.0.0.1:{port}",
            flush=True,
        )
    elif "SSH_CONNECTION" in os.environ:
        print(f"  over SSH: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, then open it at home")
    if not config.headless and _has_screen():
        webbrowser.open(address)


def _has_screen() -> bool:
    """Whether a browser could show anything here."""
    if "SSH_CONNECTION" in os.environ:
        return False
    by_variable = platform.system() == "Linux"
    return not by_variable or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


def _report(config: SimViewConfig, recording: Recording | SourceRecording | None) -> ViewReport:
    report = ViewReport(config.root)
    if recording is not None and recording.data_run:
        report.run, report.frames = recording.run_name, recording.frames
    return report
