"""YOLO in: numbers get their names from a file, or it is an error."""

import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.formats.class_names import read_names

MIDDLE = "0.5 0.5 0.25 0.5"
IN_PIXELS = [24, 12, 40, 36]


def test_labels_lie_in_place_of_images_and_names_in_data_yaml(foreign):
    foreign.picture("train/a.png")
    foreign.file("labels/train/a.txt", f"1 {MIDDLE}\n\n")
    foreign.file("data.yaml", "train: images/train\nnc: 2\nnames: [instrument, polyp]\n")
    report = foreign.bring_in("yolo")
    assert foreign.imported() == [[("polyp", pytest.approx(IN_PIXELS))]]
    assert report.runs[0].group == "train"


@pytest.mark.parametrize("images", ["train", "."])
def test_the_folder_of_one_split_can_be_named(foreign, images):
    foreign.picture("train/a.png")
    foreign.file("labels/train/a.txt", f"0 {MIDDLE}")
    foreign.file("classes.txt", "polyp\n")
    foreign.bring_in("yolo", images=str(foreign.images / images))
    assert foreign.imported() == [[("polyp", pytest.approx(IN_PIXELS))]]


def test_labels_may_lie_beside_the_pictures(foreign):
    foreign.picture("a.png")
    foreign.file("images/a.txt", f"0 {MIDDLE}")
    foreign.file("images/classes.txt", "polyp\n")
    report = foreign.bring_in("yolo")
    assert foreign.imported() == [[("polyp", pytest.approx(IN_PIXELS))]]
    assert not report.left_out.counts


def test_a_number_without_a_name_is_an_error_and_nothing_is_written(foreign):
    foreign.picture("a.png")
    foreign.file("labels/a.txt", f"0 {MIDDLE}\n2 {MIDDLE}\n")
    names = foreign.file("data.yaml", "names: {0: polyp, 1: tool}")
    with pytest.raises(UserError, match=r"a\.txt line 2: class 2 has no name in .*0 polyp, 1 tool"):
        foreign.bring_in("yolo")
    assert not foreign.output.exists()
    names.unlink()
    with pytest.raises(UserError, match=r"no data\.yaml.*--names"):
        foreign.bring_in("yolo")
    other = foreign.file("elsewhere/my.yaml", "names: {0: polyp, 2: clip}")
    foreign.bring_in("yolo", names=str(other))
    assert [name for name, _ in foreign.imported()[0]] == ["clip", "polyp"]


def left_out(foreign, *lines):
    """Why a picture with these lines is left out; beside it lies one with a plain box."""
    for name, text in (("a", "\n".join(lines)), ("b", f"0 {MIDDLE}")):
        foreign.picture(f"{name}.png")
        foreign.file(f"labels/{name}.txt", text)
    foreign.file("data.yaml", "names: [polyp]")
    report = foreign.bring_in("yolo")
    assert [(run.frames, run.empty) for run in report.runs] == [(1, 0)]
    [(reason, count)] = report.left_out.counts.items()
    assert count == 1
    return reason.removeprefix("picture: ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.5", "a line of its label is neither"),
        ("0 0.5 0.5 0.5 0.5 1.9", "a line of its label is neither"),
        ("0 0.5 0.5 0.5 0.5 -0.5", "a line of its label is neither"),
        ("0 0.5 0.5 0.5 0.5 0.9 7.5", "a line of its label is neither"),
        ("0 0.5 0.5 0.5 0.5 0.9 0.9", "a line of its label may be a box with more columns"),
        ("0 0.5 0.5 0.5 0.5 0.9 1", "a line of its label may be a box with more columns"),
        ("0 16 12 48 12 48 36 16 36", "a line of its label is neither"),
        ("0 nan 0.5 0.5 0.5 0.5 0.5", "a line of its label is neither"),
        ("polyp 0.5 0.5 0.5 0.5", "a line of its label isn't numbers"),
        ("0 0,5 0,5 0,5 0,5", "a line of its label isn't numbers"),
        ("0,0.5,0.5,0.5,0.5", "a line of its label isn't numbers"),
        ("\0\0\0\0", "a line of its label isn't numbers"),
        ("0.5 0.5 0.5 0.5 0.5", "a class in its label isn't a whole number"),
        ("nan 0.5 0.5 0.5 0.5", "a class in its label isn't a whole number"),
        ("0 30 20 10 10", "a box of its label isn't in 0..1"),
        ("0 nan 0.5 0.5 0.5", "a box of its label isn't in 0..1"),
        ("0 0.5 0.5 -0.5 0.5", "a box of its label isn't in 0..1"),
        ("0 0.5 0.5 0 0.5", "a box with no area within the picture"),
        ("1\n40 30 80 70", "a line of its label is neither"),
        ("0", "a line of its label is neither"),
    ],
)
def test_a_picture_with_a_line_that_cant_be_read_is_left_out(foreign, line, reason):
    assert left_out(foreign, f"0 {MIDDLE}", line).startswith(reason)


def boxes(foreign, *lines):
    """The box of a picture for each of the lines."""
    for number, line in enumerate(lines):
        foreign.picture(f"{number}.png")
        foreign.file(f"labels/{number}.txt", line)
    foreign.file("data.yaml", "names: [polyp]")
    report = foreign.bring_in("yolo", strict=True)
    assert not report.left_out.counts
    return [box for [(_, box)] in foreign.imported()]


@pytest.mark.parametrize(
    "lines",
    [
        ["0 0.5 0.5 0.25 0.5 0.91"],
        ["0 0.5 0.5 0.25 0.5 0.91", "0 0.5 0.5 0.25 0.5"],
        ["0 0.5 0.5 0.25 0.5 7", "0 0.5 0.5 0.25 0.5 1"],
        ["0 0.5 0.5 0.25 0.5 0.91 7"],
        ["0 0.5 0.5 0.25 0.5 0.91 7", "0 0.5 0.5 0.25 0.5 0.91 1", "0 0.5 0.5 0.25 0.5"],
        ["0 0.5 0.5 0.25 0.5 0.4 0.4 2"],
        ["0 0.5 0.5 0.25 0.5 0.4 0.4 2 0.6 0.6 1", "0 0.5 0.5 0.25 0.5 0.4 0.4 1 0 0 0"],
    ],
)
def test_columns_after_the_box_are_read_where_they_are_plain(foreign, lines):
    assert boxes(foreign, *lines) == [pytest.approx(IN_PIXELS, abs=1e-4)] * len(lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["0 0.25 0.5 0.5 0.25 0.75 0.75"],
        ["0 0.25 0.5 0.5 0.25 0.75 0.75 0.5 0.5"],
        ["0 0.25 0.5 0.5 0.25 0.75 0.75 0.5 0.5", "0 0.5 0.5 0.5 0.5"],
        ["0 0.25 0.5 0.5 0.25 0.75 0.75 0.5 0.5", "0 0.25 0.25 0.75 0.25 0.5 0.75"],
    ],
)
def test_of_a_polygon_the_box_is_taken(foreign, lines):
    assert boxes(foreign, *lines) == [pytest.approx([16, 12, 48, 36], abs=1e-4)] * len(lines)


def test_a_polygon_may_reach_out_a_little(foreign):
    [box] = boxes(foreign, "0 -0.005 0.5 0.5 0.25 0.75 1.005")
    assert box == pytest.approx([0, 12, 48, 48])


def test_confidences_that_are_none_leave_all_of_that_kind_out(foreign):
    assert left_out(foreign, "0 0.5 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5 0.5 -1.2")


TEXT = f"0 {MIDDLE}\r\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.replace("\r\n", "\r").encode(),
        TEXT.replace(" ", "\t").encode(),
    ],
)
def test_texts_of_any_unicode_encoding_and_line_end_are_read(foreign, data):
    foreign.picture("a.png")
    foreign.file("labels/a.txt", "").write_bytes(data)
    foreign.file("data.yaml", "names: [polyp]")
    foreign.bring_in("yolo", strict=True)
    assert foreign.imported() == [[("polyp", pytest.approx(IN_PIXELS))]]


@pytest.mark.parametrize("data", [b"", b"\n \r\n", b"\xef\xbb\xbf", "\ufeff\n".encode("utf-16-le")])
def test_an_empty_label_says_that_nothing_is_there(foreign, data):
    foreign.picture("a.png")
    foreign.file("labels/a.txt", "").write_bytes(data)
    foreign.file("data.yaml", "names: [polyp]")
    report = foreign.bring_in("yolo", strict=True)
    assert (report.runs[0].frames, report.runs[0].empty) == (1, 1)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\xff", "0 0.5 é".encode("latin-1")])
def test_a_label_that_isnt_text_leaves_its_picture_out(foreign, data):
    for name in ("a", "b"):
        foreign.picture(f"{name}.png")
        foreign.file(f"labels/{name}.txt", f"0 {MIDDLE}")
    (foreign.root / "labels/a.txt").write_bytes(data)
    foreign.file("data.yaml", "names: [polyp]")
    report = foreign.bring_in("yolo", unlabelled="background")
    assert report.left_out.counts == {"picture: label isn't text": 1}
    assert (report.runs[0].frames, report.runs[0].empty) == (1, 0)
    with pytest.raises(UserError, match=r"a\.png \(a\.txt: .*picture: label isn't text"):
        foreign.bring_in("yolo", strict=True, output_root=str(foreign.root / "strict"))


def test_pictures_and_labels_without_each_other_are_counted(foreign):
    for name in ("a.png", "b.png", "c.png"):
        foreign.picture(name)
    foreign.file("labels/a.txt", f"0 {MIDDLE}")
    foreign.file("labels/b.txt", "")
    foreign.file("labels/z.txt", f"0 {MIDDLE}")
    foreign.file("data.yaml", "names: [polyp]")
    report = foreign.bring_in("yolo")
    assert report.left_out.counts == {
        "picture: no label (--unlabelled background keeps such)": 1,
        "label: no picture of its name": 1,
    }
    assert (report.runs[0].frames, report.runs[0].empty) == (2, 1)
    kept = foreign.bring_in(
        "yolo", unlabelled="background", output_root=str(foreign.root / "with all")
    )
    assert (kept.runs[0].frames, kept.runs[0].empty) == (3, 2)
    with pytest.raises(UserError, match="label: no picture of its name"):
        foreign.bring_in("yolo", strict=True, output_root=str(foreign.root / "strict"))


def test_no_label_at_all_is_an_error_that_says_where_was_looked(foreign):
    foreign.picture("a.png")
    folder = foreign.root / "texts"
    folder.mkdir()
    with pytest.raises(UserError, match=r"no label for any of the 1 picture .*\*\.txt .*texts"):
        foreign.bring_in("yolo", annotations=str(folder))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]", {0: "a", 1: "b"}),
        ("names:\n  1: b\n  0: a\n", {1: "b", 0: "a"}),
        ("names:\n- a\n- 3\n", {0: "a", 1: "3"}),
        ("names: polyp", {0: "polyp"}),
        ("nc: '1'\nnames: ['polyp']", {0: "polyp"}),
        ("nc:\nkpt_shape: null\nnames: [polyp]", {0: "polyp"}),
        ("names: {0: polyp, 1: null}", {0: "polyp", 1: ""}),
        ("names: [no, 007, 1e3]", {0: "no", 1: "007", 2: "1e3"}),
    ],
)
def test_names_in_yaml(foreign, text, names):
    assert read_names(foreign.file("data.yaml", text)) == names


def test_names_in_a_text_keep_their_lines(foreign):
    assert read_names(foreign.file("classes.txt", "a\n\nc\n\n")) == {0: "a", 1: "", 2: "c"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    ("name", "text"), [("classes.txt", "pólip\r\ntool\r\n"), ("data.yaml", "names: [pólip, tool]")]
)
def test_names_in_any_unicode_encoding(foreign, name, text, encoding):
    file = foreign.file(name, "")
    file.write_bytes(text.encode(encoding))
    assert read_names(file) == {0: "pólip", 1: "tool"}


def test_names_of_another_encoding_are_an_error_that_says_the_line(foreign):
    for name in ("data.yaml", "classes.txt"):
        file = foreign.file(name, "")
        file.write_bytes("# a\n# Données\nnames: [polyp]\n".encode("latin-1"))
        with pytest.raises(UserError, match=f"{name} line 2: neither UTF-8 nor UTF-16"):
            read_names(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: 3", "no names of classes"),
        ("- a", "no names of classes"),
        ("names: [a", r"data\.yaml: not YAML \(line 1: "),
        ("names:\n\t- polyp\n", r"data\.yaml: not YAML \(line 2: found character '\\t'"),
        ("names: \0", r"data\.yaml: not YAML \("),
        ("names: null", "names is empty"),
        ("names:", "names is empty"),
        ("names: []", "names is empty"),
        ("names: 'polyp, tool'", "write a list"),
        ("names: {a: 0}", "names has a: 0, no name"),
        ("names: [[a]]", "no name of a class"),
        ("", "no names of classes"),
        ("nc: 3\nnames: [a]", "nc is 3, but there are 1 names"),
        ("kpt_shape: [2, 3]\nnames: [a]", "key points"),
        ("names:\n  0: a\n  1: b\n  0: c\n", r"data\.yaml: not YAML \(line 4: 0 is there twice\)"),
        ("names: [a]\nnames: [b]", r"data\.yaml: not YAML \(line 2: names is there twice\)"),
        ("names: {1: a, 01: b}", "names has two of number 1"),
        ("names: classes.txt", r"names is classes\.txt, a file; name that file by --names"),
    ],
)
def test_other_files_of_names_are_errors(foreign, text, words):
    with pytest.raises(UserError, match=words):
        read_names(foreign.file("data.yaml", text))


def tracked(foreign, lines, ending=""):
    """Of each frame of each video its lines, as `yolo track save_txt` names files."""
    foreign.file("data.yaml", "names: [polyp]")
    for name, text in lines.items():
        foreign.picture(f"{name}{ending}.png")
        foreign.file(f"labels/{name}{ending}.txt", text)


@pytest.mark.parametrize("confidence", ["", "0.9 "])
def test_a_trackers_last_column_names_the_polyps_of_each_video(foreign, confidence):
    line = f"0 0.5 0.5 0.25 0.25 {confidence}"
    tracked(
        foreign,
        {
            "clip_2": f"{line}1\n0 0.2 0.2 0.1 0.1 {confidence}7",
            "clip_10": f"{line}1",
            "other_1": f"{line}1",
        },
    )
    foreign.picture("clip_3.png")
    report = foreign.bring_in("yolo", fps=10, unlabelled="background")
    assert [(run.group, run.frames) for run in report.runs] == [("clip", 3), ("other", 1)]
    frames = index_root(foreign.output).frames
    assert [frame.polyp_ids for frame in frames] == [(1, 7), (), (1,), (1,)]
    assert [frame.seconds for frame in frames] == pytest.approx([0.2, 0.3, 1, 0.1])


def test_without_a_number_in_the_picture_tracks_name_nothing_and_are_counted(foreign):
    tracked(foreign, {"a_1": "0 0.5 0.5 0.25 0.25 2", "a_2": "0 0.5 0.5 0.25 0.25 3"}, "_x")
    report = foreign.bring_in("yolo")
    reason = "track: of a picture that isn't named as a video's frame, such as clip_12"
    assert report.left_out.counts == {reason: 2}
    assert [frame.polyp_ids for frame in index_root(foreign.output).frames] == [(None,), (None,)]


def test_a_column_of_ones_is_a_confidence(foreign):
    tracked(foreign, {"a_1": "0 0.5 0.5 0.25 0.25 1", "a_2": "0 0.5 0.5 0.25 0.25 1"})
    foreign.bring_in("yolo")
    assert [frame.polyp_ids for frame in index_root(foreign.output).frames] == [(None,), (None,)]


def test_two_boxes_of_one_track_leave_their_picture_out(foreign):
    twice = "0 0.5 0.5 0.25 0.25 2\n0 0.1 0.1 0.1 0.1 2"
    tracked(foreign, {"a_1": twice, "a_2": "0 0.5 0.5 0.25 0.25 2"})
    report = foreign.bring_in("yolo")
    assert report.left_out.counts == {"picture: several boxes of one track": 1}
