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


def brought_in(foreign, label, **settings):
    """An import of a picture with this label, and of one with a plain one."""
    plain = (HEAD + item() + "</annotation>").encode()
    for name, data in (("a", label), ("b", plain)):
        foreign.picture(f"{name}.png")
        data = data if isinstance(data, bytes) else data.encode()
        foreign.file(f"Annotations/{name}.xml", "").write_bytes(data)
    return foreign.bring_in("voc", **settings)


POLYGON = "<polygon><x1>9</x1><y1>9</y1></polygon>"
NO_BNDBOX = "an object without a bndbox of four numbers"


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (item() + item(""), "an object without a name"),
        (item() + item(corners=("", 1, 2, 3)), NO_BNDBOX),
        (item(corners=("11,0", "21,0", "40,0", "25,0")), NO_BNDBOX),
        (f"<object><name>polyp</name>{POLYGON}</object>", NO_BNDBOX),
        ("<object><name>polyp</name><robndbox><cx>9</cx></robndbox></object>", NO_BNDBOX),
        (item().replace("</object>", "<bndbox/></object>"), NO_BNDBOX),
        (item().replace("object", "Object"), "label malformed"),
        (POLYGON, "label malformed"),
        (item() + item().replace("object", "Object"), "label malformed"),
        (item() + item().replace("object", "item"), "label malformed"),
        (item(corners=(90, 9, 99, 12)), "a box with no area within the picture"),
        (item(corners=(0.1, 0.2, 0.5, 0.75)), "a box in 0..1 where pixels are meant"),
        (item(corners=("nan", 9, 15, 12)), "a box with NaN or infinite corners"),
    ],
)
def test_a_picture_with_an_object_that_cant_be_used_is_left_out(foreign, inner, reason):
    report = brought_in(foreign, f"{HEAD}{inner}</annotation>", unlabelled="background")
    assert report.left_out.counts == {f"picture: {reason}": 1}
    assert (report.runs[0].frames, report.runs[0].empty) == (1, 0)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("<annotation>", "label malformed"),
        ("<html></html>", "label malformed"),
        ("", "label malformed"),
        (HEAD.replace("64", "32") + "</annotation>", "its label is of another size"),
    ],
)
def test_a_picture_with_another_label_is_left_out(foreign, label, reason):
    report = brought_in(foreign, label)
    assert report.left_out.counts == {f"picture: {reason}": 1}
    with pytest.raises(UserError, match=reason):
        brought_in(foreign, label, strict=True, output_root=str(foreign.root / "strict"))


@pytest.mark.parametrize("corners", [(40, 25, 11, 21), (40, 21, 11, 25), (11, 25, 40, 21)])
def test_swapped_corners_are_sorted(foreign, corners):
    brought_in(foreign, f"{HEAD}{item(corners=corners)}</annotation>", strict=True)
    assert foreign.imported()[0] == [("polyp", pytest.approx([10, 20, 40, 25]))]


def test_an_edge_narrower_than_a_pixel_isnt_swapped(foreign):
    brought_in(foreign, f"{HEAD}{item(corners=(11.5, 21, 11, 25))}</annotation>", strict=True)
    assert foreign.imported()[0] == [("polyp", pytest.approx([10.5, 20, 11, 25]))]


BODY = f"{HEAD}{item('息肉')}</annotation>"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "UTF-16LE", "gb2312", "GBK", "gb18030", "big5", "shift_jis"],
)
def test_xml_in_any_encoding_that_python_knows(foreign, encoding):
    declared = encoding.removesuffix("-sig")
    label = f'<?xml version="1.0" encoding="{declared}"?>\n{BODY}'.encode(encoding)
    brought_in(foreign, label, strict=True)
    assert foreign.imported()[0] == [("息肉", pytest.approx([10, 20, 40, 25]))]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (
            f"<?xml version='1.0' encoding='latin-1'?>{HEAD}{item('pólipo')}</annotation>".encode(
                "latin-1"
            ),
            "pólipo",
        ),
        (f'<?xml version="1.0" encoding="utf-16"?>{BODY}'.encode(), "息肉"),
        (BODY.encode("utf-16"), "息肉"),
        (f'\n  <?xml version="1.0"?>{BODY}'.encode(), "息肉"),
        (f'\ufeff\n<?xml version="1.0" encoding="utf-8"?>{BODY}'.encode(), "息肉"),
    ],
)
def test_xml_that_is_encoded_or_begins_otherwise(foreign, label, name):
    brought_in(foreign, label, strict=True)
    assert foreign.imported()[0] == [(name, pytest.approx([10, 20, 40, 25]))]


@pytest.mark.parametrize(
    "label",
    [
        f'<?xml version="1.0" encoding="utf8mb4"?>{BODY}'.encode(),
        f'<?xml version="1.0" encoding="base64"?>{BODY}'.encode(),
        f'<?xml version="1.0" encoding="utf-8"?>{BODY}'.encode("gb2312"),
        BODY.encode("gb2312"),
        f'<!DOCTYPE a [<!ENTITY b "c">]>{BODY}'.encode(),
    ],
)
def test_xml_in_another_encoding_leaves_its_picture_out(foreign, label):
    report = brought_in(foreign, label, unlabelled="background")
    assert report.left_out.counts == {"picture: label malformed": 1}
    assert (report.runs[0].frames, report.runs[0].empty) == (1, 0)


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
