"""VOC in: pixels count from 1, and the last one belongs to the box."""

import pytest

from endoforge.core.errors import UserError

HEAD = "<annotation><size><width>64</width><height>48</height></size>"


def item(name="polyp", corners=(11, 21, 40, 25)):
    edges = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in edges)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def test_the_first_pixel_is_1_and_the_last_one_is_in_the_box(foreign):
    foreign.picture("a.png")
    foreign.file(
        "Annotations/a.xml", HEAD + item() + item("clip", (1, 1, 64, 48)) + "</annotation>"
    )
    foreign.bring_in("voc")
    assert foreign.imported() == [
        [("clip", pytest.approx([0, 0, 64, 48])), ("polyp", pytest.approx([10, 20, 40, 25]))]
    ]


def test_what_cant_be_read_is_counted(foreign):
    for name in ("a.png", "b.png", "c.png", "d.png"):
        foreign.picture(name)
    objects = item() + item("") + item(corners=("", 1, 2, 3)) + item(corners=(9, 9, 5, 12))
    foreign.file("Annotations/a.xml", HEAD + objects + "</annotation>")
    foreign.file("Annotations/b.xml", "<annotation>")
    foreign.file("Annotations/c.xml", "<html></html>")
    smaller = HEAD.replace("64", "32")
    foreign.file("Annotations/d.xml", f"{smaller}</annotation>")
    report = foreign.bring_in("voc")
    assert len(foreign.imported()[0]) == 1
    assert report.left_out.counts == {
        "box: object without a name": 1,
        "box: bndbox isn't four numbers": 1,
        "box: reversed corners": 1,
        "picture: label malformed": 2,
        "picture: its label is of another size": 1,
    }


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_a_size_that_isnt_said_isnt_compared(foreign, size):
    foreign.picture("a.png")
    foreign.file("labels/a.xml", f"<annotation>{size}{item()}</annotation>")
    report = foreign.bring_in("voc", annotations=str(foreign.root / "labels"))
    assert report.runs[0].boxes == {"polyp": 1}


def test_a_folder_that_isnt_there_is_an_error(foreign):
    foreign.picture("a.png")
    with pytest.raises(UserError, match="--annotations nowhere: no such folder"):
        foreign.bring_in("voc", annotations="nowhere")
