"""MOT in and out: a folder a video, a row a box."""

import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert

INFO = "[Sequence]\nname=one\nframeRate=25\nimWidth=64\nimHeight=48\n"


def video(foreign, rows, *, name="one", pictures=3, info=INFO, labels="polyp\nadenoma\n"):
    for number in range(1, pictures + 1):
        foreign.picture(f"{name}/img1/{number:06d}.png")
    foreign.file(f"images/{name}/gt/gt.txt", "\n".join(rows))
    if info is not None:
        foreign.file(f"images/{name}/seqinfo.ini", info)
    if labels is not None:
        foreign.file(f"images/{name}/gt/labels.txt", labels)


def frames_of(foreign):
    return index_root(foreign.output, strict=True).frames


def test_rows_are_boxes_of_their_frames_and_a_frame_without_any_shows_nothing(foreign):
    video(
        foreign, ["1,3,10,20,30,5,1,1,1", "3, 3, 11.5, 20, 30, 5, 1, 1, 0.5", "3,4,0,0,64,48,1,2"]
    )
    report = foreign.bring_in("mot")
    assert [(run.group, run.frames, run.empty) for run in report.runs] == [("one", 3, 1)]
    assert foreign.imported() == [
        [("polyp", pytest.approx([10, 20, 40, 25]))],
        [],
        [
            ("adenoma", pytest.approx([0, 0, 64, 48])),
            ("polyp", pytest.approx([11.5, 20, 41.5, 25])),
        ],
    ]
    frames = frames_of(foreign)
    assert [frame.polyp_ids for frame in frames] == [(3,), (), (3, 4)]
    assert [frame.seconds for frame in frames] == [0, 0.04, 0.08]


def test_rows_that_cant_be_used_leave_their_frame_out(foreign):
    rows = [
        "1,1,0,0,9,9,0,1,1", "2,1,0,0,9,0,1,1,1", "3,1,0,0,9", "4,x,0,0,9,9,1,1,1",
        "5,1,0,0,nan,9,1,1,1", "6,1,0,0,9,9,1,1,1", "9,1,0,0,9,9,1,1,1", "7,1,0,0,9,9,1,1.5,1",
    ]  # fmt: skip
    video(foreign, rows, pictures=7)
    report = foreign.bring_in("mot")
    assert report.left_out.counts == {
        "picture: a region to ignore (conf 0), not one object": 1,
        "picture: bbox without area": 1,
        "picture: a row of less than six columns": 1,
        "picture: a track that is no whole number": 1,
        "picture: bbox with NaN or infinite numbers": 1,
        "picture: a conf or a class that is no number": 1,
        "label: of a frame without a picture": 1,
    }
    [frame] = frames_of(foreign)
    assert (frame.seconds, frame.polyp_ids) == (0.2, (1,))


def test_a_row_of_no_frame_may_be_of_any_and_ends_it(foreign):
    video(foreign, ["1,1,0,0,9,9,1,1,1", "one,1,0,0,9,9,1,1,1"])
    with pytest.raises(UserError, match=r"gt\.txt line 2: no number of a frame, so it may be of"):
        foreign.bring_in("mot")


def test_classes_have_the_flags_name_where_nothing_names_them(foreign):
    video(foreign, ["1,1,0,0,9,9", "2,1,0,0,9,9,1,-1,-1,-1", "3,-1,0,0,9,9,1,1,1"], labels=None)
    foreign.bring_in("mot", class_name="lesion")
    frames = frames_of(foreign)
    assert [frame.classes for frame in frames] == [("lesion",)] * 3
    assert [frame.polyp_ids for frame in frames] == [(1,), (1,), (None,)]


def test_a_class_without_a_name_is_an_error_and_a_file_may_name_it(foreign):
    video(foreign, ["1,1,0,0,9,9,1,3,1"], labels=None)
    with pytest.raises(UserError, match="line 1: class 3 has no name; there are: none; name the"):
        foreign.bring_in("mot")
    names = foreign.file("names.txt", "a\nb\nc\n")
    foreign.bring_in("mot", names=str(names))
    assert frames_of(foreign)[0].classes == ("c",)


def test_videos_lie_beside_each_other_and_one_may_have_no_rate(foreign):
    video(foreign, ["1,0,0,0,9,9,1,1,1"], name="a", pictures=1, info=None)
    video(foreign, ["1,0,0,0,9,9,1,1,1"], name="b", pictures=2)
    foreign.picture("c/img1/000001.png")
    report = foreign.bring_in("mot")
    assert [(run.group, run.frames) for run in report.runs] == [("a", 1), ("b", 2)]
    assert report.no_rate
    assert report.left_out.counts == {"picture: no label (--unlabelled background keeps such)": 1}
    assert frames_of(foreign)[0].polyp_ids == (1,), "0 is none of ours"


def test_the_folder_of_one_video_will_do(foreign):
    video(foreign, ["1,1,0,0,9,9,1,1,1"])
    report = foreign.bring_in("mot", images=str(foreign.images / "one"))
    assert [run.group for run in report.runs] == ["one"]
    with pytest.raises(UserError, match=r"no gt/gt\.txt in a folder of .*img1 that has pictures"):
        foreign.bring_in("mot", images=str(foreign.images / "one/img1"))


def test_what_is_written_are_the_texts_of_mot(make_run, tmp_path):
    frames = [[("polyp", (4, 6, 14, 18), 2), ("IIa", (0.5, 0, 9, 9))], [], []]
    run = make_run(tmp_path / "captures", frames, seconds=[5, 5.04, 5.08])
    out = tmp_path / "out"
    run_convert(ConvertConfig(format="mot", paths=(str(run), str(out))))
    texts = {
        path.relative_to(out / run.name).as_posix(): path.read_text()
        for path in (out / run.name).rglob("*")
        if path.suffix in (".txt", ".ini")
    }
    assert texts == {
        "gt/gt.txt": "1,2,4,6,10,12,1,2,1\n1,-1,0.5,0,8.5,9,1,1,1\n",
        "gt/labels.txt": "IIa\npolyp\n",
        "seqinfo.ini": f"[Sequence]\nname={run.name}\nimDir=img1\nframeRate=25\nseqLength=3\n"
        "imWidth=64\nimHeight=48\nimExt=.png\n",
    }
    pictures = sorted(path.name for path in (out / run.name / "img1").iterdir())
    assert pictures == ["000001.png", "000002.jpg", "000003.png"]


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (INFO.replace("25", "0"), "frameRate 0 must be a number greater than 0"),
        (INFO.replace("64", "wide"), "imWidth wide must be"),
        ("frameRate=25", "seqinfo.ini: not MOT's"),
    ],
)
def test_what_seqinfo_cant_say(foreign, info, words):
    video(foreign, [], info=info)
    with pytest.raises(UserError, match=words):
        foreign.bring_in("mot")


def test_pictures_of_another_size_are_left_out(foreign):
    video(foreign, ["1,1,0,0,9,9,1,1,1"], info=INFO.replace("64", "65"), pictures=1)
    with pytest.raises(UserError, match="its label is of another size"):
        foreign.bring_in("mot")
