"""What is nested too deep, or too long a number, is an error like any other."""

import pytest

from endoforge.core.parsing import parse_json, parse_toml


def test_values_are_read() -> None:
    assert parse_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    assert parse_toml("a = [1, 2.5]") == {"a": [1, 2.5]}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "{", ""], ids=lambda text: text[:3]
)
def test_json_that_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "{a = " * 5000, "a = " + "1" * 5000, "a"]
)
def test_toml_that_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_toml(text)
