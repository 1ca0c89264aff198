"""What `sim-view` says at its start, and what it doesn't start with."""

import pytest

from endoforge.core.errors import UserError
from endoforge.view import serving
from endoforge.view.security import watch_token
from endoforge.view.serving import addresses, run_view

from .conftest import SEED, small_config


def test_an_output_root_that_is_a_file_is_refused_at_the_start(tmp_path):
    (tmp_path / "captures").write_text("no folder")
    with pytest.raises(UserError, match=r"--output-root .*captures: is there, but is no folder"):
        run_view(small_config(tmp_path, port=0), SEED)


def test_listening_everywhere_names_addresses_and_says_what_is_not_encrypted(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(serving, "addresses", lambda: ["192.0.2.7", "this-machine"])
    serving._say(small_config(tmp_path, host="0.0.0.0"), 8765, "s3cret")
    said = capsys.readouterr().out
    assert "open http://192.0.2.7:8765/?token=s3cret " in said
    assert "or http://this-machine:8765/?token=s3cret\n" in said
    watching = watch_token("s3cret")
    assert f"to watch only: http://192.0.2.7:8765/?token={watching}\n" in said
    assert "the connection isn't\n  encrypted" in said
    assert "ssh -L 8765:127.0.0.1:8765" in said


def test_one_address_to_listen_on_is_the_one_to_open(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serving, "addresses", lambda: ["192.0.2.7", "this-machine"])
    serving._say(small_config(tmp_path, host="192.0.2.9"), 8765, "s3cret")
    said = capsys.readouterr().out
    assert "open http://192.0.2.9:8765/?token=s3cret " in said
    assert "this-machine" not in said


def test_this_machine_has_an_address():
    assert all(addresses())
