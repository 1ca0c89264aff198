"""What viewers can ask for by keys and buttons."""

from collections.abc import Callable
from dataclasses import replace

from endoforge.core.checks import MAX_SEED
from endoforge.core.errors import UserError
from endoforge.view.from_viewers import (
    SPEEDS,
    FrameStep,
    SecondChoice,
    SeedChoice,
    Seek,
    SeekStep,
    SourceChoice,
    SpeedStep,
    Switch,
    Switchable,
    ThresholdStep,
    ViewCommand,
    WeightsChoice,
    Whose,
)
from endoforge.view.keeper import Keeper
from endoforge.view.session import RECORDING, Session
from endoforge.view.weight_choices import HEURISTIC
from endoforge.view.world import World

NO_WORLD = "these are real pictures: nothing in them can be steered, and their truth isn't known"


def run_command(session: Session, command: ViewCommand) -> None:
    """Do what a viewer asks for; raises UserError with a line for the viewer if it can't be."""
    with session.shared.lock:
        match command:
            case Switch(what):
                SWITCHES[what](session)
            case ThresholdStep():
                _move_threshold(session, command)
            case SpeedStep(by):
                _change_speed(session, by)
            case Seek(seconds):
                _seek(session, seconds)
            case SeekStep(seconds):
                _seek_by(session, seconds)
            case SourceChoice(place):
                session.choose_source(place)
            case WeightsChoice(name):
                session.detecting.choose(session.weights.path(name))
            case SecondChoice(name):
                _choose_second(session, name)
            case FrameStep(by):
                _step(session, by)
            case SeedChoice(seed, at_s):
                _fly_seed(session, seed, at_s)
    session.on_change()


def _seek(session: Session, seconds: float) -> None:
    if session.source is not None:
        session.source.seek(seconds)
        return
    _free_of_recordings(session).seek(seconds)
    session.shared.restless = True


def _seek_by(session: Session, seconds: float) -> None:
    if session.source is not None:
        session.source.seek_by(seconds)
    else:
        _seek(session, _world(session).flight_s + seconds)


def _loop(session: Session) -> None:
    if session.going_recording is not None:
        raise UserError("a recording is going on, which takes no loop: L ends it")
    if session.source is not None:
        session.source.switch_loop()
        return
    world = _world(session)
    if not world.autopilot:
        raise UserError("a loop is of the autopilot's flight: P goes on with that")
    world.switch_loop()
    session.shared.restless = True


def _step(session: Session, by: int) -> None:
    if session.source is None:
        raise UserError("a simulated flight has no frames to step through: H and J seek in it")
    session.source.step(by)


def _change_speed(session: Session, by: int) -> None:
    shown = session.source or _world(session)
    place = SPEEDS.index(shown.speed) + by
    speed = SPEEDS[max(0, min(place, len(SPEEDS) - 1))]
    if session.source is None:
        _world(session).speed = speed
    else:
        session.source.set_speed(speed)


def _world(session: Session) -> World:
    if session.source is not None:
        raise UserError(NO_WORLD)
    world = session.shared.world
    if world is None:
        raise UserError("the first colon is still being made: try again in a second")
    return world


def _free_to_fly(session: Session) -> World:
    recording = session.going_recording
    if recording is not None and recording.data_run:
        raise UserError("a data run is going on: O ends it")
    return _world(session)


def _free_of_recordings(session: Session) -> World:
    """The world, in which one may leap: a recording's clock only goes on."""
    world = _free_to_fly(session)
    if session.going_recording is not None:
        raise UserError("a recording is going on, of this colon: L ends it")
    return world


def _autopilot(session: Session) -> None:
    _free_to_fly(session).switch_autopilot()
    session.shared.restless = True


def _camera(session: Session) -> None:
    _free_to_fly(session).switch_camera()
    session.shared.restless = True


def _detector(session: Session) -> None:
    keeper = session.detecting.keeper
    keeper.wanted = "heuristic" if keeper.wanted == "neural" else "neural"
    session.detecting.forget()
    session.detecting.again()


def _record(session: Session) -> None:
    if session.source is not None:
        session.record_source(session.source)
        return
    recording = session.going_recording
    if recording is not None and recording.data_run:
        raise UserError("a data run is going on: O ends it")
    _record_or_end(session, data_run=False)


def _data_run(session: Session) -> None:
    recording = session.going_recording
    if recording is not None and not recording.data_run:
        raise UserError(RECORDING)
    _record_or_end(session, data_run=True)


def _record_or_end(session: Session, *, data_run: bool) -> None:
    recording = session.going_recording
    if recording is not None:
        recording.end()
        return
    session.record(_world(session), data_run=data_run)


def _truth(session: Session) -> None:
    if session.source is not None:
        raise UserError(NO_WORLD)
    session.encoding.with_truth = not session.encoding.with_truth


def _newest_first(session: Session) -> None:
    session.encoding.newest_first = not session.encoding.newest_first


def _pause(session: Session) -> None:
    if session.source is not None:
        session.source.switch_pause()
        return
    world = _world(session)
    world.paused = not world.paused


def _reset_score(session: Session) -> None:
    session.detecting.score.reset()
    session.detecting.lesions.reset()


def _choose_second(session: Session, name: str | None) -> None:
    if name is None:
        session.detecting.drop_second()
    else:
        path = None if name == HEURISTIC else session.weights.path(name)
        session.detecting.choose_second(path)


def _keeper(session: Session, whose: Whose) -> Keeper:
    if whose == "first":
        return session.detecting.keeper
    if session.detecting.second is None:
        raise UserError("there is no second detector: choose one beside the first")
    return session.detecting.second.keeper


def _move_threshold(session: Session, step: ThresholdStep) -> None:
    keeper = _keeper(session, step.of)
    moved = min(max(getattr(keeper.thresholds, step.which) + step.by, 0.0), 1.0)
    # Steps of 0.05 added up would show as 0.30000000000000004.
    keeper.thresholds = replace(keeper.thresholds, **{step.which: round(moved, 4)})
    session.detecting.again()


def _fly_seed(session: Session, seed: int | None, at_s: float) -> None:
    world = _free_of_recordings(session)
    if seed is None:
        seed = (world.colon.base_seed + 1) % (MAX_SEED + 1)
    session.new_seed(seed, at_s)


SWITCHES: dict[Switchable, Callable[[Session], None]] = {
    "autopilot": _autopilot,
    "camera": _camera,
    "data_run": _data_run,
    "detector": _detector,
    "loop": _loop,
    "newest_first": _newest_first,
    "pause": _pause,
    "record": _record,
    "reset_score": _reset_score,
    "truth": _truth,
}
