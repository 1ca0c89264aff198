"""The WebSocket of viewers: each gets the newest frame as fast as it takes them."""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from endoforge.core.errors import UserError
from endoforge.view.commands import run_command
from endoforge.view.encoding import Packet
from endoforge.view.from_viewers import Ack, Drag, FromViewer, Steer, parse_message
from endoforge.view.rates import Rate
from endoforge.view.readings import read_state
from endoforge.view.security import WATCH_ONLY
from endoforge.view.session import Session
from endoforge.view.to_viewers import ClientState, Hello, LiveEvent, ToViewer, encoded

MOST_MESSAGE = 4096
"""Bytes of a client's message; a longer one ends the connection."""
TOO_LONG = 1009
IN_FLIGHT = 2
"""Frames on their way to a viewer that it hasn't shown yet: one travels while one is painted. More
would only make what it sees older."""
STATE_EVERY_S, STATE_AT_ONCE_S = 0.25, 0.1
"""Between two state messages as a rule; and between two that a command brought about."""
MOST_HZ, BURST = 250.0, 100.0
"""Messages that are taken of a viewer: a second in the long run, and at once. A page sends 60
acknowledgements and as many drags a second at most."""
COMMAND_COST = 5.0
"""A command counts for so many: it is work for all, and told to all."""
SILENT_S = 1.0
"""A viewer that steers and says nothing for so long has let go."""


class StateTimer:
    """When a viewer is to get the state: again and again, and soon after something has changed."""

    def __init__(self) -> None:
        self._changed = True
        self._last_s = self._last_changed_s = -math.inf

    def change(self) -> None:
        """Note that the state is another one."""
        self._changed = True

    def due_s(self) -> float:
        """The moment from which the next state is due, on the monotonic clock.

        Several changes within STATE_AT_ONCE_S, as of a held key, are told together.
        """
        regular_s = self._last_s + STATE_EVERY_S
        return (
            min(regular_s, self._last_changed_s + STATE_AT_ONCE_S) if self._changed else regular_s
        )

    def sent(self, now_s: float) -> None:
        """Note that the viewer gets a state now."""
        if self._changed:
            self._last_changed_s = now_s
        self._last_s, self._changed = now_s, False


class MessagePace:
    """How long to wait with a viewer's next message, so that it doesn't delay what others ask."""

    def __init__(self) -> None:
        self._due_s = -math.inf

    def wait_s(self, cost: float, now_s: float) -> float:
        """Seconds to wait after a message of that cost, which was taken now."""
        self._due_s = max(self._due_s, now_s) + cost / MOST_HZ
        return max(self._due_s - now_s - BURST / MOST_HZ, 0.0)


class Viewer:
    """A connection: what it is still to be sent, and how fast it takes frames."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.only_watches = bool(socket.scope.get(WATCH_ONLY))
        self.shown = Rate()
        self.skipped = 0
        self.wake = asyncio.Event()
        self.texts: deque[ToViewer] = deque(maxlen=100)
        self.state_timer = StateTimer()
        self.steered_at: float | None = None
        self._newest: Packet | None = None
        self._on_their_way: deque[int] = deque()
        self._last_shown = 0

    def offer(self, packet: Packet) -> None:
        """Have a new frame sent, in the place of one that waits still."""
        if self._newest is not None and self._newest.frame != packet.frame:
            self.skipped += 1
        self._newest = packet
        self.wake.set()

    def next_packet(self) -> Packet | None:
        """The frame to send now; None if there is no new one, or the viewer has enough to show."""
        if self._newest is None or len(self._on_their_way) >= IN_FLIGHT:
            return None
        packet, self._newest = self._newest, None
        self._on_their_way.append(packet.frame)
        return packet

    def acknowledge(self, frame: int) -> None:
        """Note that the viewer has shown a frame, and can take another one."""
        if self._on_their_way and frame >= self._on_their_way[0]:
            shown = self._on_their_way.popleft()
            # A frame may come again with other boxes: it counts once in the rate.
            if shown > self._last_shown:
                self._last_shown = shown
                self.shown.add()
            self.wake.set()

    def tell(self, message: ToViewer) -> None:
        """Send it a message, after those before; of too many the oldest are left out."""
        self.texts.append(message)
        self.wake.set()


class Hub:
    """All viewers of a session.

    All of it happens in the event loop; the session's threads reach it by `_soon`.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._viewers: set[Viewer] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Pass on to viewers what the session gives; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self.session.on_packet = lambda packet: self._soon(partial(self._publish, packet))
        self.session.on_change = lambda: self._soon(self._changed)
        self.session.events.listen(lambda event: self._soon(partial(self._tell, event)))

    def close(self) -> None:
        """Pass nothing on any more."""
        self.session.events.listen(None)
        self._loop = None

    async def serve(self, socket: WebSocket) -> None:
        """Serve one viewer, from its connection to its end."""
        await socket.accept()
        viewer = Viewer(socket)
        viewer.texts.extend(
            [Hello(self.session.size, viewer.only_watches), *self.session.events.last()]
        )
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
        pace = MessagePace()
        while True:
            message = await viewer.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None or len(text.encode()) > MOST_MESSAGE:
                await viewer.socket.close(TOO_LONG)
                return
            cost = COMMAND_COST
            try:
                parsed = parse_message(text)
                if isinstance(parsed, Ack | Steer | Drag):
                    cost = 1.0
                if viewer.only_watches and not isinstance(parsed, Ack):
                    raise UserError("this address is for watching only")
                self._handle(viewer, parsed)
            except UserError as error:
                viewer.tell(LiveEvent("warning", str(error)))
            # Not taken meanwhile, what it sends waits on its side of the connection.
            if (wait_s := pace.wait_s(cost, time.monotonic())) > 0:
                await asyncio.sleep(wait_s)

    def _handle(self, viewer: Viewer, message: FromViewer) -> None:
        match message:
            case Ack(frame):
                viewer.acknowledge(frame)
            case Steer():
                viewer.steered_at = time.monotonic() if message else None
                viewer.wake.set()
                self.session.steer(viewer, message)
            case Drag():
                self.session.drag(message)
            case _:
                run_command(self.session, message)

    async def _send(self, viewer: Viewer) -> None:
        socket, timer = viewer.socket, viewer.state_timer
        while True:
            now = time.monotonic()
            self._let_go_of_the_silent(viewer, now)
            while viewer.texts:
                await socket.send_text(encoded(viewer.texts.popleft()))
            if now >= timer.due_s():
                timer.sent(now)
                client = ClientState(round(viewer.shown.hz, 1), viewer.skipped)
                state = read_state(self.session, len(self._viewers), client)
                await socket.send_text(encoded(state))
            if (packet := viewer.next_packet()) is not None:
                await socket.send_bytes(packet.data)
                continue
            with contextlib.suppress(TimeoutError):
                # Not 0 s, which would never let others have the event loop.
                wait_s = max(timer.due_s() - time.monotonic(), 0.001)
                await asyncio.wait_for(viewer.wake.wait(), wait_s)
            viewer.wake.clear()

    def _let_go_of_the_silent(self, viewer: Viewer, now: float) -> None:
        if viewer.steered_at is not None and now - viewer.steered_at > SILENT_S:
            viewer.steered_at = None
            self.session.let_go(viewer)

    def _soon(self, do: Callable[[], None]) -> None:
        """From any thread: do it in the event loop, unless that has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(do)

    def _publish(self, packet: Packet) -> None:
        for viewer in self._viewers:
            viewer.offer(packet)

    def _changed(self) -> None:
        for viewer in self._viewers:
            viewer.state_timer.change()
            viewer.wake.set()

    def _tell(self, event: LiveEvent) -> None:
        for viewer in self._viewers:
            viewer.tell(event)
