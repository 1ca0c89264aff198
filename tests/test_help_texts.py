"""What --help says of flags."""

import pytest

from endoforge import cli


def help_of(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        cli.run([command, "--help"])
    return capsys.readouterr().out


def test_a_line_ends_where_the_terminal_does_and_not_where_the_source_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = help_of("detect", monkeypatch, capsys).splitlines()
    assert any(
        "hold; of capture runs the images are taken, and nothing that" in line for line in lines
    )


def test_defaults_that_say_nothing_are_not_shown_and_zeros_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = " ".join(help_of("train", monkeypatch, capsys).replace("│", " ").split())
    assert "(default: None)" not in said
    assert "(default: False)" not in said
    assert "(default: 0)" in said
    assert "(default: checkpoints)" in said
