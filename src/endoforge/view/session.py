"""One world, its threads, and what viewers may ask of it."""

import logging
import threading
from collections.abc import Callable
from functools import partial

import torch

from endoforge.backends.compute import pick_compute
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.machine import cpu_cores
from endoforge.detect.detections import Detector
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.sim.randomization import chosen_randomization
from endoforge.view.clip import ClipMaker
from endoforge.view.config import SimViewConfig
from endoforge.view.encoding import Encoding, Packet
from endoforge.view.events import Events
from endoforge.view.frame import LiveFrame, WorldFrame
from endoforge.view.from_viewers import Drag, Steer
from endoforge.view.keeper import Keeper, Thresholds
from endoforge.view.live_detection import MOST_HZ, MOST_HZ_BESIDE, Detecting
from endoforge.view.live_recording import Recording
from endoforge.view.opened_source import make_source_show, source_name
from endoforge.view.painter import Painter
from endoforge.view.show import SharedWorld, Show
from endoforge.view.source_recording import SourceRecording
from endoforge.view.source_show import SourceShow
from endoforge.view.steering import NOTHING
from endoforge.view.to_viewers import Level
from endoforge.view.weight_choices import WeightChoices
from endoforge.view.world import Colon, World, bake_colon

log = logging.getLogger(__name__)

MANY_CORES = 8
"""From so many on, detecting on the CPU takes nothing from the renderer."""
SIMULATOR = "simulator"
RECORDING = "a recording is going on: L ends it"


class Session:
    """The live simulator without its web server: one world, what renders it, and who looks on.

    `on_packet` gets each frame, `on_change` hears that the state is another one, both in threads of
    the session; `on_end` gets the error that ends it, or None after the data run of --mode datagen.
    """

    def __init__(
        self,
        config: SimViewConfig,
        seed: int,
        *,
        make_painter: Callable[[tuple[int, int], RendererName], Painter] = Painter,
        make_heuristic: Callable[[], Detector] = HeuristicDetector,
    ) -> None:
        self.config, self.seed = config, seed
        self.ranges = chosen_randomization(config.randomization)
        self.events = Events()
        self.shared = SharedWorld()
        self.on_packet: Callable[[Packet], None] = lambda _: None
        self.on_change: Callable[[], None] = lambda: None
        self.on_end: Callable[[Exception | None], None] = lambda _: None
        self.last_recording: Recording | SourceRecording | None = None
        self.compute = pick_compute(config.backend, config.device, config.adapter)
        thresholds = Thresholds(config.infer_obj_thresh, config.infer_iou_thresh)
        keeper = Keeper(
            config.first_weights,
            self.compute.net,
            thresholds,
            self.events,
            make_heuristic,
            stand_in=config.stand_in,
        )
        self.weights = WeightChoices(config.first_weights, config.weights)
        self.detecting = Detecting(
            keeper, self.events, most_hz=self._most_hz, choices=self.weights.names
        )
        self.encoding = Encoding(self._publish, lambda: self.detecting.found)
        self.clips = ClipMaker(self.encoding.kept)
        self.source: SourceShow | None = None
        """What shows real pictures; None while the world is a simulated one."""
        self.show: Show | SourceShow
        self.source_names = (*map(source_name, config.source), SIMULATOR)
        """What can be shown: the sources, and behind them the simulator."""
        self.source_place = 0
        """Which of these is shown."""
        self._wanted_place = 0
        self._make_painter = partial(make_painter, config.size, config.renderer)
        self._left: World | None = None
        """The world, while a source is shown."""
        self._put_show(self._open(0))
        self._unclosed: set[Recording | SourceRecording] = set()
        """Recordings of which not all is on disk yet; the last one may still go on."""
        self._steerer: object | None = None
        self._baking: threading.Thread | None = None
        self._next_seed: tuple[int, float] | None = None
        self._closed = False

    def start(self) -> None:
        """Bake the first colon, and begin; the renderer takes some seconds until it shows."""
        if cpu_cores() < MANY_CORES:
            torch.set_num_threads(1)  # the detector's; more would make the renderer wait
        self.detecting.on_found = self.encoding.frames.nudge
        self.detecting.start()
        self.encoding.start()
        self.show.start()
        self._tell_show()

    def close(self) -> None:
        """End all threads and the renderer; a recording is finished first."""
        self._closed = True
        with self.shared.lock:
            unclosed = list(self._unclosed)
        self.show.end()
        for recording in unclosed:
            recording.abandon()
        self.clips.end()
        self.detecting.end()
        self.encoding.end()
        for thread in (self.show, self.detecting, self.encoding):
            if thread.is_alive():
                thread.join(0.5)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the pictures, as far as that is known yet."""
        return (self.source and self.source.size) or self.config.size

    @property
    def recording(self) -> Recording | SourceRecording | None:
        """The last recording, until all of it is on disk."""
        return self.shared.recording if self.source is None else self.source.recording

    @property
    def going_recording(self) -> Recording | SourceRecording | None:
        """The recording that takes frames; one that has ended is in nobody's way."""
        recording = self.recording
        return None if recording is None or recording.ended else recording

    def steer(self, who: object, steer: Steer) -> None:
        """Steer as a viewer's keys ask; of several viewers the last one to steer wins."""
        with self.shared.lock:
            world = self.shared.world
            # Who has let go long ago sends an empty message, too: it must not stop who steers now.
            if world is None or (not steer and self._steerer is not who):
                return
            self._steerer = who if steer else None
            if self._may_steer(world) and world.set_steer(steer):
                self._tell("info", "steered by hand: the autopilot is off, P switches it on")
                self.on_change()

    def drag(self, drag: Drag) -> None:
        """Turn the camera as a viewer's mouse was dragged."""
        with self.shared.lock:
            world = self.shared.world
            if world is not None and self._may_steer(world) and world.look(drag.dx, drag.dy):
                self._tell("info", "steered by hand: the autopilot is off, P switches it on")
                self.on_change()

    def let_go(self, who: object) -> None:
        """Stop what a viewer steered, who is gone or silent."""
        self.steer(who, NOTHING)

    def watch(self, viewers: int) -> None:
        """Note that so many viewers look on now."""
        with self.shared.lock:
            self.shared.wanted = viewers > 0
            self.shared.restless = True

    def new_seed(self, seed: int, at_s: float = 0.0) -> None:
        """Bake the colon of a seed in the background, and show it when it is there.

        The flight begins at `at_s` seconds, or at the end that is nearer.
        """
        with self.shared.lock:
            # Of seeds that are asked for while one is baked, the last is the next: N held down
            # doesn't bake them all.
            self._next_seed = seed, at_s
            if self._baking is None or not self._baking.is_alive():
                self._baking = threading.Thread(target=self._bake, name="baking", daemon=True)
                self._baking.start()

    def record(self, world: World, *, data_run: bool) -> None:
        """Begin a recording of the world that is shown; the lock is held."""
        if data_run:
            world.seek(0.0)
            world.paused = False
        world.loop = None
        recording = Recording(
            world.colon,
            self.config.root,
            data_run=data_run,
            max_frames=self.config.max_frames,
            renderer=lambda: self.show.engine,
            events=self.events,
        )
        recording.on_closed = lambda: self._on_closed(recording)
        self._unclosed.add(recording)
        self.shared.recording = self.last_recording = recording

    def record_source(self, source: SourceShow) -> None:
        """Begin a recording of the source, or end the one that goes on; the lock is held."""
        if (going := self.going_recording) is not None:
            going.end()
            return
        recording = SourceRecording(
            source.source_name,
            self.config.root,
            max_frames=self.config.max_frames,
            events=self.events,
        )
        source.loop = None
        recording.on_closed = lambda: self._on_source_closed(source, recording)
        self._unclosed.add(recording)
        source.recording = self.last_recording = recording

    def choose_source(self, place: int) -> None:
        """Show another one of the sources, once it is open; the lock is held."""
        if len(self.source_names) == 1:
            raise UserError("there is no source to choose; name some with --source")
        if place >= len(self.source_names):
            raise UserError(f"there are {len(self.source_names)} sources, from 0: no {place}")
        if self.going_recording is not None:
            raise UserError(RECORDING)
        self._wanted_place = place
        threading.Thread(
            target=self._switch_source, args=(place,), name="choosing", daemon=True
        ).start()

    def _switch_source(self, place: int) -> None:
        try:
            opened = self._open(place)
        except UserError as error:
            self._tell("error", str(error))
            return
        with self.shared.lock:
            if self._closed or place != self._wanted_place:  # one that was chosen later is faster
                opened.end()
                return
            if self.going_recording is not None:  # begun while the other source was being opened
                self._tell("error", f"{self.source_names[place]} isn't shown: {RECORDING}")
                opened.end()
                return
            self.show.end()
            opened.go_on_after(self.show.numbers)
            if self.source is None:
                self._left, self.shared.world = self.shared.world, None
            self._put_show(opened)
            self.source_place = place
            self._forget_pictures()
            opened.start()
        self._tell_show()
        self.on_change()

    def _put_show(self, opened: Show | SourceShow) -> None:
        """Have a show in the place of the one before; a world is there again as it was left."""
        self.show = opened
        self.source = opened if isinstance(opened, SourceShow) else None
        if self.source is None:
            self.shared.world, self._left = self._left, None
            self.shared.restless = True

    def _most_hz(self) -> float:
        # Pictures that go out with their own boxes are no more than were detected on. Who reads a
        # source has a core to spare.
        renders = self.source is None and self.compute.on_cpu and cpu_cores() < MANY_CORES
        return MOST_HZ_BESIDE if renders and self.encoding.newest_first else MOST_HZ

    def _tell_show(self) -> None:
        """Say what is shown from now on, and bake the first colon if it is the simulator."""
        if self.source is not None:
            self._tell("info", f"looking at {self.source.source_name}")
            return
        self._tell("info", "preparing the renderer: seconds, or the first time a minute")
        if self.shared.world is None:
            self.new_seed(self.seed)

    def _open(self, place: int) -> Show | SourceShow:
        """What shows the source of a place, or behind them all the simulator."""
        if place == len(self.config.source):
            return Show(
                self.shared,
                self._make_painter,
                self._on_frame,
                partial(self._tell, "error"),
                self._on_fatal,
                self._on_flight_over,
            )
        return make_source_show(
            self.config.source[place],
            self.shared,
            self._pass_on,
            lambda: self.on_change(),
            self.events,
        )

    def _bake(self) -> None:
        while True:
            with self.shared.lock:
                wanted, self._next_seed = self._next_seed, None
                if wanted is None:
                    self._baking = None
                    return
                seed, at_s = wanted
            try:
                colon = bake_colon(seed, self.ranges, self.config.size, self.config.max_frames)
            except Exception as error:
                log.debug("baking failed", exc_info=True)
                self._tell("error", f"seed {seed}: {type(error).__name__}: {error}")
                continue
            self._put(colon, at_s)

    def _put(self, colon: Colon, at_s: float) -> None:
        """Show a colon in the place of the one before."""
        with self.shared.lock:
            world = World(colon)
            world.seek(at_s)
            if self.source is not None:  # chosen while it was baked
                self._left = world
                return
            if self.shared.recording is not None:
                self.shared.recording.end()
            before = self.shared.world
            if before is not None:
                world.paused, world.speed = before.paused, before.speed
            self.shared.world = world
            self.shared.restless = True
            self._forget_pictures()
            self._tell("info", f"seed {colon.base_seed}")
            if before is None and self.config.mode == "datagen":
                self.record(world, data_run=True)
        self.on_change()

    def _forget_pictures(self) -> None:
        """What is shown from now on doesn't follow from what was shown."""
        self.detecting.forget_pictures()
        self.encoding.forget()

    def _may_steer(self, world: World) -> bool:
        recording = self.going_recording
        if recording is None or not recording.data_run:
            return True
        world.set_steer(NOTHING)  # a key that was held when the data run began
        return False

    def _on_frame(self, frame: WorldFrame) -> None:
        # A picture that was on its way when the colon was changed would show the old one again.
        if self.shared.world is None or frame.colon is not self.shared.world.colon:
            return
        self._pass_on(frame)

    def _pass_on(self, frame: LiveFrame) -> None:
        self.encoding.frames.put(frame)
        self.detecting.look_at(frame)

    def _publish(self, packet: Packet) -> None:
        if not self._closed:
            self.on_packet(packet)

    def _on_closed(self, recording: Recording) -> None:
        with self.shared.lock:
            self._unclosed.discard(recording)
            if self.shared.recording is recording:
                self.shared.recording = None
        self.on_change()
        if self.config.mode == "datagen" and recording.data_run and not self._closed:
            failed = UserError(recording.error) if recording.error else None
            self.on_end(failed)

    def _on_source_closed(self, source: SourceShow, recording: SourceRecording) -> None:
        with self.shared.lock:
            self._unclosed.discard(recording)
            if source.recording is recording:
                source.recording = None
        self.on_change()

    def _on_flight_over(self) -> None:
        self._tell("info", "the procedure is over: P starts it again, N another seed")
        self.on_change()

    def _on_fatal(self, error: Exception) -> None:
        self._tell("error", str(error))
        if not self.config.source:
            self.on_end(error)
        else:  # there are others to look at
            self.show.trouble = f"the simulator has ended: {error}"

    def _tell(self, level: Level, text: str) -> None:
        self.events.tell(level, text)
