"""Text in the encodings that other programs write."""

import os

import pytest

from endoforge.core.text import as_utf8, decode_text, printable

TEXT = '{"name": "polié"}'


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_every_unicode_encoding_is_read(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding)) == TEXT
    assert as_utf8(TEXT.encode(encoding)) == TEXT.encode()


def test_other_encodings_are_no_guess() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_text(TEXT.encode("latin-1"))
    assert as_utf8(TEXT.encode("latin-1")) == TEXT.encode("latin-1")


def test_nothing_is_nothing() -> None:
    assert decode_text(b"") == ""
    assert as_utf8(b"") == b""


def test_a_name_that_isnt_utf8_can_be_printed() -> None:
    assert printable(os.fsdecode(b"a/\xff.png")) == "a/\\xff.png"
    assert printable("a/polié.png") == "a/polié.png"
