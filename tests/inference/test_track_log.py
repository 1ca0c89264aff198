"""Tracks of sequences, summed up from frames that are written down by hand."""

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.inference.following import Following
from endoforge.inference.material import InputPicture
from endoforge.inference.mot_files import MotFiles
from endoforge.inference.run_clock import FrameMoment
from endoforge.inference.track_log import TrackLog
from endoforge.tracking.tracker import Tracked

BOX, OTHER = (0.1, 0.2, 0.3, 0.6), (0.5, 0.5, 0.75, 1.0)
PIXELS = np.zeros((100, 200, 3), np.uint8)


def tracked(*rows):
    """Tracks shown of a frame: (id, box, score, class, matched) each."""
    ids, boxes, scores, classes, matched = zip(*rows, strict=True) if rows else ([],) * 5
    return Tracked(
        np.array(ids, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int64),
        np.array(matched, np.bool_),
    )


@pytest.fixture
def told():
    """Four frames of a clip, at 10 a second from 0.3 s on."""
    return [
        (FrameMoment("a/clip.mp4", 3, 0.3), PIXELS, tracked()),
        (FrameMoment("a/clip.mp4", 4, 0.4), PIXELS, tracked((1, BOX, 0.5, 0, True))),
        (
            FrameMoment("a/clip.mp4", 5, 0.5),
            PIXELS,
            tracked((1, OTHER, 0.75, 1, True), (2, BOX, 0.25, 0, True)),
        ),
        (FrameMoment("a/clip.mp4", 6, 0.6), PIXELS, tracked((1, BOX, 0.88, 1, False))),
    ]


def test_a_track_is_summed_up(told):
    log = TrackLog(("flat", "stalked"))
    for frame in told:
        log.add(*frame)
    assert log.count == 2
    [clip] = log.sequences.values()
    first, second = clip.as_json().pop("tracks")
    assert first == {
        "track": 1,
        "label": "stalked",  # what it was taken for at last
        "begin": {"frame": 4, "seconds": 0.4},
        "end": {"frame": 6, "seconds": 0.6},
        # Not of the last frame, in which it was carried on and not found.
        "best": {"frame": 5, "seconds": 0.5, "score": 0.75, "bbox_px": [100.0, 50.0, 150.0, 100.0]},
        "frames": 3,
        "peak_score": 0.75,
        "mean_score": 0.71,  # (0.5 + 0.75 + 0.88) / 3
    }
    assert (second["track"], second["begin"], second["frames"]) == (2, second["end"], 1)


def test_a_sequence_lasts_as_long_as_its_last_frame_does(told):
    log = TrackLog(("flat", "stalked"))
    for frame in told:
        log.add(*frame)
    clip = log.sequences["a/clip.mp4"].as_json()
    del clip["tracks"]
    # From 0.3 to 0.6 s, and the tenth that the last frame is shown.
    assert clip == {"file": "a/clip.mp4", "frames": 4, "seconds": 0.4, "width": 200, "height": 100}


def test_mot_text_counts_frames_from_one(told, tmp_path):
    files = MotFiles(tmp_path, wanted=True)
    for frame in told:
        files.add(*frame)
    files.write()
    assert (tmp_path / "mot/a/clip.mp4.txt").read_text().splitlines() == [
        "5,1,20.00,20.00,40.00,40.00,0.5000,-1,-1,-1",
        "6,1,100.00,50.00,50.00,50.00,0.7500,-1,-1,-1",
        "6,2,20.00,20.00,40.00,40.00,0.2500,-1,-1,-1",
        "7,1,20.00,20.00,40.00,40.00,0.8800,-1,-1,-1",
    ]


def found(score=0.8):
    return Detections(np.array([BOX], np.float32), np.array([score], np.float32), np.zeros(1, int))


def follow(following, sequence, frames, pixels=PIXELS):
    """What is shown of frames of a sequence, at 25 a second, with a detection in each."""
    return [
        following.follow(InputPicture(sequence, pixels, FrameMoment(sequence, n, n / 25)), found())
        for n in frames
    ]


def test_a_picture_by_itself_isnt_followed():
    assert Following(0.3, []).follow(InputPicture("a.png", PIXELS), found()) is None


def test_mixed_sequences_have_trackers_of_their_own():
    log = TrackLog(("polyp",))
    following = Following(0.3, [log])
    for number in range(8):
        for name in ("a.mp4", "b.mp4"):
            [one] = follow(following, name, [number])
            assert one.tracked.ids.tolist() == one.owners.tolist()[: len(one.tracked)]
    assert [[track.number for track in one.histories()] for one in log.sequences.values()] == [
        [1],
        [1],
    ]


def test_another_size_begins_new_tracks_whose_ids_go_on():
    log = TrackLog(("polyp",))
    following = Following(0.3, [log])
    # A score of 0.8 is shown in its third frame: 0.714 * (1 + 0.852 + 0.726) = 1.84, over 1.4.
    assert [one.owners[0] for one in follow(following, "a.mp4", range(7))] == [0] * 2 + [1] * 5
    larger = np.zeros((200, 200, 3), np.uint8)
    shown = follow(following, "a.mp4", range(7, 14), larger)
    assert [one.owners[0] for one in shown] == [0] * 2 + [2] * 5
    assert [one.serials[0] for one in shown] == [2] * 7
    assert shown[-1].tracked.ids.tolist() == [2]
    # And back again: nothing is known of it any more.
    assert follow(following, "a.mp4", range(14, 20))[-1].tracked.ids.tolist() == [3]
    tracks = log.sequences["a.mp4"].as_json()["tracks"]
    assert tracks[1]["best"]["bbox_px"] == pytest.approx((20, 40, 60, 120))


def test_the_threshold_is_that_of_a_first_detection():
    assert not any(one.owners.any() for one in follow(Following(0.85, []), "a", range(9)))
