"""The detector that is at work: missing, broken, appearing, replaced, throwing."""

import hashlib
import shutil
import time

import numpy as np
import pytest

from endoforge.core.errors import UserError
from endoforge.view import live_detection
from endoforge.view.events import Events
from endoforge.view.frame import WorldFrame
from endoforge.view.keeper import Keeper, Thresholds
from endoforge.view.live_detection import MOST_HZ, MOST_HZ_BESIDE, Detecting
from endoforge.view.session import Session

from .conftest import SEED, FakeDetector, InProcessPainter, small_config, until


def here(model):
    """Detect on torch's CPU."""
    return model


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def checkpoint(tmp_path):
    return tmp_path / "tinydet.safetensors"


@pytest.fixture
def keeper(checkpoint, events, detector):
    return Keeper(str(checkpoint), here, Thresholds(0.3, 0.5), events, lambda: detector)


def texts(events, level):
    return [event.text for event in events.last() if event.level == level]


def frame_of(colon, number=1):
    stats = np.zeros((24, 6), np.int32)
    stats[0] = (500, 500, 24, 16, 48, 32)
    rgb = np.zeros((64, 96, 3), np.uint8)
    return WorldFrame(number, rgb, stats, colon.run.states[0], colon)


def test_without_a_checkpoint_the_heuristic_takes_over_and_says_why(keeper, events, detector):
    assert keeper.current() is detector
    assert keeper.mode == "heuristic"
    assert "no such checkpoint" in keeper.fallback
    [warning] = texts(events, "warning")
    assert "no such checkpoint" in warning
    assert "heuristic detector takes over" in warning
    keeper.look()
    keeper.look()
    assert len(texts(events, "warning")) == 1, "it is said once"


def test_a_checkpoint_that_appears_is_taken(keeper, checkpoint, lively, events):
    keeper.current()
    shutil.copy(lively, checkpoint)
    keeper.look()
    assert keeper.mode == "neural"
    assert keeper.fallback is None
    assert keeper.current().kind == "neural"
    digits = hashlib.sha256(lively.read_bytes()).hexdigest()[:8]
    assert keeper.weights == f"{checkpoint} {digits}"
    keeper.wanted = "heuristic"
    assert keeper.weights is None
    assert any("loaded" in text for text in texts(events, "info"))


def test_other_weights_stand_in_until_the_file_is_there(
    checkpoint, lively, events, detector, tmp_path
):
    stand_in = tmp_path / "packaged.safetensors"
    shutil.copy(lively, stand_in)
    thresholds = Thresholds(0.3, 0.5)
    keeper = Keeper(
        str(checkpoint),
        here,
        thresholds,
        events,
        lambda: detector,
        stand_in=stand_in,
    )
    first = keeper.current()
    assert (keeper.mode, keeper.fallback, first.kind) == ("neural", None, "neural")
    assert "weights that come with EndoForge" in texts(events, "info")[-1]
    assert str(keeper.weights).startswith("packaged ")
    shutil.copy(lively, checkpoint)
    keeper.look()
    assert keeper.current() is not first
    assert f"{checkpoint}: loaded again" in texts(events, "info")[-1]
    checkpoint.write_bytes(b"broken")
    keeper.look()
    assert keeper.current() is detector, "a file that is there is never passed over in silence"
    assert keeper.fallback is not None
    assert str(checkpoint) in keeper.fallback


def test_it_is_looked_at_by_itself_while_frames_are_detected(keeper, checkpoint, lively):
    keeper.current()
    shutil.copy(lively, checkpoint)
    keeper._next_look = 0.0
    assert keeper.current().kind == "neural"


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x10\0\0\0\0\0\0\0{}"])
def test_a_broken_checkpoint_is_told_in_a_line(keeper, checkpoint, events, content):
    checkpoint.write_bytes(content)
    assert keeper.current().kind == "heuristic"
    assert str(checkpoint) in keeper.fallback
    assert "\n" not in keeper.fallback
    assert len(texts(events, "warning")) == 1


def test_a_replaced_checkpoint_is_loaded_again(keeper, checkpoint, lively, events):
    shutil.copy(lively, checkpoint)
    first = keeper.current()
    fresh = checkpoint.with_suffix(".new")
    shutil.copy(lively, fresh)
    fresh.rename(checkpoint)
    keeper.look()
    assert keeper.current() is not first
    assert "loaded again" in texts(events, "info")[-1]
    second = keeper.current()
    keeper.look()
    assert keeper.current() is second, "the same file isn't loaded twice"


def test_it_breaks_and_vanishes_and_comes_back(keeper, checkpoint, lively, events, detector):
    shutil.copy(lively, checkpoint)
    assert keeper.current().kind == "neural"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    keeper.look()
    assert keeper.current() is detector
    assert keeper.mode == "heuristic"
    checkpoint.unlink()
    keeper.look()
    assert "no such checkpoint" in keeper.fallback
    shutil.copy(lively, checkpoint)
    keeper.look()
    assert keeper.current().kind == "neural"
    assert len(texts(events, "warning")) == 2


def test_the_user_may_want_the_heuristic_one(keeper, checkpoint, lively, detector):
    shutil.copy(lively, checkpoint)
    keeper.wanted = "heuristic"
    assert keeper.current() is detector
    assert keeper.mode == "heuristic"
    assert keeper.fallback is None, "it is no fallback: it was asked for"


def test_thresholds_are_passed_on_live(keeper, detector):
    keeper.current()
    # A third of what is shown: weaker detections continue tracks.
    assert detector.thresholds == (pytest.approx(0.1), 0.5)
    keeper.thresholds = Thresholds(0.45, 0.6)
    keeper.current()
    assert detector.thresholds == (pytest.approx(0.15), 0.6)


def test_with_no_detector_at_all_the_view_goes_on(checkpoint, events, colon):
    def none():
        raise ImportError("no such module")

    keeper = Keeper(str(checkpoint), here, Thresholds(0.3, 0.5), events, none)
    work = Detecting(keeper, events, most_hz=lambda: 100)
    look_now(work, frame_of(colon))
    assert work.found is None
    state = work.reading()
    assert state.mode == "heuristic"
    assert state.error is not None
    assert "no such module" in state.error
    assert state.fallback is not None
    assert "no such checkpoint" in state.fallback
    [told] = texts(events, "error")
    assert "no such module" in told


@pytest.fixture
def work(keeper, events, monkeypatch):
    monkeypatch.setattr(live_detection, "RETRY_S", 0.05)
    work = Detecting(keeper, events, most_hz=lambda: 200)
    work.start()
    yield work
    work.end()
    work.join(5)
    assert not work.is_alive()


def test_a_detector_that_throws_is_told_once_and_tried_again(
    work, colon, detector: FakeDetector, events
):
    detector.failure = RuntimeError("out of\nmemory")
    for number in range(5):
        work.look_at(frame_of(colon, number))

        def is_seen(number: int = number) -> bool:
            return detector.calls > number

        until(is_seen)
    assert work.reading().error == "the detector failed: RuntimeError: out of memory"
    [told] = texts(events, "error")
    assert "tried again" in told
    assert work.found is None
    detector.failure = None
    last = frame_of(colon, 9)
    work.look_at(last)
    until(lambda: work.found is not None and work.reading().error is None)
    assert detector.seen is last.rgb
    assert texts(events, "info")[-1] == "the detector works again"


@pytest.fixture
def idle(keeper, events):
    """Whose thread isn't started: what it does is done step by step."""
    return Detecting(keeper, events, most_hz=lambda: 200)


def look_now(work, frame=None):
    """Do as the thread does: with a frame that comes now, or that waits."""
    if frame is not None:
        work.look_at(frame)
    taken = work._take(0)
    assert taken is not None
    work._detect(taken)


def while_it_looks(monkeypatch, detector, do):
    """Have something done once, by another thread as it were, in the middle of a detection."""
    detect, left = detector.detect, [do]

    def slowly(frame):
        if left:
            left.pop()()
        return detect(frame)

    monkeypatch.setattr(detector, "detect", slowly)


def test_what_is_forgotten_while_it_is_looked_for_is_neither_shown_nor_counted(
    idle, colon, detector, monkeypatch
):
    """As when the colon changes: the detector is still at a picture of the one before."""
    while_it_looks(monkeypatch, detector, idle.forget_pictures)
    look_now(idle, frame_of(colon, 1))
    assert detector.calls == 1
    assert idle.reading().count == 0
    assert idle.setting == ""  # nothing was counted
    look_now(idle, frame_of(colon, 2))
    assert idle.found is not None
    assert idle.score.reading(idle.setting, shown=True).since_reset.tp == 1


def test_forgotten_pictures_are_not_looked_at_again(idle, colon):
    look_now(idle, frame_of(colon, 1))
    idle.forget_pictures()
    idle.again()
    assert idle.frames.empty
    idle.look_at(frame_of(colon, 2))
    idle.forget_pictures()
    assert idle._take(0) is None, "one that waited"
    idle.look_at(frame_of(colon, 3))
    taken = idle._take(0)
    idle.forget_pictures()  # while weights are loaded
    idle._detect(taken)
    assert idle.found is None


def test_tracks_begin_anew_after_what_was_forgotten(idle, colon, detector, monkeypatch):
    begun = []
    monkeypatch.setattr(idle._tracking, "forget", lambda: begun.append(detector.calls))
    look_now(idle, frame_of(colon, 1))
    idle.forget_pictures()
    while_it_looks(monkeypatch, detector, idle.forget_pictures)  # once more
    look_now(idle, frame_of(colon, 2))
    assert begun == [2]
    look_now(idle, frame_of(colon, 3))
    look_now(idle, frame_of(colon, 4))
    assert begun == [2, 3]


def test_a_frame_is_counted_for_the_detector_that_is_wanted_by_then(
    idle, colon, detector, monkeypatch
):
    """Which is changed while the one of before looks at it."""
    counted = []
    monkeypatch.setattr(idle.score, "add", lambda _, setting: counted.append(setting))

    def change():
        idle.keeper.thresholds = Thresholds(0.45, 0.5)
        idle.forget()
        idle.again()

    while_it_looks(monkeypatch, detector, change)
    look_now(idle, frame_of(colon, 1))
    assert counted == []
    look_now(idle)
    assert len(counted) == 1
    assert "objectness 0.45" in counted[0]


def test_other_weights_look_at_the_frame_at_hand_not_at_the_one_before(
    idle, colon, detector, monkeypatch, tmp_path
):
    counted = []
    monkeypatch.setattr(idle.score, "add", lambda *_: counted.append(detector.seen))
    monkeypatch.setattr(idle.keeper, "choose", lambda _: None)
    first, second = frame_of(colon, 1), frame_of(colon, 2)
    look_now(idle, first)
    idle.look_at(second)
    taken = idle._take(0)
    idle._choose(tmp_path)
    idle._detect(taken)
    look_now(idle)
    assert detector.seen is second.rgb
    assert len(counted) == 2, "each frame once"
    assert counted[0] is first.rgb
    assert counted[1] is second.rgb


def test_what_is_found_is_counted_once_a_frame(work, colon, detector):
    """The detection is exactly the one polyp's box: (24, 16, 48, 32) of 96 x 64."""
    work.look_at(frame_of(colon, 1))
    until(lambda: work.found is not None)
    assert work.found.found.hits == (True,)
    work.again()
    until(lambda: detector.calls == 2)
    work.end()
    work.join(5)
    assert work.score.reading(work.setting, shown=True).since_reset.tp == 1, (
        "the same frame again counts nothing"
    )
    state = work.reading()
    assert state.count == 1
    assert state.ms_median is not None


def test_other_weights_can_be_chosen_and_broken_ones_leave_those_before(
    keeper, checkpoint, lively, tmp_path
):
    shutil.copy(lively, checkpoint)
    best, broken = tmp_path / "best.safetensors", tmp_path / "broken.safetensors"
    shutil.copy(lively, best)
    broken.write_bytes(b"no weights")
    first = keeper.current()
    keeper.choose(best)
    chosen = keeper.current()
    assert chosen is not first
    assert keeper.chosen == str(best)
    with pytest.raises(UserError, match=r"broken\.safetensors"):
        keeper.choose(broken)
    assert keeper.current() is chosen
    checkpoint.unlink()
    keeper.look()
    assert keeper.current() is chosen, "what isn't chosen may vanish"
    shutil.copy(lively, best)
    keeper.look()
    assert keeper.current() is not chosen, "and what is chosen be another one"
    keeper.wanted = "heuristic"
    keeper.choose(best)
    assert keeper.mode == "neural", "who chooses weights wants them to be used"


def test_the_view_tells_what_it_could_and_could_not_load(work, colon, lively, events, tmp_path):
    work.look_at(frame_of(colon))
    until(lambda: work.found is not None)
    work.choose(tmp_path / "nothing.safetensors")
    until(lambda: any("the heuristic detector stays" in text for text in texts(events, "error")))
    work.choose(lively)
    until(lambda: work.reading().mode == "neural")
    until(lambda: work.reading().count > 1)
    assert texts(events, "info")[-1] == f"{work.keeper.weights}: loaded"


TWO = (0.25, 0.25, 0.5, 0.5), (0.7, 0.7, 0.9, 0.9)
"""The polyp's box, and one where there is nothing."""


def test_two_detectors_count_the_same_frames_apart(work, colon, detector):
    """The first finds the polyp; the second, too, and something else. Both had counts before."""
    work.look_at(frame_of(colon, 1))
    until(lambda: work.found is not None)
    work.keeper._make_heuristic = lambda: FakeDetector(*TWO)
    work.choose_second(None)
    until(lambda: work.found.second is not None)
    for number in (2, 3):
        work.look_at(frame_of(colon, number))

        def is_looked_at(number: int = number) -> bool:
            return bool(work.found.frame.number == number)

        until(is_looked_at)
    until(lambda: work.reading().second.since_reset.tp == 2)
    second, first = work.reading().second, work.score.reading(work.setting, shown=True)
    counted = second.since_reset
    assert (counted.tp, counted.fp, counted.fn, counted.precision) == (2, 2, 0, 0.5)
    assert (first.since_reset.tp, first.since_reset.fp) == (2, 0)
    assert (second.name, second.at_work, second.count) == (
        "heuristic", "the heuristic detector", 2,
    )  # fmt: skip
    assert second.ms_median is not None

    work.second.keeper.thresholds = Thresholds(0.6, 0.5)  # its second box has 0.5
    work.look_at(frame_of(colon, 4))
    until(lambda: work.reading().second.count == 1)
    until(lambda: work.score.reading(work.setting, shown=True).since_reset.tp == 1)
    assert work.reading().second.since_reset.fp == 0, "both begin anew"
    assert detector.thresholds == (pytest.approx(0.1), 0.5), "the first one's are its own"
    work.drop_second()
    until(lambda: work.reading().second is None and work.found.second is None)


def test_a_second_detector_that_is_broken_or_throws_leaves_the_first_alone(
    work, colon, events, tmp_path
):
    work.choose_second(tmp_path / "nothing.safetensors")
    until(lambda: any("second detector: none, as before" in t for t in texts(events, "error")))
    other = FakeDetector()
    other.failure = RuntimeError("out of memory")
    work.keeper._make_heuristic = lambda: other
    work.choose_second(None)
    until(lambda: work.second is not None)
    work.keeper._make_heuristic = FakeDetector
    work.look_at(frame_of(colon, 1))
    until(lambda: work.found is not None)
    assert work.reading().second.error == "the second detector failed: RuntimeError: out of memory"
    assert work.error is None
    assert work.found.second is None


class FakeTime:
    """A clock that goes on when something waits, in the place of `time` and of an event."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    perf_counter = monotonic

    def is_set(self) -> bool:
        return self.now_s >= 1000.99  # not at 1001: sums of 0.05 miss it by a little

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def test_detections_come_no_faster_than_they_may(colon, keeper, events, monkeypatch):
    """20 a second, though each takes 0.01 s and a new frame always waits."""
    clock, began = FakeTime(), []

    class Busy(FakeDetector):
        def detect(self, frame):
            began.append(clock.now_s)
            clock.now_s += 0.01
            paced.look_at(frame_of(colon))
            return super().detect(frame)

    keeper._make_heuristic = Busy
    monkeypatch.setattr(live_detection, "time", clock)
    paced = Detecting(keeper, events, most_hz=lambda: 20)
    monkeypatch.setattr(paced, "_ended", clock)
    paced.look_at(frame_of(colon))
    paced.run()
    assert len(began) == 20
    assert np.diff(began) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("cores", "newest_first", "most_hz"),
    [(2, False, MOST_HZ), (2, True, MOST_HZ_BESIDE), (8, True, MOST_HZ)],
)
def test_only_pictures_shown_with_older_boxes_are_detected_on_less_often(
    tmp_path, monkeypatch, cores, newest_first, most_hz
):
    """A picture that is shown with its own boxes has to wait for them."""
    monkeypatch.setattr("endoforge.view.session.cpu_cores", lambda: cores)
    session = Session(small_config(tmp_path), SEED, make_painter=InProcessPainter)
    session.encoding.newest_first = newest_first
    assert session._most_hz() == most_hz


def test_it_detects_on_webgpu_what_it_detects_on_torch(webgpu, checkpoint, lively, events, colon):
    shutil.copy(lively, checkpoint)
    found = []
    for place in (here, webgpu.net):
        keeper = Keeper(str(checkpoint), place, Thresholds(0.3, 0.5), events)
        work = Detecting(keeper, events, most_hz=lambda: 100)
        work.start()
        work.look_at(frame_of(colon))
        until = time.monotonic() + 60
        while work.found is None and work.error is None and time.monotonic() < until:
            time.sleep(0.01)
        work.end()
        work.join()
        assert (keeper.mode, work.error) == ("neural", None)
        assert work.found is not None
        found.append(work.found.found.detections)
    assert len(found[0]) > 0
    assert np.allclose(found[0].boxes, found[1].boxes, atol=1e-4)
    assert np.allclose(found[0].scores, found[1].scores, atol=1e-4)


class ForgottenAtOnce(Detecting):
    """What it found is taken back by another thread at once, as when the colon changes."""

    @property
    def found(self):
        return None

    @found.setter
    def found(self, _value):
        pass


def test_a_colon_that_changes_while_one_counts_ends_nothing(keeper, events, colon):
    """The thread that detects died of it, and nothing was found any more."""
    work = ForgottenAtOnce(keeper, events, most_hz=lambda: MOST_HZ)
    look_now(work, frame_of(colon))
    assert work.error is None
    counted = work.score.counts(work.setting)
    assert counted.tp + counted.fn == 1
