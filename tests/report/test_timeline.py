"""The lanes of a clip's timeline: what the page is told, and which stills show a track."""

import base64
import json
import re

import numpy as np
import pytest

from endoforge.report.stills import AROUND_S, MOST_STILLS, still_places, track_lanes
from endoforge.report.timeline import (
    MOST_POINTS,
    Clip,
    LesionLane,
    Still,
    Timeline,
    TrackLane,
    clip_as_json,
)
from endoforge.tracking.histories import TrackHistory

STILL = Still(seconds=1.04, jpeg=b"\xff\xd8", box=(0.1, 0.2, 0.3, 0.4), score=0.91234)


def lane(seconds, scores, **more) -> TrackLane:
    return TrackLane(
        number=3,
        label="polyp",
        seconds=np.array(seconds),
        scores=np.array(scores),
        matched=np.array(more.pop("matched", [True] * len(seconds))),
        best=STILL,
        stills=[STILL],
        **more,
    )


def clip(*tracks, lesions=None) -> Clip:
    return Clip(name="a.mp4", about="2 s", begin=0.0, end=2.0, tracks=list(tracks), lesions=lesions)


def test_a_lane_tells_when_how_long_and_how_surely():
    told = clip_as_json(clip(lane([1.0, 1.04, 1.08], [0.5, 0.9, 0.4], matched=[True, True, False])))
    [track] = told["tracks"]
    assert told["lesions"] is None
    assert (track["begin"], track["end"], track["frames"]) == (1.0, 1.08, 3)
    assert (track["peak"], track["mean"], track["verdict"]) == (0.9, 0.6, None)
    assert track["points"] == [[1.0, 0.5, 1], [1.04, 0.9, 1], [1.08, 0.4, 0]]
    assert track["best"] == {
        "seconds": 1.04,
        "score": 0.912,
        "box": [0.1, 0.2, 0.3, 0.4],
        "truth": [],
        "jpeg": base64.b64encode(b"\xff\xd8").decode(),
    }


def test_of_many_moments_the_best_of_neighbours_stay():
    count = 3 * MOST_POINTS
    seconds, scores = np.arange(count) / 25, np.full(count, 0.3)
    scores[1::3] = 0.8
    matched = np.zeros(count, bool)
    matched[3] = True
    points = clip_as_json(clip(lane(seconds, scores, matched=matched)))["tracks"][0]["points"]
    assert len(points) == MOST_POINTS
    assert points[:3] == [[0.04, 0.8, 0], [0.16, 0.8, 1], [0.28, 0.8, 0]]


def test_the_truth_beside_it():
    polyp = LesionLane(
        number=2, what="IIa, 4.2 mm", visible=[(0.5, 1.2)], found=[(0.8, 1.2)], first_found=0.8
    )
    told = clip_as_json(clip(lesions=[polyp]))
    assert told["lesions"] == [
        {
            "number": 2,
            "what": "IIa, 4.2 mm",
            "visible": [[0.5, 1.2]],
            "found": [[0.8, 1.2]],
            "first_found": 0.8,
        }
    ]


def test_no_name_ends_the_script_or_begins_a_tag():
    name = "</script><img src=x onerror=alert(1)>.mp4"
    page = Timeline(Clip(name=name, about=name, begin=0, end=1, tracks=[])).html()
    assert page.count("</script>") == 1
    assert "<img" not in page
    [data] = re.findall(r'json">(.*)</script>', page)
    assert json.loads(data)["name"] == name


def logged(first: int, last: int, best: int, number: int = 1) -> TrackHistory:
    places = np.arange(first, last + 1)
    scores = np.full(len(places), 0.5, np.float32)
    scores[best - first] = 0.9
    return TrackHistory(
        number=number,
        label=0,
        places=places,
        boxes=np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (len(places), 1)),
        scores=scores,
        matched=np.ones(len(places), bool),
    )


def test_stills_show_the_best_some_spread_and_some_around():
    seconds = [place / 10 for place in range(200)]
    places = still_places(logged(50, 105, best=77), seconds)
    spread = {50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100, 105}
    assert len(spread) == MOST_STILLS
    assert AROUND_S == (-1.0, -0.5, 0.5, 1.0)
    assert places == sorted(spread | {77} | {40, 45, 110, 115})


def test_stills_of_a_moment_at_the_end_stay_within_the_clip():
    assert still_places(logged(1, 1, best=1), [0.0, 0.04]) == [0, 1]


def test_lanes_read_each_frame_once_and_go_without_one_that_is_gone():
    seconds = [place / 25 for place in range(100)]
    asked = []

    def read(places):
        asked.append(list(places))
        for place in places:
            if place != 99:
                yield place, np.full((30, 1000, 3), 2 * place, np.uint8)

    lanes = track_lanes(
        [logged(2, 4, best=3), logged(3, 5, best=4, number=2), logged(99, 99, best=99)],
        seconds,
        read,
        ("polyp",),
        truths=[[(0.0, 0.0, 0.5, place / 100)] for place in range(100)],
        verdicts={1: 7, 2: 0},
    )
    # Half a second after frame 4 is 16.5, a second after it 29; before 99 they are 86.5 and 74.
    assert asked == [[0, 2, 3, 4, 5, 17, 18, 29, 30, 74, 87, 99]]
    assert [one.best.seconds for one in lanes] == [0.12, 0.16], "the third had no still left"
    before, *shown, soon, later = lanes[0].stills
    assert (before.seconds, before.box, before.score) == (0.0, None, None)
    assert [still.score for still in shown] == pytest.approx([0.5, 0.9, 0.5])
    assert shown[1].truth == [(0.0, 0.0, 0.5, 0.03)]
    assert (soon.seconds, soon.box, later.seconds) == (0.68, None, 1.16)
    assert [one.verdict for one in lanes] == [7, 0]
