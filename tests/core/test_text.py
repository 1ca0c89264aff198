"""Text in the encodings that other programs write."""

import pytest

from endoforge.core.text import as_utf8, counted, decode_text, printable, size_in_words

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("polié 息肉.png", "polié 息肉.png"),
        ("a\x1b]0;title\x07b\n", r"a\x1b]0;title\x07b\n"),
        (b"caf\xe9.png".decode("utf-8", "surrogateescape"), r"caf\xe9.png"),
        ("right\u202eto left", r"right\u202eto left"),
    ],
)
def test_a_text_from_a_file_is_shown_as_one_plain_line(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown.encode()


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(0, "0.0 MB"), (29_300_000, "29.3 MB"), (10**9, "1.0 GB"), (3_932_160_000, "3.9 GB")],
)
def test_sizes_are_told_in_words(num_bytes: int, words: str) -> None:
    assert size_in_words(num_bytes) == words


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (0, "frame", "0 frames"),
        (1, "box", "1 box"),
        (2, "box", "2 boxes"),
        (2, "class", "2 classes"),
        (20_000, "usable frame", "20,000 usable frames"),
    ],
)
def test_what_is_counted_is_one_or_several(number: int, what: str, said: str) -> None:
    assert counted(number, what) == said
