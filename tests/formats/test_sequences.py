"""Frames of videos: their order, times and names, from COCO's files and shards."""

import json

import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.formats.sequences import frame_rate, number_in

BOX = [4, 6, 10, 12]


def annotation(image, track=None, **others):
    said = {} if track is None else {"track_id": track}
    return {"image_id": image, "category_id": 1, "bbox": BOX, **said, **others}


def coco(foreign, images, annotations, **others):
    dataset = {"images": images, "annotations": annotations, **others}
    dataset["categories"] = [{"id": 1, "name": "polyp"}]
    foreign.file("a.json", json.dumps(dataset))
    for image in images:
        foreign.picture(image["file_name"])


def bring_in(foreign, **settings):
    return foreign.bring_in("coco", annotations=str(foreign.root / "a.json"), **settings)


def frames_of(foreign):
    return index_root(foreign.output, strict=True).frames


def image(number, name, **others):
    return {"id": number, "file_name": name, **others}


def test_a_video_becomes_a_run_whose_frames_are_in_the_order_of_their_numbers(foreign):
    images = [
        image(1, "all/c.png", video_id=7, frame_id=0),
        image(2, "all/b.png", video_id=8, frame_id=3),
        image(3, "all/a.png", video_id=7, frame_id=50),
    ]
    videos = [{"id": 7, "name": "second", "fps": 25}, {"id": 8, "name": "first", "fps": 2}]
    coco(foreign, images, [annotation(1, 4), annotation(2, 9), annotation(3, 4)], videos=videos)
    report = bring_in(foreign)
    assert [run.group for run in report.runs] == ["first", "second"]
    assert not report.no_rate
    frames = frames_of(foreign)
    assert [frame.seconds for frame in frames] == [1.5, 0, 2]
    assert [frame.polyp_ids for frame in frames] == [(9,), (4,), (4,)]
    label = json.loads(frames[1].label_path.read_text())
    assert label["source_image"] == "all/c.png"
    assert label["polyp_labels"][0]["polyp_id"] == 4


def test_videos_without_a_name_of_their_own_go_by_their_ids(foreign):
    images = [image(n, f"{n}.png", video_id=str(n), frame_id=0) for n in range(4)]
    videos = [{"id": 0, "name": "same"}, {"id": 1, "name": "same"}, {"id": 2}]
    coco(foreign, images, [], videos=videos)
    groups = [run.group for run in bring_in(foreign).runs]
    assert groups == ["video 0", "video 1", "video 2", "video 3"]


def test_two_videos_of_an_id_are_an_error(foreign):
    videos = [{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]
    coco(foreign, [image(1, "1.png", video_id=1)], [], videos=videos)
    with pytest.raises(UserError, match="two video entries have the id 1; fix the file"):
        bring_in(foreign)


def test_a_rate_comes_from_the_flag_where_the_file_has_none(foreign):
    images = [image(n, f"{n}.png", video_id="v", frame_id=n) for n in (2, 4)]
    coco(foreign, images, [])
    report = bring_in(foreign, fps=10)
    assert [frame.seconds for frame in frames_of(foreign)] == [0.2, 0.4]
    assert [run.group for run in report.runs] == ["video v"]
    assert not report.no_rate


def test_without_any_rate_a_frame_counts_a_second_and_a_line_says_so(foreign):
    images = [image(n, f"{n}.png", video_id=1, frame_id=n) for n in (2, 4)]
    coco(foreign, images, [])
    report = bring_in(foreign)
    assert [frame.seconds for frame in frames_of(foreign)] == [2, 4]
    assert "  how many frames a second isn't known: a second each; --fps says it" in report.lines()


def test_a_rate_beside_that_of_the_file_is_refused(foreign):
    coco(
        foreign,
        [image(1, "a.png", video_id=1, frame_id=0)],
        [],
        videos=[{"id": 1, "name": "v", "fps": 30}],
    )
    with pytest.raises(UserError, match=r"--fps: .* says when its frames were taken; leave it out"):
        bring_in(foreign, fps=25)


def test_plain_pictures_take_the_rate_too(foreign):
    coco(foreign, [image(1, "1.png"), image(2, "2.png")], [])
    assert not bring_in(foreign, fps=4).no_rate
    assert [frame.seconds for frame in frames_of(foreign)] == [0, 0.25]


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([3, 8, 3], [(3,), (8,), (3,)]),
        ([0, 5, 0], [(1,), (2,), (1,)]),
        (["b", "a", "b"], [(1,), (2,), (1,)]),
        (["7", 7, "07"], [(1,), (1,), (2,)]),
        ([2**40, None, 2**40], [(1,), (None,), (1,)]),
    ],
)
def test_numbers_from_1_on_stay_and_others_are_numbered_as_they_appear(foreign, tracks, expected):
    coco(
        foreign,
        [image(n, f"{n}.png") for n in range(3)],
        [annotation(n, track) for n, track in enumerate(tracks)],
    )
    bring_in(foreign)
    assert [frame.polyp_ids for frame in frames_of(foreign)] == expected


def test_tracks_have_other_names_in_other_tools(foreign):
    coco(
        foreign,
        [image(n, f"{n}.png") for n in range(3)],
        [
            annotation(0, instance_id=3),
            annotation(1, attributes={"track_id": 4, "occluded": False}),
            annotation(2, attributes=["nothing"]),
        ],
    )
    bring_in(foreign)
    assert [frame.polyp_ids for frame in frames_of(foreign)] == [(3,), (4,), (None,)]


def test_two_boxes_of_a_track_and_two_pictures_of_a_moment_are_left_out(foreign):
    images = [image(n, f"{n}.png", video_id=1, frame_id=n) for n in range(2)]
    images += [image(n, f"{n}.png", video_id=1, frame_id=5) for n in (5, 6)]
    boxes = [annotation(0, 1), annotation(0, 1) | {"bbox": [20, 20, 9, 9]}, annotation(1, 1)]
    coco(foreign, images, boxes)
    report = bring_in(foreign)
    assert report.left_out.counts == {
        "picture: several boxes of one track": 1,
        "picture: another has its place in the video": 2,
    }
    assert [frame.seconds for frame in frames_of(foreign)] == [1]


def test_several_videos_in_one_run_follow_each_other_and_their_tracks_are_apart(foreign):
    images = [
        image(1, "1.png", video_id="b", frame_id=0, patient=1),
        image(2, "2.png", video_id="a", frame_id=9, patient=1),
        image(3, "3.png", video_id="a", frame_id=8, patient=1),
    ]
    coco(foreign, images, [annotation(n, 5) for n in (1, 2, 3)])
    bring_in(foreign, group="field:patient", fps=2)
    frames = frames_of(foreign)
    sources = [json.loads(frame.label_path.read_text())["source_image"] for frame in frames]
    assert sources == ["3.png", "2.png", "1.png"]
    assert [frame.seconds for frame in frames] == [0, 0.5, 1]
    assert [frame.polyp_ids for frame in frames] == [(1,), (1,), (2,)]


def test_the_same_pictures_with_other_tracks_are_refused_beside_them(foreign):
    coco(foreign, [image(1, "1.png")], [annotation(1, 5)])
    bring_in(foreign)
    assert bring_in(foreign).runs[0].there == 1
    coco(foreign, [image(1, "1.png")], [annotation(1, 6)])
    with pytest.raises(UserError, match="with other pictures, labels or settings"):
        bring_in(foreign)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([5.0, 5.04, 5.08], (25.0, True)),
        ([0.0, 1.0, 4.0], (0.5, False)),
        ([0.0, 1.2, 2.0], (1.0, True)),
        ([3.0], (None, True)),
        ([3.0, 3.0], (None, False)),
    ],
)
def test_the_rate_of_times(seconds, expected):
    assert frame_rate(seconds) == expected


def test_the_number_in_a_name_is_the_last_one():
    assert number_in("img1/000012.jpg") == 12
    assert number_in("clip2/frame_7.v.png") == 7
    assert number_in("img1/first.jpg") is None


@pytest.mark.parametrize("track", [-1, "-1", " "])
def test_a_track_that_is_negative_or_blank_names_no_polyp_and_is_counted(foreign, track):
    for name in ("a.png", "b.png"):
        foreign.picture(name)
    box = {"category_id": 1, "bbox": [10, 20, 30, 5]}
    dataset = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(("a.png", "b.png"), 1)],
        "annotations": [
            box | {"image_id": 1, "track_id": track},
            box | {"image_id": 1, "bbox": [1, 1, 5, 5], "track_id": track},
            box | {"image_id": 2, "track_id": 0},
        ],
        "categories": [{"id": 1, "name": "polyp"}],
    }
    path = foreign.file("annotations.json", json.dumps(dataset))
    report = foreign.bring_in("coco", annotations=str(path))
    assert list(report.left_out.counts.values()) == [2]
    assert "names no polyp (its box came in)" in next(iter(report.left_out.counts))
    frames = index_root(foreign.output, strict=True).frames
    assert [frame.polyp_ids for frame in frames] == [(None, None), (1,)]
