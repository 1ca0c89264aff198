"""Which picture goes out, and with which boxes."""

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.tracking.tracker import Tracker
from endoforge.view import encoding as encoding_module
from endoforge.view.encoding import PATIENCE_S, Encoding
from endoforge.view.frame import WorldFrame
from endoforge.view.live_tracks import Sighting, make_sighting
from endoforge.view.score import compare_with_truth

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


class Desk:
    """An encoding whose steps are done one by one, by a clock that stands still."""

    def __init__(self, colon, clock) -> None:
        self.colon, self.clock = colon, clock
        self.found: Sighting | None = None
        self.sent: list[tuple[int, int | None]] = []
        self.encoding = Encoding(self._note, lambda: self.found)

    def frame(self, number):
        rgb = np.zeros((64, 96, 3), np.uint8)
        stats = np.zeros((24, 6), np.int32)
        return WorldFrame(number, rgb, stats, self.colon.run.states[0], self.colon)

    def render(self, number):
        frame = self.frame(number)
        self.encoding.frames.put(frame)
        self.encoding.step(0)
        return frame

    def look_at(self, frame):
        compared = compare_with_truth(frame, NOTHING, ("polyp",), by_kind=False)
        tracked = Tracker().update(NOTHING, 0.0, frame.rgb)
        self.found = make_sighting(frame, compared, tracked, np.zeros(0, np.int64))
        self.encoding.step(0)

    def _note(self, packet):
        length = struct.unpack("<I", packet.data[:4])[0]
        header = json.loads(packet.data[4 : 4 + length])
        self.sent.append((header["frame"], header["looked_at"]))


@pytest.fixture
def desk(colon, monkeypatch):
    clock = SimpleNamespace(now_s=1000.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(encoding_module, "time", clock)
    return Desk(colon, clock)


def test_a_picture_waits_for_its_own_boxes(desk):
    """Frames 2 and 4 are detected on, each while the next one is there already."""
    second = desk.render(1) and desk.render(2)
    desk.look_at(second)
    desk.sent.clear()
    desk.render(3)
    fourth = desk.render(4)
    desk.render(5)
    assert desk.sent == []
    desk.look_at(fourth)
    assert desk.sent == [(4, 4)]
    assert desk.encoding.dropped == 1, "frame 3"


def test_newest_first_shows_what_comes_with_the_boxes_that_there_are(desk):
    desk.look_at(desk.render(1))
    desk.encoding.newest_first = True
    desk.sent.clear()
    desk.render(2)
    desk.render(3)
    assert desk.sent == [(2, 1), (3, 1)]


def test_while_nothing_is_detected_pictures_dont_wait(desk):
    """As before the first one, and while the detector fails."""
    desk.render(1)
    first = desk.render(2)
    assert desk.sent == [(1, None), (2, None)]
    desk.look_at(first)
    desk.found = None
    desk.render(3)
    assert desk.sent[-1] == (3, None)


def test_a_detector_that_hangs_isnt_waited_for_and_nothing_goes_back(desk):
    desk.look_at(desk.render(1))
    desk.render(2)
    desk.clock.now_s += PATIENCE_S + 0.1
    third = desk.render(3)
    desk.render(4)
    assert desk.sent[-2:] == [(3, 1), (4, 1)]
    desk.look_at(third)
    assert desk.sent[-1][0] == 4, "3 is the past"
    desk.look_at(desk.render(5))
    assert desk.sent[-1] == (5, 5)


def test_a_pause_isnt_taken_for_a_detector_that_hangs(desk):
    desk.look_at(desk.render(1))
    desk.clock.now_s += 60
    desk.sent.clear()
    desk.encoding.step(0)
    assert desk.sent == [(1, 1)], "it goes out again and again"
    desk.look_at(desk.render(2))
    assert desk.sent[1:] == [(2, 2)]


def test_the_same_picture_with_other_boxes_goes_out(desk):
    first = desk.render(1)
    desk.look_at(first)
    desk.sent.clear()
    desk.look_at(first)
    assert desk.sent == [(1, 1)]
