"""CVAT's XML in and out: tracks for video 1.1, boxes for images 1.1."""

from xml.etree import ElementTree

import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert

SIZE = "<original_size><width>64</width><height>48</height></original_size>"


def shape(frame, *, outside=0, corners=(10, 20, 40, 25), tag="box", more=""):
    edges = zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
    inner = " ".join(f'{edge}="{value}"' for edge, value in edges)
    return f'<{tag} frame="{frame}" outside="{outside}" {inner} {more}><attribute/></{tag}>'


def track(*shapes, id=0, label="polyp"):
    return f'<track id="{id}" label="{label}">{"".join(shapes)}</track>'


def video_file(*tracks, start=0, stop=4, meta=SIZE):
    task = f"<mode>interpolation</mode><start_frame>{start}</start_frame>"
    task += f"<stop_frame>{stop}</stop_frame>{meta}<source>clips/clip.mp4</source>"
    head = f"<version>1.1</version><meta><task>{task}</task></meta>"
    return f"<annotations>{head}{''.join(tracks)}</annotations>"


def images_file(*images):
    return f"<annotations><version>1.1</version>{''.join(images)}</annotations>"


def image(name, *shapes, size='width="64" height="48"'):
    return f'<image id="0" name="{name}" {size}>{"".join(shapes)}</image>'


def pictures(foreign, numbers=range(5)):
    for number in numbers:
        foreign.picture(f"frame_{number:06d}.png")


def frames_of(foreign):
    return index_root(foreign.output, strict=True).frames


def test_tracks_have_a_box_on_each_frame_until_they_are_outside(foreign):
    pictures(foreign)
    first = track(shape(1), shape(2, corners=(11, 20, 41, 25)), shape(3, outside=1))
    foreign.file("annotations.xml", video_file(first, track(shape(2), shape(3), id=7, label="IIa")))
    report = foreign.bring_in("cvat", fps=25)
    assert [(run.group, run.frames, run.empty) for run in report.runs] == [("clip", 5, 2)]
    box = pytest.approx([10, 20, 40, 25])
    assert foreign.imported() == [
        [],
        [("polyp", box)],
        [("IIa", box), ("polyp", pytest.approx([11, 20, 41, 25]))],
        [("IIa", box)],
        [],
    ]
    frames = frames_of(foreign)
    assert [frame.polyp_ids for frame in frames] == [(), (1,), (1, 2), (2,), ()]
    assert [frame.seconds for frame in frames] == [0, 0.04, 0.08, 0.12, 0.16]


def test_frames_that_a_track_leaves_to_interpolation_are_left_out(foreign):
    pictures(foreign)
    first = track(shape(0), shape(3), shape(4, outside=1))
    foreign.file("annotations.xml", video_file(first))
    report = foreign.bring_in("cvat")
    assert report.left_out.counts == {"picture: a track says nothing of it": 2}
    assert report.no_rate
    assert [frame.seconds for frame in frames_of(foreign)] == [0, 3, 4]


def test_a_step_between_frames_leaves_nothing_open(foreign):
    pictures(foreign, [0, 10, 20])
    foreign.file("annotations.xml", video_file(track(shape(0), shape(10), id=3), stop=29))
    foreign.bring_in("cvat", fps=10)
    frames = frames_of(foreign)
    assert [frame.polyp_ids for frame in frames] == [(3,), (3,), ()]
    assert [frame.seconds for frame in frames] == [0, 1, 2]


def test_what_isnt_of_the_task_is_known_of_by_nobody(foreign):
    pictures(foreign)
    foreign.file("annotations.xml", video_file(track(shape(2), shape(9, outside=1)), stop=2))
    report = foreign.bring_in("cvat")
    assert report.left_out.counts == {"picture: no label (--unlabelled background keeps such)": 2}
    foreign.file("more.xml", video_file(track(shape(8)), stop=8))
    again = foreign.bring_in(
        "cvat", annotations=str(foreign.root / "more.xml"), output_root=str(foreign.root / "more")
    )
    assert again.left_out.counts == {"label: of a frame without a picture": 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (shape(1, corners=(40, 20, 10, 25)), "a box with reversed corners"),
        (shape(1, corners=("x", 20, 10, 25)), "a box without xtl ytl xbr ybr"),
        (shape(1, corners=("nan", 20, 10, 25)), "a box with NaN or infinite numbers"),
        (shape(1, corners=(0.1, 0.1, 0.5, 0.5)), "a box in 0..1 where pixels are meant"),
        (shape(1, tag="polyline"), "a shape that has no box"),
        ('<polygon frame="1" points="1,2;3"/>', "a polygon that isn't pairs of numbers"),
    ],
)
def test_a_shape_that_cant_be_used_leaves_its_frame_out(foreign, bad, reason):
    pictures(foreign, range(3))
    foreign.file("annotations.xml", video_file(track(bad, shape(2)), stop=2))
    report = foreign.bring_in("cvat")
    assert report.left_out.counts == {f"picture: {reason}": 1}
    assert [frame.frame_id for frame in frames_of(foreign)] == [0, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (video_file(track(shape("x"))), "a box of a track with no number of a frame"),
        ("<annotations><image", "not CVAT's XML"),
        ("<annotations><version>1.1</version></annotations>", "neither tracks nor images in it"),
        ("<annotation><object/></annotation>", "neither tracks nor images in it"),
    ],
)
def test_files_that_say_nothing_for_sure_are_errors(foreign, text, words):
    pictures(foreign)
    foreign.file("annotations.xml", text)
    with pytest.raises(UserError, match=words):
        foreign.bring_in("cvat")


def test_several_videos_in_a_file_are_an_error(foreign):
    pictures(foreign)
    project = "<meta><project><tasks><task/><task/></tasks></project></meta>"
    foreign.file("annotations.xml", f"<annotations>{project}{track(shape(0))}</annotations>")
    with pytest.raises(UserError, match="several videos in one file; export each task by itself"):
        foreign.bring_in("cvat")


def test_pictures_that_are_counted_from_one_are_an_error(foreign):
    pictures(foreign, range(1, 6))
    foreign.file("annotations.xml", video_file(track(shape(0))))
    with pytest.raises(UserError, match=r"numbered from 1 to 5, and the frames of .* from 0 to 4"):
        foreign.bring_in("cvat")


def test_no_file_is_an_error_that_says_where_it_was_looked_for(foreign):
    pictures(foreign)
    with pytest.raises(UserError, match=r"no annotations\.xml in .*images or beside it"):
        foreign.bring_in("cvat")


def test_images_have_boxes_around_all_shapes(foreign):
    for name in ("one/a.png", "two/a.png", "two/b.png"):
        foreign.picture(name)
    turned = shape(0, corners=(20, 10, 40, 20), more='rotation="90"')
    shapes = [
        turned,
        '<polygon label="flat" points="1.5,2;9,30;4,40"/>',
        '<ellipse label="round" cx="30" cy="20" rx="10" ry="4"/>',
        '<mask label="mask" left="3" top="4" width="5" height="6" rle="30"/>',
        '<tag label="bad bowel"/>',
    ]
    first = image("one/a.png", *shapes).replace("<box", '<box label="turned"')
    foreign.file(
        "annotations.xml",
        images_file(first, image("two/a.png"), image("two/c.png", "<box/>"), image("two/b.png")),
    )
    report = foreign.bring_in("cvat")
    assert [(run.group, run.frames, run.empty) for run in report.runs] == [
        ("one", 1, 0),
        ("two", 2, 2),
    ]
    assert report.left_out.counts == {
        "picture: missing": 1,
        "instance image (its boxes came in): a box without an outline": 1,
    }
    assert foreign.imported()[0] == [
        ("flat", pytest.approx([1.5, 2, 9, 40])),
        ("mask", pytest.approx([3, 4, 8, 10])),
        ("round", pytest.approx([20, 16, 40, 24])),
        ("turned", pytest.approx([25, 5, 35, 25])),
    ]
    # A polygon has pixels, for which all of its picture's polyps have names of their own.
    assert frames_of(foreign)[0].polyp_ids == (1, 2, 3, 4)


def test_boxes_of_images_have_no_names(foreign):
    pictures(foreign, [0])
    box = shape(0).replace("<box", '<box label="polyp"')
    foreign.file("annotations.xml", images_file(image("frame_000000.png", box)))
    report = foreign.bring_in("cvat")
    assert [frame.polyp_ids for frame in frames_of(foreign)] == [(None,)]
    assert not report.left_out.counts


def test_a_picture_that_is_named_twice_or_of_another_size_is_left_out(foreign):
    for name in "abc":
        foreign.picture(f"{name}.png")
    twice = image("a.png"), image("a.png"), image("b.png", size='width="64" height="49"')
    foreign.file("annotations.xml", images_file(*twice, image("c.png")))
    report = foreign.bring_in("cvat")
    assert report.left_out.counts == {
        "picture: named twice": 1,
        "picture: its label is of another size": 1,
    }


def test_each_folder_may_have_its_own_file(foreign):
    for name in ("one", "two"):
        foreign.picture(f"{name}/images/frame_000000.png")
        text = video_file(track(shape(0), label=name), stop=0)
        foreign.file(f"images/{name}/annotations.xml", text)
    report = foreign.bring_in("cvat")
    assert [run.group for run in report.runs] == ["one", "two"]
    assert [frame.classes for frame in frames_of(foreign)] == [("one",), ("two",)]


def test_a_track_is_outside_while_its_polyp_is_not_to_be_seen(make_run, tmp_path):
    box = (4, 6, 14, 18)
    frames = [[("polyp", box, 2)], [], [("polyp", box, 2), ("IIa", box, 1)], []]
    run = make_run(tmp_path / "captures", frames)
    out = tmp_path / "out"
    run_convert(ConvertConfig(format="cvat", paths=(str(run), str(out))))
    root = ElementTree.parse(out / run.name / "annotations.xml").getroot()
    said = [
        (one.get("id"), one.get("label"), [(box.get("frame"), box.get("outside")) for box in one])
        for one in root.iter("track")
    ]
    assert said == [
        ("2", "polyp", [("0", "0"), ("1", "1"), ("2", "0"), ("3", "1")]),
        ("1", "IIa", [("2", "0"), ("3", "1")]),
    ]
    assert root.findtext("meta/task/stop_frame") == "3"
