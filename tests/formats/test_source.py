"""Pictures and labels are found where they lie, and what isn't seen is told of."""

import json
import os
import unicodedata

import pytest

from endoforge.captures.index import index_root
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.core.marks import leave_mark
from endoforge.formats.searching import search
from endoforge.formats.source import Pictures, files_below
from endoforge.formats.spellings import nearest

BOX = "0 0.5 0.5 0.25 0.5"
COMPOSED = "poli\u0301po"  # e with an accent of its own
NFC, NFD = unicodedata.normalize("NFC", COMPOSED), unicodedata.normalize("NFD", COMPOSED)


@pytest.fixture
def yolo(foreign):
    foreign.file("data.yaml", "names: [polyp]")
    return foreign


def paths(folder, suffixes=(".png",)):
    return [path.relative_to(folder).as_posix() for path in files_below(folder, suffixes)]


def link(place, target):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target, target_is_directory=True)


@pytest.mark.parametrize(
    ("picture", "named"),
    [
        (NFC, NFD),
        (NFD, NFC),
        ("a b", "a%20b"),
        ("a%20b", "a b"),
        ("ab", "AB"),
        ("AB", "ab"),
        (f"x/{NFC}", f"X/{NFD.upper()}"),
        ("x/ab", "x\\ab"),
    ],
)
def test_a_name_that_is_spelt_differently_fits_one_picture(yolo, picture, named):
    yolo.picture(f"{picture}.png")
    yolo.picture("another.png")
    assert Pictures(yolo.images).find(f"{named}.png") == f"{picture}.png"
    assert Pictures(yolo.images).find(f"{named}.PNG") == f"{picture}.png"
    if "\\" not in named:
        yolo.file(f"labels/{named}.txt", BOX)
        yolo.bring_in("yolo")
        label = json.loads(index_root(yolo.output).frames[0].label_path.read_text())
        assert label["source_image"] == f"{picture}.png"


def test_the_very_name_goes_before_others(yolo):
    for name in ("a.png", "A.png", "x/B.png", "y/b.png", "c/c.png"):
        yolo.picture(name)
    pictures = Pictures(yolo.images)
    assert [pictures.find(name) for name in ("A.png", "b.png", "Y/B.png", "here/c/C.PNG")] == [
        "A.png", "y/b.png", "y/b.png", "c/c.png"
    ]  # fmt: skip
    with pytest.raises(Unusable, match="several have the file name"):
        pictures.find("a.PNG")
    assert set(pictures.unclear) == {"a.png", "A.png"}


def test_the_end_of_a_path_tells_pictures_of_one_name_apart(yolo):
    for name in ("train/1.png", "valid/1.png"):
        yolo.picture(name)
    assert Pictures(yolo.images).find("C:\\data\\Valid\\1.png") == "valid/1.png"


def test_what_is_near_is_told(yolo):
    yolo.picture("frame_0012.png")
    yolo.picture("frame_0013.png")
    with pytest.raises(Unusable) as missing:
        Pictures(yolo.images).find("frames_12.png")
    assert missing.value.detail == "there is frame_0012.png"
    yolo.file("labels/frame_0013.txt", BOX)
    yolo.file("labels/frames_12.txt", BOX)
    [examples] = [
        examples
        for reason, examples in yolo.bring_in("yolo").left_out.examples.items()
        if reason.startswith("picture: no label")
    ]
    assert examples == ["frame_0012.png (there is frames_12)"]
    assert nearest("frame_3.png", ["frame_4.png", "frame_5.png"]) is None


def test_labels_of_no_picture_are_named_where_none_fits(yolo):
    yolo.picture("frame_0012.png")
    yolo.file("labels/frm_12.txt", BOX)
    with pytest.raises(UserError, match=r"there is frm_12\.txt, and a picture frame_0012"):
        yolo.bring_in("yolo")


def test_a_label_that_may_be_of_two_pictures_makes_neither_a_background(yolo):
    for name in ("x/1.png", "y/1.png", "2.png", "3.png"):
        yolo.picture(name)
    for name in ("elsewhere/1", "2"):
        yolo.file(f"labels/{name}.txt", BOX)
    report = yolo.bring_in("yolo", unlabelled="background")
    assert report.left_out.counts == {"picture: several labels or pictures fit its name": 2}
    assert (report.runs[0].frames, report.runs[0].empty) == (2, 1)


def test_neither_does_a_name_in_coco_that_fits_two(foreign):
    for name in ("x/1.png", "y/1.png", "2.png"):
        foreign.picture(name)
    dataset = {
        "images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}],
        "annotations": [{"image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9]} for n in (1, 2)],
        "categories": [{"id": 1, "name": "polyp"}],
    }
    file = foreign.file("annotations.json", json.dumps(dataset))
    report = foreign.bring_in("coco", annotations=str(file), unlabelled="background")
    assert [(run.frames, run.empty) for run in report.runs] == [(1, 0)]


@pytest.mark.parametrize("layout", ["{side}/images/{name}", "images/{side}/{name}"])
@pytest.mark.parametrize("labels", ["labels", "Labels"])
def test_the_root_of_a_data_set_with_the_same_names_on_both_sides(yolo, layout, labels):
    root = yolo.root / "root"
    yolo.file("root/data.yaml", "names: [polyp]")
    yolo.file("root/README.dataset.txt", "exported")
    for side, centre in (("train", 0.25), ("valid", 0.75)):
        for name in ("1", "2"):
            place = layout.format(side=side, name=name)
            picture = yolo.picture(f"{place}.png")
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            picture.rename(root / f"{place}.png")
            label = place.replace("images", labels)
            yolo.file(f"root/{label}.txt", f"0 {centre} 0.5 0.25 0.5")
    report = yolo.bring_in("yolo", images=str(root), strict=True)
    assert [run.frames for run in report.runs] == [2, 2]
    lefts = [frame[0][1][0] for frame in yolo.imported()]
    assert lefts == pytest.approx([8, 8, 40, 40])


def test_the_root_of_voc_with_the_same_names_in_two_years(foreign):
    root = foreign.root / "VOCdevkit"
    for year, left in (("VOC2007", 11), ("VOC2012", 21)):
        picture = foreign.picture("1.png")
        (root / year / "JPEGImages").mkdir(parents=True)
        picture.rename(root / year / "JPEGImages" / "1.png")
        edges = f"<xmin>{left}</xmin><ymin>1</ymin><xmax>40</xmax><ymax>40</ymax>"
        box = f"<object><name>polyp</name><bndbox>{edges}</bndbox></object>"
        label = f"VOCdevkit/{year}/Annotations/1.xml"
        foreign.file(label, f"<annotation>{box}</annotation>")
    foreign.bring_in("voc", images=str(root), strict=True)
    assert [frame[0][1][0] for frame in foreign.imported()] == pytest.approx([10, 20])


def test_linked_folders_are_followed_once(foreign):
    foreign.picture("val/b.png")
    foreign.picture("../elsewhere/a.png")
    foreign.picture("../elsewhere/in/c.png")
    link(foreign.images / "train", foreign.root / "elsewhere")
    link(foreign.images / "a link to val", foreign.images / "val")
    link(foreign.images / "val" / "loop", foreign.images)
    link(foreign.images / "val" / "up", foreign.root)
    link(foreign.root / "elsewhere" / "in" / "loop", foreign.root / "elsewhere")
    assert paths(foreign.images) == ["train/a.png", "train/in/c.png", "val/b.png"]


def test_pictures_in_linked_folders_come_in_with_their_labels(yolo):
    yolo.picture("../elsewhere/a.png")
    link(yolo.images / "train", yolo.root / "elsewhere")
    yolo.file("labels/train/a.txt", BOX)
    report = yolo.bring_in("yolo", strict=True)
    assert [(run.group, run.frames) for run in report.runs] == [("train", 1)]


def unreadable(monkeypatch, folder):
    scandir = os.scandir

    def refused(path):
        if os.fspath(path) == os.fspath(folder):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)


def test_a_folder_of_pictures_that_cant_be_read_is_named(yolo, monkeypatch, caplog):
    for name in ("one/1", "two/2"):
        yolo.picture(f"{name}.png")
        yolo.file(f"labels/{name}.txt", BOX)
    unreadable(monkeypatch, yolo.images / "two")
    with caplog.at_level("WARNING"):
        assert [run.frames for run in yolo.bring_in("yolo").runs] == [1]
    assert f"{yolo.images / 'two'} (Permission denied)" in caplog.text


def test_a_folder_of_labels_that_cant_be_read_is_an_error(yolo, monkeypatch):
    for name in ("one/1", "two/2"):
        yolo.picture(f"{name}.png")
        yolo.file(f"labels/{name}.txt", BOX)
    unreadable(monkeypatch, yolo.root / "labels" / "two")
    with pytest.raises(UserError, match=r"labels can't be read: .*two \(Permission denied\)"):
        yolo.bring_in("yolo", unlabelled="background")


def test_a_link_that_leads_nowhere_is_named(foreign):
    foreign.picture("a.png")
    link(foreign.images / "train", foreign.root / "gone")
    link(foreign.images / "b.png", foreign.root / "gone.png")
    link(foreign.images / "notes.md", foreign.root / "gone.md")
    found = search(foreign.images, [".png"])
    assert {path.name: why for path, why in found.unreadable.items()} == dict.fromkeys(
        ("train", "b.png"), "a link that leads nowhere"
    )


def test_hidden_files_and_those_of_the_system_are_left_out(foreign):
    for name in ("a.png", ".b.png", ".c/d.png", "lost+found/e.png"):
        foreign.picture(name)
    assert paths(foreign.images) == ["a.png"]


def test_what_endoforge_wrote_is_no_source_of_pictures(yolo, make_run, caplog):
    yolo.picture("a.png")
    yolo.file("labels/a.txt", BOX)
    make_run(yolo.images / "captures", [[("polyp", (1, 1, 9, 9))]])
    yolo.picture("found/a.png")
    leave_mark(yolo.images / "found", "detect")
    with caplog.at_level("WARNING"):
        report = yolo.bring_in("yolo", unlabelled="background")
    assert [(run.frames, run.empty) for run in report.runs] == [(1, 0)]
    assert "not searched, since endoforge wrote it: 2 folders" in caplog.text
    assert "(an output of detect)" in caplog.text
    assert "(a capture run)" in caplog.text


def test_a_capture_run_itself_isnt_imported(yolo, make_run):
    run = make_run(yolo.root / "captures", [[("polyp", (1, 1, 9, 9))]])
    with pytest.raises(UserError, match=r"no picture in it .*not searched: .* \(a capture run\)"):
        yolo.bring_in("yolo", images=str(run))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("images/runs", "--output-root .*: lies in --images"),
        ("images", "--output-root .*: lies in --images"),
        ("linked/runs", "--output-root .*: lies in --images"),
        ("labels/runs", "--output-root .*: lies in --annotations"),
        ("data.yaml", "--output-root .*: is there, but is no folder"),
        ("data.yaml/runs", "--output-root .*data.yaml is no folder"),
    ],
)
def test_runs_that_would_lie_among_what_is_read_are_refused(yolo, output, words):
    yolo.picture("a.png")
    yolo.file("labels/a.txt", BOX)
    link(yolo.root / "linked", yolo.images)
    settings = {"output_root": str(yolo.root / output), "annotations": str(yolo.root / "labels")}
    with pytest.raises(UserError, match=words):
        yolo.bring_in("yolo", **settings)


def test_pictures_of_the_runs_of_the_output_are_refused(yolo, make_run):
    run = make_run(yolo.output, [[("polyp", (1, 1, 9, 9))]])
    with pytest.raises(UserError, match=r"--images .*: lies in a run of --output-root"):
        yolo.bring_in("yolo", images=str(run / "images"))


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX")
def test_names_that_arent_utf8_come_in(yolo):
    folder = os.fsdecode(b"caf\xe9")
    yolo.picture(f"{folder}/a.png")
    yolo.file(f"labels/{folder}/a.txt", BOX)
    assert yolo.bring_in("yolo").runs[0].group == "caf\\xe9"
    assert yolo.bring_in("yolo").runs[0].there == 1
    label = json.loads(index_root(yolo.output).frames[0].label_path.read_text())
    assert label["source_image"] == "caf\\xe9/a.png"
