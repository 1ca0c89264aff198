"""YOLO in: numbers get their names from a file, or it is an error."""

import pytest

from endoforge.core.errors import UserError
from endoforge.formats.yolo import read_names

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


def test_of_a_polygon_the_box_is_taken_and_other_lines_are_counted(foreign):
    foreign.picture("a.png")
    lines = [
        "0 0.25 0.5 0.5 0.25 0.75 0.75",
        "0 0.5 0.5 0.5",
        "0 0.5 0.5 0.5 0.5 0.9",
        "polyp 0.5 0.5 0.5 0.5",
        "0.5 0.5 0.5 0.5 0.5",
        "0 0.5 0.5 0 0.5",
        "0 nan 0.5 0.5 0.5",
    ]
    foreign.file("labels/a.txt", "\n".join(lines))
    foreign.file("data.yaml", "names: [polyp]")
    report = foreign.bring_in("yolo")
    assert foreign.imported() == [[("polyp", pytest.approx([16, 12, 48, 36]))]]
    assert report.left_out.counts == {
        "box: line is neither `class x y width height` nor a polygon": 2,
        "box: line isn't numbers": 1,
        "box: class isn't a whole number": 1,
        "box: no area within the picture": 1,
        "box: NaN or infinite": 1,
    }


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
    with pytest.raises(UserError, match=r"no label for any of the 1 pictures .*\*\.txt .*texts"):
        foreign.bring_in("yolo", annotations=str(folder))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]", {0: "a", 1: "b"}),
        ("names:\n  1: b\n  0: a\n", {1: "b", 0: "a"}),
        ("names:\n- a\n- 3\n", {0: "a", 1: "3"}),
    ],
)
def test_names_in_yaml(foreign, text, names):
    assert read_names(foreign.file("data.yaml", text)) == names


def test_names_in_a_text_keep_their_lines(foreign):
    assert read_names(foreign.file("classes.txt", "a\n\nc\n\n")) == {0: "a", 1: "", 2: "c"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: 3", "no names of classes"),
        ("- a", "no names of classes"),
        ("names: [a", "no names of classes"),
        ("nc: 3\nnames: [a]", "nc is 3, but there are 1 names"),
        ("kpt_shape: [2, 3]\nnames: [a]", "key points"),
    ],
)
def test_other_files_of_names_are_errors(foreign, text, words):
    with pytest.raises(UserError, match=words):
        read_names(foreign.file("data.yaml", text))
