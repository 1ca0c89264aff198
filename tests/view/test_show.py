"""The loop goes on when its renderer ends, and says so; a recording keeps the frames before."""

import time

import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.view.painter import PainterGone
from endoforge.view.session import Session
from endoforge.view.slot import Slot

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
    session.command("record", None)
    watched.until(lambda: session.last_recording.frames >= 1)
    DyingPainter.deaths = 1
    watched.until(lambda: any("starting it again" in text for text in watched.texts()))
    count = len(watched.packets)
    watched.until(lambda: len(watched.packets) > count + 5)
    if session.shared.recording is not None:
        session.command("record", None)
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


def test_simulated_time_follows_the_clock_though_rendering_is_slow(watched, monkeypatch):
    """A picture takes 0.15 s; at 4 times the speed 1.5 s of the wall are 6 s."""
    session, world = watched.session, watched.session.shared.world
    shoot = InProcessPainter.shoot

    def slow(self, *rows, in_full):
        time.sleep(0.15)
        shoot(self, *rows, in_full=in_full)

    monkeypatch.setattr(InProcessPainter, "shoot", slow)
    session.command("speed", 4)
    time.sleep(0.5)
    count, started, before = session.show._numbers, time.monotonic(), world.time_s
    time.sleep(1.5)
    passed = (world.time_s - before) / (time.monotonic() - started)
    assert 2.5 < passed < 5.5
    assert session.show._numbers - count < 12


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
