"""A video from any of its moments on gives what it gives from its beginning."""

import pytest

from endoforge.captures.played_video import PlayedVideo
from tests.captures.test_video import MS, grey, greys, read, save

KINDS = ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.mov"]


def played(path, begin):
    frames = list(PlayedVideo(path).frames(begin))
    return tuple(zip(*frames, strict=True)) if frames else ((), ())


@pytest.mark.parametrize("name", KINDS)
def test_from_any_moment_on_the_same_frames_come(tmp_path, name):
    """Key frames lie 12 apart, and frames between them are reordered."""
    options = {"g": "12", "bf": "3"}
    path = save(tmp_path / name, [grey(n) for n in range(60)], **options)
    _, seconds, pictures = read(path)
    assert greys(pictures) == list(range(60))
    for first in (0, 1, 11, 12, 13, 30, 59):
        times, found = played(path, seconds[first])
        assert greys(found) == list(range(first, 60))
        assert times == pytest.approx(seconds[first:], abs=2e-3)


def test_beyond_its_end_nothing_comes(tmp_path):
    path = save(tmp_path / "a.mp4", [grey(n) for n in range(10)])
    assert played(path, 5.0) == ((), ())


def test_frames_without_a_constant_rate_come_at_their_times(tmp_path):
    times = [0, 40, 1000, 1100, 3000]
    path = save(tmp_path / "a.mkv", [grey(n) for n in range(5)], ticks=times, unit=MS)
    found, pictures = played(path, 0.5)
    assert found == pytest.approx([1.0, 1.1, 3.0], abs=1e-3)
    assert greys(pictures) == [2, 3, 4]


def test_what_is_damaged_is_left_out_and_counted(tmp_path):
    path = save(tmp_path / "a.mkv", [grey(n) for n in range(30)], codec="mjpeg", layout="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(data)
    video = PlayedVideo(path)
    count = len(list(video.frames()))
    assert count < 30
    assert video.left_out() == [f"{30 - count} x frame: not decoded whole"]
