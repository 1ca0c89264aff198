"""The WebSocket of viewers: each gets the newest frame as fast as it takes them."""

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json
from endoforge.view.encoding import Packet
from endoforge.view.rates import Rate
from endoforge.view.readings import state_message
from endoforge.view.session import Session
from endoforge.view.steering import Steer

MOST_MESSAGE = 4096
"""Bytes of a client's message; a longer one ends the connection."""
TOO_LONG = 1009
IN_FLIGHT = 2
"""Frames on their way to a viewer that it hasn't shown yet."""
STATE_EVERY_S, STATE_AT_ONCE_S = 0.25, 0.1
"""Between two state messages as a rule; and between two that a command brought about."""
SILENT_S = 1.0
"""A viewer that steers and says nothing for so long has let go."""
MOST_DRAG_PX = 4000.0


class Viewer:
    """One connection."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.shown = Rate()
        self.skipped = 0
        self.wake = asyncio.Event()
        self.texts: deque[dict[str, Any]] = deque(maxlen=100)
        self.state_wanted = True
        self.steered_at: float | None = None
        self._newest: Packet | None = None
        self._on_their_way: deque[int] = deque()
        self._last_shown = 0

    def offer(self, packet: Packet) -> None:
        """A new frame, in the place of one that it hasn't been sent."""
        if self._newest is not None and self._newest.frame != packet.frame:
            self.skipped += 1
        self._newest = packet
        self.wake.set()

    def next_packet(self) -> Packet | None:
        """What to send now; None if there is nothing new, or it has enough to show."""
        if self._newest is None or len(self._on_their_way) >= IN_FLIGHT:
            return None
        packet, self._newest = self._newest, None
        self._on_their_way.append(packet.frame)
        return packet

    def acknowledge(self, frame: int) -> None:
        """It has shown a frame; one that it gets again, because of its boxes, counts once."""
        if self._on_their_way and frame >= self._on_their_way[0]:
            shown = self._on_their_way.popleft()
            if shown > self._last_shown:
                self._last_shown = shown
                self.shown.add()
            self.wake.set()

    def tell(self, message: dict[str, Any]) -> None:
        """A text, in order."""
        self.texts.append(message)
        self.wake.set()


class Hub:
    """All viewers of a session. But for the session's threads, all happens in the event loop."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._viewers: set[Viewer] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """From now on what the session gives goes to viewers; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self.session.on_packet = lambda packet: self._soon(self._publish, packet)
        self.session.on_change = lambda: self._soon(self._changed)
        self.session.events.listen(lambda event: self._soon(self._tell, event))

    def close(self) -> None:
        """No more."""
        self.session.events.listen(None)
        self._loop = None

    async def serve(self, socket: WebSocket) -> None:
        """One viewer, from its connection to its end."""
        await socket.accept()
        viewer = Viewer(socket)
        viewer.texts.extend([self.session.hello(), *self.session.events.last()])
        self._viewers.add(viewer)
        self.session.watch(len(self._viewers))
        sending = asyncio.create_task(self._send(viewer))
        try:
            await self._receive(viewer)
        except (WebSocketDisconnect, RuntimeError):
            pass  # gone, perhaps in the middle of a message
        finally:
            self._viewers.discard(viewer)
            self.session.watch(len(self._viewers))
            self.session.let_go(viewer)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending
            if socket.application_state == WebSocketState.CONNECTED:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await socket.close()

    async def _receive(self, viewer: Viewer) -> None:
        while True:
            message = await viewer.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None or len(text.encode()) > MOST_MESSAGE:
                await viewer.socket.close(TOO_LONG)
                return
            try:
                self._handle(viewer, _parsed(text))
            except UserError as error:
                viewer.tell({"type": "event", "level": "warning", "text": str(error)})

    def _handle(self, viewer: Viewer, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ack":
            frame = message.get("frame")
            if isinstance(frame, int):
                viewer.acknowledge(frame)
        elif kind == "command":
            self.session.command(str(message.get("name")), message.get("value"))
        elif kind == "steer":
            self._steer(viewer, message)
        elif kind == "look":
            self.session.look(_pixels(message, "dx"), _pixels(message, "dy"))
        else:
            raise UserError(f"no message of type {str(kind)[:40]!r}")

    def _steer(self, viewer: Viewer, message: dict[str, Any]) -> None:
        try:
            steer = Steer.read(message)
        except ValueError as error:
            raise UserError(str(error)) from error
        viewer.steered_at = time.monotonic() if steer else None
        viewer.wake.set()
        self.session.steer(viewer, steer)

    async def _send(self, viewer: Viewer) -> None:
        socket, last_state, last_wanted = viewer.socket, 0.0, 0.0
        while True:
            now = time.monotonic()
            self._let_go_of_the_silent(viewer, now)
            while viewer.texts:
                await socket.send_text(json.dumps(viewer.texts.popleft()))
            wanted = viewer.state_wanted and now - last_wanted >= STATE_AT_ONCE_S
            if wanted or now - last_state >= STATE_EVERY_S:
                last_wanted = now if viewer.state_wanted else last_wanted
                last_state, viewer.state_wanted = now, False
                await socket.send_text(json.dumps(self._state(viewer)))
            if (packet := viewer.next_packet()) is not None:
                await socket.send_bytes(packet.data)
                continue
            due = last_state + STATE_EVERY_S
            if viewer.state_wanted:
                due = min(due, last_wanted + STATE_AT_ONCE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(viewer.wake.wait(), max(due - time.monotonic(), 0.001))
            viewer.wake.clear()

    def _state(self, viewer: Viewer) -> dict[str, Any]:
        state = state_message(self.session, len(self._viewers))
        state["client"] = {"shown_hz": round(viewer.shown.hz, 1), "skipped": viewer.skipped}
        return state

    def _let_go_of_the_silent(self, viewer: Viewer, now: float) -> None:
        if viewer.steered_at is not None and now - viewer.steered_at > SILENT_S:
            viewer.steered_at = None
            self.session.let_go(viewer)

    def _soon(self, do: Any, *values: Any) -> None:
        """From any thread: do it in the event loop, unless that has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(do, *values)

    def _publish(self, packet: Packet) -> None:
        for viewer in self._viewers:
            viewer.offer(packet)

    def _changed(self) -> None:
        for viewer in self._viewers:
            viewer.state_wanted = True
            viewer.wake.set()

    def _tell(self, event: dict[str, Any]) -> None:
        for viewer in self._viewers:
            viewer.tell(event)


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = parse_json(text)
    except ValueError as error:
        raise UserError("a message that isn't JSON") from error
    if not isinstance(message, dict):
        raise UserError("a message that is no JSON object")
    return message


def _pixels(message: dict[str, Any], name: str) -> float:
    value = message.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"look: {name} must be a number of pixels")
    if not abs(value) <= MOST_DRAG_PX:
        raise UserError(f"look: {name} must be within {MOST_DRAG_PX:g} pixels")
    return float(value)
