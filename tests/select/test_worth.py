"""What frames are worth, of scores and tracks that are written down here."""

import numpy as np
import pytest

from endoforge.select.worth import LEAST, Impression, Reason, reasons_of, unsure, worth_of
from endoforge.tracking.tracker import Tracked

FPS = 10


def reason(worth):
    return Reason("passing", worth, "")


@pytest.mark.parametrize(
    ("worths", "expected"),
    [([], 0.1), ([0.5], 1 - 0.9 * 0.5), ([0.5, 0.5], 1 - 0.9 * 0.25), ([1.0, 0.3], 1.0)],
)
def test_reasons_add_up_to_at_most_one(worths, expected):
    assert worth_of(map(reason, worths)) == pytest.approx(expected)
    assert LEAST == 0.1


@pytest.mark.parametrize(
    ("scores", "doubt", "text"),
    [
        ([0.3], 0.9, "unsure of a find of 0.30"),
        ([0.6], 0.45, "unsure of a find of 0.60"),
        ([0.95, 0.1], 0.18, "unsure of a find of 0.10"),
        ([0.8, 0.4, 0.2], 0.75, "unsure of a find of 0.40"),
    ],
)
def test_the_detector_is_unsure_of_the_score_nearest_to_where_it_decides(scores, doubt, text):
    [found] = unsure(np.array(scores, np.float32))
    assert (found.kind, found.text) == ("unsure", text)
    assert found.worth == pytest.approx(doubt, abs=1e-6)


@pytest.mark.parametrize("scores", [[], [0.07], [0.88], [0.97, 0.02]])
def test_of_sure_and_of_hopeless_scores_it_is_sure(scores):
    assert unsure(np.array(scores, np.float32)) == []


def shown(*tracks):
    """The tracks that are shown of a frame: their numbers, and whether they were found there."""
    return Tracked(
        ids=np.array([number for number, _ in tracks], np.int64),
        boxes=np.tile(np.array([0.2, 0.2, 0.6, 0.6], np.float32), (len(tracks), 1)),
        scores=np.full(len(tracks), 0.95, np.float32),
        classes=np.zeros(len(tracks), np.int64),
        matched=np.array([matched for _, matched in tracks], np.bool_),
    )


def stretch(length, spans, lost=(), loose=None):
    """A stretch of `length` frames with tracks 1, 2 ... over `spans`, not found at `lost`."""
    loose = loose or {}
    return [
        Impression(
            np.array([], np.float32),
            loose.get(place, 0.0),
            shown(
                *(
                    (number, place not in lost)
                    for number, span in enumerate(spans, 1)
                    if place in span
                )
            ),
        )
        for place in range(length)
    ]


def places(found, kind):
    return [place for place, reasons in enumerate(found) if kind in [one.kind for one in reasons]]


def reasons_at(length, spans, fps=FPS, **others):
    return reasons_of(np.arange(length) / fps, stretch(length, spans, **others))


def test_where_a_track_begins_and_ends_is_worth_a_look():
    """At ten frames a second, two frames on each side are within 0.2 s."""
    found = reasons_at(60, [range(20, 41)])
    assert places(found, "track_begins") == [18, 19, 20, 21, 22]
    assert places(found, "track_ends") == [38, 39, 40, 41, 42]
    assert places(found, "track_short") == places(found, "track_lost") == []
    [begins] = found[19]
    assert (begins.text, begins.track, begins.worth) == ("track 1 begins", 1, 0.5)
    assert found[30] == found[50] == []


def test_of_slow_frames_the_neighbours_count():
    found = reasons_at(20, [range(8, 12)], fps=1)
    assert places(found, "track_begins") == [7, 8]
    assert places(found, "track_ends") == [11, 12]


def test_what_a_video_begins_and_ends_with_appears_and_vanishes_with_the_video_alone():
    found = reasons_at(30, [range(4, 30)])
    assert found == [[]] * 30


def test_a_track_that_lasts_no_second_is_short():
    found = reasons_at(60, [range(20, 26)])
    assert places(found, "track_short") == list(range(20, 26))
    assert "track 1 lasts 0.5 s" in [one.text for one in found[23]]


def test_where_a_track_breaks_off_and_goes_on_a_lesion_is_missed():
    found = reasons_at(60, [range(10, 40)], lost=(20, 21))
    assert places(found, "track_lost") == [20, 21]
    assert (found[20][0].worth, found[20][0].text) == (0.7, "track 1 breaks off")


def test_a_track_ends_where_it_was_found_last_not_where_it_was_given_up():
    found = reasons_at(60, [range(10, 40)], lost=range(35, 40))
    assert places(found, "track_ends") == [32, 33, 34, 35, 36]
    assert places(found, "track_lost") == []


def test_a_find_that_no_track_keeps_is_one_unless_a_track_soon_begins():
    found = reasons_at(60, [range(20, 50)], loose={3: 0.5, 15: 0.6, 18: 0.6, 55: 0.4})
    assert places(found, "passing") == [3, 55]
    assert found[3][0].text == "a find of 0.50 that no track keeps"


def test_pictures_by_themselves_have_no_reasons_of_time():
    pictures = [Impression(np.array([0.3], np.float32)), Impression(np.array([0.95], np.float32))]
    found = reasons_of(np.zeros(2), pictures)
    assert [[one.kind for one in reasons] for reasons in found] == [["unsure"], []]


def test_the_weightiest_reason_is_told_first():
    [*_, frame] = stretch(60, [range(20, 58)])
    frames = stretch(60, [range(20, 41)])
    frames[20] = Impression(np.array([0.33], np.float32), 0.0, frames[20].tracked)
    kinds = [one.kind for one in reasons_of(np.arange(60) / FPS, frames)[20]]
    assert kinds == ["unsure", "track_begins"]
    assert len(frame.scores) == 0
