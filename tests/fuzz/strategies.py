"""Files that are nearly right: one that is, changed in a place or two."""

import copy
from typing import Any

from hypothesis import strategies as st

ESCAPES = "\x1b]0;owned\x07\nendoforge: error: forged"
MOST_LEVELS = 8
"""Of places to change."""


def nested(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


WORDS = ["__proto__", "%00", "a/b", "é", "\u202e", ".inf", "nan", "-1", "$x$", "[red]", "con", "{}"]
TEXTS = st.sampled_from(
    [
        "",
        "polyp",
        ESCAPES,
        "\0",
        "x" * 201,
        "x" * 9999,
        "../../x",
        "/etc/passwd",
        "1" * 5000,
        *WORDS,
    ]
)
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**400), 1e308, 1e-308, 0.5]),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), True, False]),
    st.integers(-100, 100),
    st.floats(),
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    TEXTS,
    NUMBERS,
    st.none(),
    st.sampled_from([[], {}, [[]], [None], {"": {}}, nested(150), [0] * 1000, ["x", 1]]),
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for name, one in inner:
        found.append((*place, name))
        if isinstance(one, dict | list) and len(place) < MOST_LEVELS:
            found += _places(one, (*place, name))
    return found


@st.composite
def changed(draw: st.DrawFn, value: Any, values: st.SearchStrategy[Any] = VALUES) -> Any:
    """`value`, dictionaries and lists, with one to three places replaced, removed or added."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            break
        place = draw(st.sampled_from(places))
        inner = value
        for name in place[:-1]:
            inner = inner[name]
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if how == "remove":
            del inner[place[-1]]
        elif how == "replace":
            inner[place[-1]] = copy.deepcopy(draw(values))
        elif isinstance(inner, dict):
            inner[draw(TEXTS)] = copy.deepcopy(draw(values))
        else:
            inner.append(copy.deepcopy(draw(values)))
    return value


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` cut short, or with a few bytes changed, repeated or put in."""
    spoilt = bytearray(data)
    if draw(st.integers(0, 3)) == 0:
        del spoilt[draw(st.integers(0, len(spoilt))) :]
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(spoilt)))
        piece = draw(st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, b"\0" * 4, b"9" * 30]))
        if draw(st.booleans()):
            spoilt[place : place + len(piece)] = piece
        else:
            spoilt[place:place] = piece
    return bytes(spoilt)
