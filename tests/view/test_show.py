"""The loop goes on when its renderer ends, and says so; a recording keeps the frames before."""

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.core.slot import Slot
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.view.commands import run_command
from endoforge.view.frame import WorldFrame
from endoforge.view.from_viewers import Switch
from endoforge.view.painter import PaintedPicture, Painter, PainterGone
from endoforge.view.session import Session
from endoforge.view.show import SharedWorld, Show
from endoforge.view.world import Colon, World

from .conftest import SEED, FakeDetector, InProcessPainter, Watched, small_config


class DyingPainter(InProcessPainter):
    """Ends at a picture, as often as `deaths` says."""

    deaths = 0

    def picture(self, timeout_s):
        if DyingPainter.deaths:
            DyingPainter.deaths -= 1
            raise PainterGone("the renderer's process ended (exit code -9)")
        return super().picture(timeout_s)


@pytest.fixture
def watched(cpu, tmp_path):  # noqa: ARG001 - it starts in the main thread
    session = Session(
        small_config(tmp_path),
        SEED,
        make_painter=DyingPainter,
        make_heuristic=FakeDetector,
    )
    watched = Watched(session)
    watched.until(lambda: watched.packets)
    yield watched
    DyingPainter.deaths = 0
    session.close()


def test_a_renderer_that_ends_is_started_again(watched):
    session = watched.session
    run_command(session, Switch("record"))
    watched.until(lambda: session.last_recording.frames >= 1)
    DyingPainter.deaths = 1
    watched.until(lambda: any("starting it again" in text for text in watched.texts()))
    count = len(watched.packets)
    watched.until(lambda: len(watched.packets) > count + 5)
    if session.shared.recording is not None:
        run_command(session, Switch("record"))
        watched.until(lambda: session.shared.recording is None)
    index = index_root(session.config.root)
    assert len(index.frames) == session.last_recording.frames >= 1
    assert not index.dropped


def test_one_that_ends_again_and_again_ends_the_session(watched):
    DyingPainter.deaths = 99
    watched.until(lambda: watched.ended)
    [error] = watched.ended
    assert isinstance(error, UserError)
    assert "again and again" in str(error)


class FakeTime:
    """A clock that goes on when it is told to, in the place of the module `time`."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


class SlowPainter:
    """Takes 0.15 s of the fake clock for a picture, which is black."""

    engine = "cpu"

    def __init__(self, clock: FakeTime) -> None:
        self.in_flight = 0
        self._clock = clock

    def load(self, colon: Colon) -> None:
        pass

    def shoot(self, *_: object, in_full: bool) -> None:
        assert not in_full, "nothing is recorded"
        self.in_flight += 1

    def picture(self, _timeout_s: float) -> PaintedPicture | None:
        self.in_flight -= 1
        self._clock.now_s += 0.15
        stats = np.zeros((MAX_POLYPS, 6), np.int32)
        return PaintedPicture(np.zeros((64, 96, 4), np.uint8), stats)


@pytest.fixture
def clock(monkeypatch):
    clock = FakeTime()
    monkeypatch.setattr("endoforge.view.show.time", clock)
    return clock


@pytest.fixture
def frames() -> list[WorldFrame]:
    """Those of the loop."""
    return []


@pytest.fixture
def show(colon, frames):
    """The loop, which the test takes step by step; its frames are in `frames`."""

    def unused() -> Painter:
        raise AssertionError("the test has a painter of its own")

    shared = SharedWorld()
    shared.world = World(colon)
    return Show(shared, unused, frames.append, print, print, print)


def test_simulated_time_follows_the_clock_though_rendering_is_slow(show, frames, clock):
    """A picture takes 0.15 s; at 4 times the speed 1.5 s of the wall are 6 s, in 10 pictures."""
    painter, world = SlowPainter(clock), show.shared.world
    show.shared.wanted = True
    world.speed = 4.0
    while len(frames) < 5:
        show._step(painter)
    began_s, before_s = clock.now_s, world.time_s
    while len(frames) < 15:
        show._step(painter)
    assert clock.now_s - began_s == pytest.approx(1.5)
    assert world.time_s - before_s == pytest.approx(6.0)
    times = [frame.state.time_s for frame in frames]
    assert np.diff(times) == pytest.approx(0.6), "no picture is late, and none is left out"


def test_time_stands_still_while_nobody_looks_on(show, frames, clock):
    """But for one picture of a new colon: the renderer is ready then. A pause is caught up in no
    haste: of 100 s that passed without a picture, 0.25 s count."""
    painter, world = SlowPainter(clock), show.shared.world
    for _ in range(20):
        show._step(painter)
        clock.now_s += 5.0
    assert len(frames) == 1
    assert world.time_s == 0.0
    show.shared.wanted = True
    while len(frames) < 3:
        show._step(painter)
    assert 0 < world.time_s <= 0.25


class HangingPainter(SlowPainter):
    """Gives no picture while `hangs`."""

    hangs = False

    def picture(self, timeout_s: float) -> PaintedPicture | None:
        if not self.hangs:
            return super().picture(timeout_s)
        self._clock.now_s += timeout_s
        return None


@pytest.mark.parametrize(("given", "most_s"), [(3, 10), (0, 300)])
def test_a_renderer_that_hangs_is_told_of_and_given_up(show, frames, clock, given, most_s):
    """Its first picture may take minutes, since kernels are compiled for it."""
    painter = HangingPainter(clock)
    show.shared.wanted = True
    while len(frames) < given:
        show._step(painter)
    assert show.trouble is None
    painter.hangs = True
    began_s = clock.now_s

    def go_on():
        while True:
            show._step(painter)
            silent_s = clock.now_s - began_s
            if abs(silent_s - 2.0) > 0.06:
                assert (show.trouble is None) == (silent_s < 2.0)

    with pytest.raises(PainterGone, match="the renderer has given no picture for"):
        go_on()
    assert clock.now_s - began_s == pytest.approx(most_s, abs=0.2)


def test_it_is_told_until_the_next_picture_that_a_renderer_is_gone(colon, clock):
    """The first one dies at once; the second one gives a picture."""
    told, frames = [], []

    class Dying(SlowPainter):
        def picture(self, _timeout_s):
            raise PainterGone("the renderer's process ended (exit code -9)")

        def close(self):
            pass

    class Living(SlowPainter):
        def close(self):
            pass

    def make_painter():
        told.append(loop.trouble)
        clock.now_s += 1.0
        return (Dying if len(told) == 1 else Living)(clock)

    def take(_frame):
        frames.append(loop.trouble)
        loop._ended.set()

    shared = SharedWorld()
    shared.world, shared.wanted = World(colon), True
    loop = Show(shared, make_painter, take, told.append, print, print)
    loop.run()
    gone = "the renderer's process ended (exit code -9)"
    assert told == [None, f"{gone}; starting it again", f"{gone}; it is being started again"]
    assert frames == [None]


def test_a_slot_holds_the_newest_and_counts_the_rest():
    slot: Slot[int] = Slot()
    assert slot.take(0.0) is None
    for number in (1, 2, 3):
        slot.put(number)
    assert slot.take(0.0) == 3
    assert slot.dropped == 2
    assert slot.empty
    slot.close()
    assert slot.take(5.0) is None
