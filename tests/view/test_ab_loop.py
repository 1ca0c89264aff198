"""Seeking through a flight, and loops: of a flight, of a file."""

import pytest

from endoforge.core.errors import UserError
from endoforge.view.ab_loop import Loop, next_loop
from endoforge.view.commands import run_command
from endoforge.view.from_viewers import FrameStep, Seek, SeekStep, Switch
from endoforge.view.readings import read_state
from endoforge.view.to_viewers import ClientState
from endoforge.view.world import World


def world_state(site):
    return read_state(site.session, 1, ClientState(0.0, 0)).world


def test_one_key_marks_the_beginning_the_end_and_ends_it():
    begun = next_loop(None, 5.0)
    assert begun == Loop(5.0)
    assert next_loop(begun, 7.0) == Loop(5.0, 7.0)
    assert next_loop(begun, 3.0) == Loop(3.0, 5.0), "marked backwards"
    assert next_loop(Loop(5.0, 7.0), 6.0) is None
    with pytest.raises(UserError, match=r"0\.5 s long at least"):
        next_loop(begun, 5.3)


def test_it_goes_round_at_its_end_alone():
    loop = Loop(5.0, 7.0)
    assert loop.goes_round(6.9, 7.0)
    assert loop.goes_round(6.9, 7.4)
    assert not loop.goes_round(6.8, 6.9)
    assert not loop.goes_round(4.9, 7.1), "it came from elsewhere"
    assert not loop.goes_round(7.0, 7.1)
    assert not Loop(5.0).goes_round(6.9, 7.1)


def test_a_flight_goes_round_with_its_clock(colon):
    world = World(colon)
    world.seek(2.0)
    world.switch_loop()
    world.seek(4.0)
    world.switch_loop()
    assert (world.flight_s, world.time_s) == (2.0, 2.0), "it begins at once"
    for _ in range(7):
        world.advance(0.3, 0.3)
    assert world.flight_s == world.time_s == pytest.approx(2.0), "2.3, 2.6 ... 3.8, round"
    world.seek(5.0)
    world.advance(0.3, 0.3)
    assert world.flight_s == pytest.approx(5.3), "out of it, one may go on"
    world.seek(1e9)
    assert world.flight_s == colon.duration_s


def test_a_flight_can_be_sought_through_while_nothing_is_recorded(watch):
    site = watch()
    run_command(site.session, Switch("pause"))
    run_command(site.session, Switch("autopilot"))
    run_command(site.session, Switch("camera"))
    run_command(site.session, Seek(30.0))
    state = world_state(site)
    assert (state.place_s, state.autopilot, state.camera) == (30.0, True, "endoscope")

    def is_found_there() -> bool:
        found = site.session.detecting.found  # none as yet, after a leap
        return found is not None and found.frame.seconds == 30.0

    site.until(is_found_there)
    assert world_state(site).place_s == 30.0
    for _ in range(2):
        run_command(site.session, SeekStep(-5.0))
    assert world_state(site).place_s == 20.0
    run_command(site.session, Seek(-5.0))
    assert world_state(site).place_s == 0.0
    with pytest.raises(UserError, match="no frames to step through"):
        run_command(site.session, FrameStep(1))
    run_command(site.session, Switch("record"))
    for leap in (Seek(3.0), SeekStep(3.0), Switch("loop")):
        with pytest.raises(UserError, match="a recording is going on"):
            run_command(site.session, leap)


def test_a_recording_ends_the_loop_and_a_steered_scope_has_none(watch):
    site = watch()
    run_command(site.session, Switch("loop"))
    assert world_state(site).loop is not None
    run_command(site.session, Switch("record"))
    assert world_state(site).loop is None
    run_command(site.session, Switch("record"))
    site.until(lambda: site.session.recording is None)
    run_command(site.session, Switch("autopilot"))
    with pytest.raises(UserError, match="P goes on"):
        run_command(site.session, Switch("loop"))
