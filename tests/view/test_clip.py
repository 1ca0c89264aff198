"""A clip of what was shown: its length, its times, its boxes."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

import endoforge
from endoforge.captures.played_video import PlayedVideo
from endoforge.core.errors import UserError
from endoforge.view import clip
from endoforge.view.clip import ClipMaker, LastSeconds
from endoforge.view.encoding import jpeg
from endoforge.view.frame import PlainFrame
from endoforge.view.to_viewers import FoundBox, FrameHeader, TrueBox

SIZE = 320, 192
GREY = jpeg(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
DRAW = Path(endoforge.__file__).parent / "view/static/js/draw.js"
WHOLE = object()


def header(number, *boxes, truth=None):
    return FrameHeader(number, number, tuple(boxes), truth)


def frame(number, seconds, size=SIZE):
    return PlainFrame(number, np.zeros((size[1], size[0], 3), np.uint8), seconds, WHOLE)


def kept_of(*seconds):
    kept = LastSeconds()
    for number, second in enumerate(seconds, 1):
        kept.add(frame(number, second), header(number), GREY)
    return kept


def times(kept):
    first, *_ = pictures = kept.pictures()
    return [round(shown.seconds - first.seconds, 3) for shown in pictures]


def played(data, folder):
    path = folder / "clip.mp4"
    path.write_bytes(data)
    return list(PlayedVideo(path).frames())


def test_the_last_twenty_seconds_are_kept_and_no_more():
    kept = kept_of(*(number / 4 for number in range(200)))
    assert times(kept)[-1] == 20.0
    assert [shown.header.frame for shown in kept.pictures()] == list(range(120, 201))


def test_of_large_pictures_fewer_are_kept(monkeypatch):
    monkeypatch.setattr(clip, "MOST_BYTES", 5 * len(GREY))
    kept = kept_of(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert [shown.header.frame for shown in kept.pictures()] == [3, 4, 5, 6, 7]


def test_a_picture_that_goes_out_again_is_there_once_with_its_newest_boxes():
    kept = LastSeconds()
    shown, box = frame(1, 0.0), FoundBox((0.1, 0.1, 0.2, 0.2), 0.9, "polyp", 1, True, None)
    kept.add(shown, header(1), GREY)
    kept.add(shown, header(1, box), GREY)
    [picture] = kept.pictures()
    assert picture.header.boxes == (box,)


def test_a_clip_has_the_times_of_its_pictures_and_a_leap_is_a_cut(tmp_path):
    """From 0.7 s to a minute later, and back; these gaps are at most a tenth of a second."""
    made = ClipMaker(kept_of(0.0, 0.04, 0.5, 0.7, 60.0, 61.5, 3.0, 3.25)).make(with_boxes=False)
    found = [seconds for seconds, _ in played(made, tmp_path)]
    steps = np.diff(found)
    assert steps[[0, 1, 2, 4, 6]] == pytest.approx([0.04, 0.46, 0.2, 1.5, 0.25], abs=1e-4)
    assert (steps[[3, 5]] <= 0.1).all()


def test_a_picture_of_another_size_begins_anew():
    kept = kept_of(0.0, 0.1)
    kept.add(frame(3, 0.2, (64, 48)), header(3), GREY)
    assert [shown.header.frame for shown in kept.pictures()] == [3]


def far_from_grey(rgb, x, y):
    return np.abs(rgb[y - 3 : y + 3, x - 3 : x + 3].astype(int) - 90).max() > 60


def test_boxes_are_drawn_if_they_are_wanted(tmp_path):
    """A track's left edge is at 160, a missed polyp's at 32; between them nothing."""
    track = FoundBox((0.5, 0.5, 0.75, 0.75), 0.9, "polyp", 7, True, False)
    missed = TrueBox((0.1, 0.5, 0.3, 0.75), "Is", False)
    kept = LastSeconds()
    kept.add(frame(1, 0.0), header(1, track, truth=(missed,)), GREY)
    places = [(160, 120), (32, 120), (128, 120)]
    for with_boxes, seen in ((True, [True, True, False]), (False, [False] * 3)):
        [(_, rgb)] = played(ClipMaker(kept).make(with_boxes=with_boxes), tmp_path)
        assert [bool(far_from_grey(rgb, *place)) for place in places] == seen


def test_without_a_picture_and_while_one_is_made_it_says_so(monkeypatch):
    with pytest.raises(UserError, match="no picture was shown yet"):
        ClipMaker(LastSeconds()).make(with_boxes=True)
    maker, begun, go_on = ClipMaker(kept_of(0.0)), threading.Event(), threading.Event()
    write = maker._write

    def slowly(*given, **more):
        begun.set()
        assert go_on.wait(30)
        write(*given, **more)

    monkeypatch.setattr(maker, "_write", slowly)
    first = threading.Thread(target=maker.make, kwargs={"with_boxes": True})
    first.start()
    assert begun.wait(30)
    with pytest.raises(UserError, match="being made already"):
        maker.make(with_boxes=True)
    go_on.set()
    first.join(30)
    assert maker.make(with_boxes=True)
    maker.end()
    with pytest.raises(UserError, match="the live view ends"):
        maker.make(with_boxes=True)


@pytest.mark.parametrize(
    ("kind", "color"),
    [
        ("found", clip.TRACK),
        ("hit", clip.HIT),
        ("false", clip.FALSE),
        ("miss", clip.MISS),
        ("truth", clip.TRUTH),
        ("unconfirmed", clip.UNCONFIRMED),
        ("second", clip.SECOND),
    ],
)
def test_colours_are_those_of_the_page(kind, color):
    [code] = re.findall(rf'^  {kind}: \{{ colour: "#(\w+)"', DRAW.read_text(), re.MULTILINE)
    assert bytes.fromhex(code) == bytes(color)
