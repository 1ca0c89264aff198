"""What viewers can ask for by name, and the keys that ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from endoforge.core.errors import UserError
from endoforge.view.world import MOST_SEED, SPEEDS, World, checked_seed

if TYPE_CHECKING:
    from endoforge.view.session import Session

KEYS = [
    {"key": "P", "command": "autopilot", "text": "autopilot on or off"},
    {"key": "C", "command": "camera", "text": "free camera or endoscope"},
    {"key": "B", "command": "detector", "text": "neural or heuristic detector"},
    {"key": "- =", "command": "objectness", "text": "least score down, up by 0.05"},
    {"key": "[ ]", "command": "iou", "text": "overlap (IoU) down, up by 0.05"},
    {"key": "L", "command": "record", "text": "record, or end the recording"},
    {"key": "O", "command": "data_run", "text": "data run from the start, or end it"},
    {"key": "T", "command": "truth", "text": "truth beside the detections"},
    {"key": "N", "command": "new_seed", "text": "another seed"},
    {"key": "K", "command": "pause", "text": "pause, or go on"},
    {"key": ", .", "command": "speed", "text": "slower, faster"},
]
MOVES_THE_CAMERA = ("autopilot", "camera")
"""After these a new picture is needed though time stands still."""
MOST_DELTA = 1.0


def run_command(session: Session, name: str, value: Any) -> None:
    """Do it; the session's lock is held. Raises UserError with a line for the viewer."""
    command = COMMANDS.get(name)
    if command is None:
        raise UserError(f"no command {str(name)[:40]!r}")
    command(session, value)


def _world(session: Session) -> World:
    world = session.shared.world
    if world is None:
        raise UserError("the first colon is still being made: try again in a second")
    return world


def _free_to_fly(session: Session) -> World:
    recording = session.shared.recording
    if recording is not None and recording.data_run:
        raise UserError("a data run is going on: O ends it")
    return _world(session)


def _autopilot(session: Session, _: Any) -> None:
    _free_to_fly(session).switch_autopilot()


def _camera(session: Session, _: Any) -> None:
    _free_to_fly(session).switch_camera()


def _detector(session: Session, _: Any) -> None:
    keeper = session.detecting.keeper
    keeper.wanted = "heuristic" if keeper.wanted == "neural" else "neural"
    session.detecting.forget()
    session.detecting.again()


def _record(session: Session, _: Any) -> None:
    recording = session.shared.recording
    if recording is not None and recording.data_run:
        raise UserError("a data run is going on: O ends it")
    _record_or_end(session, data_run=False)


def _data_run(session: Session, _: Any) -> None:
    recording = session.shared.recording
    if recording is not None and not recording.data_run:
        raise UserError("a recording is going on: L ends it")
    _record_or_end(session, data_run=True)


def _record_or_end(session: Session, *, data_run: bool) -> None:
    recording = session.shared.recording
    if recording is not None:
        recording.end()
        return
    _world(session)
    session.record(data_run=data_run)


def _truth(session: Session, _: Any) -> None:
    session.encoding.with_truth = not session.encoding.with_truth


def _pause(session: Session, _: Any) -> None:
    world = _world(session)
    world.paused = not world.paused


def _objectness(session: Session, value: Any) -> None:
    keeper = session.detecting.keeper
    moved = _moved(keeper.thresholds.objectness, value, "objectness")
    keeper.thresholds = replace(keeper.thresholds, objectness=moved)
    session.detecting.again()


def _iou(session: Session, value: Any) -> None:
    keeper = session.detecting.keeper
    keeper.thresholds = replace(keeper.thresholds, iou=_moved(keeper.thresholds.iou, value, "iou"))
    session.detecting.again()


def _moved(threshold: float, delta: Any, name: str) -> float:
    """A threshold after a step, within 0 to 1."""
    if isinstance(delta, bool) or not isinstance(delta, int | float):
        raise UserError(f"{name}: must be a step such as 0.05")
    if not abs(delta) <= MOST_DELTA:
        raise UserError(f"{name}: a step must be -1 to 1")
    return round(min(max(threshold + delta, 0.0), 1.0), 4)


def _speed(session: Session, value: Any) -> None:
    if isinstance(value, bool) or value not in SPEEDS:
        raise UserError(f"speed: must be one of {', '.join(f'{speed:g}' for speed in SPEEDS)}")
    _world(session).speed = float(value)


def _new_seed(session: Session, value: Any) -> None:
    world = _free_to_fly(session)
    if value is None:
        value = (world.colon.base_seed + 1) % (MOST_SEED + 1)
    session.new_seed(checked_seed(value))


def _reset_score(session: Session, _: Any) -> None:
    session.detecting.score.reset()


COMMANDS: dict[str, Callable[[Session, Any], None]] = {
    "autopilot": _autopilot,
    "camera": _camera,
    "detector": _detector,
    "record": _record,
    "data_run": _data_run,
    "truth": _truth,
    "pause": _pause,
    "objectness": _objectness,
    "iou": _iou,
    "speed": _speed,
    "new_seed": _new_seed,
    "reset_score": _reset_score,
}
