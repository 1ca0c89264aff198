"""Addresses of cameras and streams: what is one, and what of it is shown."""

import os
import pty

import pytest

from endoforge.captures.addresses import live_address, shown_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam/room", "rtsp://cam/room"),
        ("rtsp://eve:secret@cam:554/room", "rtsp://***@cam:554/room"),
        ("rtsp://eve:a/b@c?d#e@cam/room", "rtsp://***@cam/room"),
        ("HTTP://cam/v?user=eve&pwd=secret", "HTTP://cam/v?***"),
        ("https://cam/v#key=secret", "https://cam/v#***"),
        ("https://cam/v?", "https://cam/v"),
        ("udp://@:5000", "udp://@:5000"),
        ("ftp://eve:secret@host/x", "ftp://***@host/x"),
        ("/dev/video0", "/dev/video0"),
        ("C:\\clips\\a.mp4", "C:\\clips\\a.mp4"),
    ],
)
def test_nothing_secret_is_shown(address, shown):
    assert shown_address(address) == shown


def test_an_address_does_not_tell_its_password_when_it_is_printed():
    found = live_address("rtsp://eve:secret@cam/room")
    assert found is not None
    assert found.address == "rtsp://eve:secret@cam/room"
    assert "secret" not in repr(found)


def test_files_are_no_addresses(tmp_path):
    for path in ("a.mp4", "folder/", str(tmp_path), "C:\\a.mp4", "/dev/shm", "a:b.mp4"):
        assert live_address(path) is None


def test_a_character_device_is_one():
    """A terminal, for want of a camera."""
    master, slave = pty.openpty()
    found = live_address(os.ttyname(slave))
    assert found is not None
    assert found.scheme is None
    os.close(master)
    os.close(slave)
