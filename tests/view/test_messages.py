"""Messages: what viewers may send, and that the page and the server speak of the same things."""

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import endoforge
from endoforge.core.errors import UserError
from endoforge.view import from_viewers, to_viewers
from endoforge.view.commands import SWITCHES
from endoforge.view.from_viewers import (
    FROM_VIEWER,
    Ack,
    Drag,
    SecondChoice,
    SeedChoice,
    Seek,
    SeekStep,
    SpeedStep,
    Steer,
    Switch,
    Switchable,
    Threshold,
    ThresholdStep,
    WeightsChoice,
    parse_message,
)
from endoforge.view.to_viewers import FrameHeader, LiveEvent, ToViewer, encoded

SCRIPTS = sorted((Path(endoforge.__file__).parent / "view/static/js").glob("*.js"))
SCRIPT = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type": "ack", "frame": 7}', Ack(7)),
        ('{"type": "switch", "what": "pause"}', Switch("pause")),
        ('{"type": "threshold", "which": "iou", "by": -1}', ThresholdStep("iou", -1.0)),
        ('{"type": "speed", "by": 1}', SpeedStep(1)),
        ('{"type": "seed", "seed": null}', SeedChoice(None)),
        ('{"type": "seed", "seed": "18446744073709551615"}', SeedChoice(2**64 - 1)),
        ('{"type": "seed", "seed": 3}', SeedChoice(3)),
        (
            '{"type": "threshold", "which": "iou", "by": 0.5, "of": "second"}',
            ThresholdStep("iou", 0.5, "second"),
        ),
        ('{"type": "weights", "name": "packaged"}', WeightsChoice("packaged")),
        ('{"type": "second", "name": null}', SecondChoice(None)),
        ('{"type": "second", "name": "heuristic"}', SecondChoice("heuristic")),
        ('{"type": "seek", "seconds": 30}', Seek(30.0)),
        ('{"type": "seek_by", "seconds": -5}', SeekStep(-5.0)),
        ('{"type": "steer"}', Steer()),
        ('{"type": "steer", "forward": 5, "yaw": -0.5}', Steer(forward=1.0, yaw=-0.5)),
        ('{"type": "drag", "dx": 3, "dy": -4000}', Drag(3.0, -4000.0)),
    ],
)
def test_a_message_is_read(text, message):
    assert parse_message(text) == message


DIGITS = "9" * 400
DEEP = "[" * 3000 + "]" * 3000
"""Deeper than Python 3.11 parses; later ones may."""
LESS_DEEP = "[" * 500 + "]" * 500
"""Parsed by all."""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a message that isn't JSON"),
        ("{", "a message that isn't JSON"),
        (DEEP, "a message that is"),
        ('{"type": "ack", "frame": ' + DEEP + "}", "a"),
        ('{"type": "ack", "frame": ' + "9" * 5000 + "}", "a message that isn't JSON"),
        ("[]", "a message that is no JSON object"),
        (DIGITS, "a message that is no JSON object"),
        ("{}", "a message without a type"),
        ('{"type": ["ack"]}', "a message without a type"),
        ('{"type": ' + LESS_DEEP + "}", "a message without a type"),
        (
            '{"type": "fly"}',
            "no message of type 'fly': there are ack, switch, threshold, speed, seed, seek, "
            "seek_by, step, source, weights, second, steer, drag",
        ),
        ('{"type": "ack"}', "ack: frame is missing"),
        ('{"type": "ack", "frame": -1}', "ack: frame must be the number of a frame"),
        ('{"type": "ack", "frame": 1.0}', "ack: frame must be the number of a frame"),
        ('{"type": "ack", "frame": true}', "ack: frame must be the number of a frame"),
        ('{"type": "ack", "frame": ' + DIGITS + "}", "ack: frame must be the number of a frame"),
        ('{"type": "ack", "frame": 1, "at": 2}', "ack: no field 'at': there are frame"),
        (
            '{"type": "threshold", "which": "nms", "by": 0}',
            "threshold: which must be one of objectness, iou",
        ),
        (
            '{"type": "threshold", "which": ["iou"], "by": 0}',
            "threshold: which must be one of objectness, iou",
        ),
        ('{"type": "threshold", "which": "iou"}', "threshold: by is missing"),
        (
            '{"type": "threshold", "which": "iou", "by": 1.5}',
            "threshold: by must be a number from -1 to 1",
        ),
        (
            '{"type": "threshold", "which": "iou", "by": 0, "of": "third"}',
            "threshold: of must be one of first, second",
        ),
        ('{"type": "weights", "name": null}', "weights: name must be a text"),
        ('{"type": "second", "name": ["a"]}', "second: name must be a text"),
        ('{"type": "speed", "by": 5}', "speed: by must be one of -4, -3, -2, -1, 0, 1, 2, 3, 4"),
        ('{"type": "speed", "by": true}', "speed: by must be one of"),
        ('{"type": "speed", "by": ' + LESS_DEEP + "}", "speed: by must be one of"),
        ('{"type": "speed", "by": ' + DIGITS + "}", "speed: by must be one of"),
        ('{"type": "seed"}', "seed: seed is missing"),
        ('{"type": "seed", "seed": -1}', "seed: seed must be a whole number from 0 to 2^64 - 1"),
        ('{"type": "seed", "seed": "1e3"}', "seed: seed must be a whole number from 0 to 2^64 - 1"),
        (
            '{"type": "seed", "seed": 18446744073709551616}',
            "seed: seed must be a whole number from 0 to 2^64 - 1",
        ),
        ('{"type": "seed", "seed": ' + DIGITS + "}", "seed: seed must be a whole number"),
        ('{"type": "steer", "forward": "1"}', "steer: forward must be a number"),
        ('{"type": "steer", "up": true}', "steer: up must be a number"),
        ('{"type": "steer", "roll": null}', "steer: roll must be a number"),
        ('{"type": "steer", "yaw": NaN}', "steer: yaw must be finite"),
        ('{"type": "steer", "yaw": -Infinity}', "steer: yaw must be finite"),
        ('{"type": "steer", "yaw": ' + DIGITS + "}", "steer: yaw must be finite"),
        ('{"type": "drag", "dx": 1}', "drag: dy is missing"),
        (
            '{"type": "drag", "dx": 1, "dy": 1e9}',
            "drag: dy must be a number from -4000 to 4000",
        ),
        ('{"type": "drag", "dx": -' + DIGITS + ', "dy": 0}', "drag: dx must be finite"),
        ('{"type": "\\ud800"}', r"no message of type '\ud800'"),
    ],
    ids=str,
)
def test_what_is_no_message_is_refused_with_a_line(text, complaint):
    with pytest.raises(UserError) as refused:
        parse_message(text)
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)
    assert json.loads(encoded(LiveEvent("warning", str(refused.value))))["type"] == "event"


def test_what_the_page_sends_is_known_here():
    """Every `type: "..."` of the page's scripts is a message, with that message's fields."""
    sent = re.findall(r'(?:send|stringify)\(\{ type: "(\w+)", ([^}]*) \}', SCRIPT)
    assert {kind for kind, _ in sent} == set(FROM_VIEWER)
    for kind, rest in sent:
        names = {part.split(":")[0].strip() for part in rest.split(",")}
        expected = {field.name for field in fields(FROM_VIEWER[kind])}
        assert names == ({"...rates"} if kind == "steer" else expected), kind
    [rates] = re.findall(r"const rates = \{ ([^}]*) \}", SCRIPT)
    assert {part.split(":")[0].strip() for part in rates.split(",")} == {
        field.name for field in fields(Steer)
    }
    assert set(re.findall(r'press\("(\w+)"\)', SCRIPT)) == set(get_args(Switchable))
    assert set(re.findall(r'move\("(\w+)", ', SCRIPT)) == set(get_args(Threshold))


def test_every_switch_has_its_command():
    assert set(SWITCHES) == set(get_args(Switchable))


def kinds_within(kind: Any) -> set[Any]:
    """A dataclass, and those that its fields hold."""
    found = {kind}
    for hint in get_type_hints(kind).values():
        for part in (hint, *get_args(hint), *(p for a in get_args(hint) for p in get_args(a))):
            if is_dataclass(part):
                found |= kinds_within(part)
    return found


TO_VIEWER = sorted(
    set().union(*map(kinds_within, (*get_args(ToViewer), FrameHeader))), key=lambda k: k.__name__
)


@pytest.mark.parametrize("kind", TO_VIEWER, ids=lambda kind: kind.__name__)
def test_the_page_reads_every_field_that_it_gets(kind):
    for field in fields(kind):
        read = rf'\.{field.name}\b|"{field.name}"|[{{,] {field.name}\b'  # or taken apart
        assert re.search(read, SCRIPT), f"{kind.__name__}.{field.name}"


def test_every_message_is_one_of_those_and_says_what_it_is():
    """None lies about unused, and each has a docstring of its own: a dataclass makes one up."""
    values = (*vars(from_viewers).values(), *vars(to_viewers).values())
    there: set[Any] = {kind for kind in values if is_dataclass(kind)}
    assert there == {*TO_VIEWER, *FROM_VIEWER.values()}
    assert [kind for kind in there if (kind.__doc__ or "").startswith(f"{kind.__name__}(")] == []
