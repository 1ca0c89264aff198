"""Runs of an import: whole or gone on with, known again, never there twice."""

import json
import threading
from typing import Any

import pytest
from PIL import Image

from endoforge import cli
from endoforge.captures.index import index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.run_frames import read_manifest
from endoforge.core.errors import Resumable, UserError
from endoforge.formats.runs import ImportRoot
from tests.conftest import ours_of

from .conftest import picture_bytes

BOX = "0 0.5 0.5 0.25 0.5"


@pytest.fixture
def yolo(foreign):
    """Two folders of pictures with a box each."""
    foreign.file("data.yaml", "names: [polyp, tool]")
    for name in ("one/9", "one/10", "two/1"):
        foreign.picture(f"{name}.png")
        foreign.file(f"labels/{name}.txt", BOX)
    return foreign


def runs_of(foreign):
    return index_root(foreign.output).runs


def test_a_folder_becomes_a_run_with_its_pictures_in_natural_order(yolo):
    report = yolo.bring_in("yolo")
    assert [(run.group, run.frames) for run in report.runs] == [("one", 2), ("two", 1)]
    first, second, _ = index_root(yolo.output, strict=True).frames
    assert (first.frame_id, second.frame_id) == (0, 1)
    assert first.image_path.read_bytes() == (yolo.images / "one/9.png").read_bytes()
    assert second.image_path.read_bytes() == (yolo.images / "one/10.png").read_bytes()
    assert report.lines() == [
        f"{yolo.output}: 2 runs, 3 frames came in",
        f"  run{' ' * (len(report.runs[0].name) - 3)}  frames  empty  boxes  from",
        f"  {report.runs[0].name}       2      0      2  one",
        f"  {report.runs[1].name}       1      0      1  two",
        "  boxes by class: polyp 3",
    ]


@pytest.mark.parametrize(
    ("group", "runs"),
    [
        ("one", {".": 3}),
        ("name:^..", {"on": 2, "tw": 1}),
        (r"name:/(\d)", {"9": 1, "1": 2}),
    ],
)
def test_other_groups(yolo, group, runs):
    report = yolo.bring_in("yolo", group=group)
    assert {run.group: run.frames for run in report.runs} == runs


def test_a_pattern_that_isnt_there_is_an_error(yolo):
    with pytest.raises(UserError, match=r"--group name:x: the pattern isn't in one/9\.png"):
        yolo.bring_in("yolo", group="name:x")


def test_the_manifest_says_where_the_run_is_from(yolo):
    yolo.bring_in("yolo")
    ours = runs_of(yolo)[0].manifest.endoforge
    assert (ours["frames"], ours["complete"]) == (2, True)
    assert ours["import"]["format"] == "yolo"
    assert ours["import"]["source"] == str(yolo.images)
    assert ours["import"]["group"] == "one"


def test_the_same_again_changes_nothing_and_says_so(yolo):
    yolo.bring_in("yolo")
    before = {path: path.stat().st_mtime_ns for path in yolo.output.rglob("*")}
    report = yolo.bring_in("yolo")
    assert {path: path.stat().st_mtime_ns for path in yolo.output.rglob("*")} == before
    assert report.lines()[0] == f"{yolo.output}: 2 runs, 0 frames came in, 3 were there already"


def test_the_same_pictures_from_another_place_are_known_again(yolo):
    yolo.bring_in("yolo")
    yolo.root.joinpath("images").rename(yolo.root / "moved")
    settings = {"images": str(yolo.root / "moved"), "annotations": str(yolo.root / "labels")}
    assert yolo.bring_in("yolo", **settings).runs[0].there == 2


@pytest.mark.parametrize("change", ["label", "picture"])
def test_other_content_beside_it_is_refused(yolo, change):
    yolo.bring_in("yolo")
    if change == "label":
        yolo.file("labels/one/9.txt", "")
    else:
        yolo.picture("one/11.png")
        yolo.file("labels/one/11.txt", "")
    with pytest.raises(UserError, match=r"run_\d+ holds an import of .*\(one\).*remove that run"):
        yolo.bring_in("yolo")
    assert len(runs_of(yolo)) == 2


def test_the_same_pictures_from_another_place_with_other_labels_are_refused(yolo):
    yolo.bring_in("yolo")
    yolo.root.joinpath("images").rename(yolo.root / "moved")
    yolo.file("labels/one/9.txt", "")
    settings = {"images": str(yolo.root / "moved"), "annotations": str(yolo.root / "labels")}
    with pytest.raises(UserError, match="with other pictures, labels or settings"):
        yolo.bring_in("yolo", **settings)


def test_what_ctrl_c_cut_short_is_gone_on_with(yolo, monkeypatch, capsys):
    write = RunRecorder.write_encoded
    written: list[tuple[Any, ...]] = []

    def interrupted(self, *frame):
        if len(written) == 1:
            raise KeyboardInterrupt
        write(self, *frame)
        written.append(frame)

    monkeypatch.setattr(RunRecorder, "write_encoded", interrupted)
    with pytest.raises(Resumable):
        yolo.bring_in("yolo")
    [half] = runs_of(yolo)
    assert (half.manifest.endoforge["frames"], half.manifest.endoforge["complete"]) == (1, False)
    assert len(index_root(yolo.output).frames) == 1
    config = yolo.config("yolo")
    words = ["--images", config.images, "--output-root", config.output_root]
    assert cli.run(["import", "--format", "yolo", *words, "--log-level", "error"]) == 130
    assert "go on with: endoforge import" in capsys.readouterr().err

    monkeypatch.undo()
    report = yolo.bring_in("yolo")
    assert [(run.frames, run.there) for run in report.runs] == [(1, 1), (1, 0)]
    first, second = runs_of(yolo)
    assert first.name == half.name
    assert ours_of(read_manifest(first.path))["complete"]
    assert ours_of(read_manifest(second.path))["complete"]
    assert len(index_root(yolo.output, strict=True).frames) == 3


def test_an_unfinished_run_of_other_labels_is_named(yolo, monkeypatch):
    monkeypatch.setattr(RunRecorder, "finish", lambda self: self.pause())
    yolo.bring_in("yolo")
    yolo.file("labels/one/9.txt", "")
    with pytest.raises(UserError, match="an unfinished import"):
        yolo.bring_in("yolo")


@pytest.mark.parametrize("spoilt", [0, 1])
def test_a_frame_that_a_power_cut_spoilt_is_written_again(yolo, monkeypatch, spoilt):
    yolo.picture("one/10.png", "JPEG")
    with monkeypatch.context() as patch:
        patch.setattr(RunRecorder, "finish", lambda self: self.pause())
        yolo.bring_in("yolo")
    image = index_root(yolo.output).frames[spoilt].image_path
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    assert image.suffix == (".png", ".jpg")[spoilt]
    report = yolo.bring_in("yolo")
    assert [(run.frames, run.there) for run in report.runs] == [(1, 1), (0, 1)]
    assert image.read_bytes() == whole


def test_two_imports_to_one_folder_at_a_time_are_refused(yolo):
    other = ImportRoot(yolo.output)
    said = []

    def attempt():
        try:
            yolo.bring_in("yolo")
        except UserError as error:
            said.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "another import is writing there" in said[0]
    other.close()
    yolo.bring_in("yolo")


def test_classes_are_renamed_and_left_out_by_name(yolo):
    yolo.file("labels/one/9.txt", f"{BOX}\n1 0.5 0.5 1 1\n")
    report = yolo.bring_in("yolo", class_map="polyp = adenoma, tool=")
    assert report.runs[0].boxes == {"adenoma": 2}
    assert report.left_out.counts == {"box: of tool, left out by --class-map": 1}
    with pytest.raises(UserError, match="no class is named 'Polyp'; there are: polyp, tool"):
        yolo.bring_in("yolo", class_map="Polyp=polyp")


def test_a_box_that_is_there_twice_is_one_and_is_counted(yolo):
    yolo.file("labels/one/9.txt", f"{BOX}\n{BOX}\n{BOX}\n1{BOX[1:]}\n0 0.5 0.5 0.25 0.4\n")
    report = yolo.bring_in("yolo", strict=True)
    assert report.runs[0].boxes == {"polyp": 3, "tool": 1}
    assert report.left_out.counts == {"box: there twice, with the same class and corners": 2}


def test_pictures_that_cant_be_used_are_counted_and_keep_their_numbers_free(yolo):
    (yolo.images / "one/9.png").write_bytes(b"not a picture")
    turned = picture_bytes(
        (64, 48),
        "JPEG",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    (yolo.images / "two/1.png").unlink()
    (yolo.images / "two/1.jpg").write_bytes(turned)
    report = yolo.bring_in("yolo")
    assert sorted(report.left_out.counts) == [
        "picture: image unreadable",
        "picture: turned by its EXIF note, so boxes may be of either way up; save it upright",
    ]
    assert [frame.frame_id for frame in index_root(yolo.output).frames] == [1]
    assert len(runs_of(yolo)) == 1, "a run without a frame isn't left behind"


@pytest.mark.parametrize(
    ("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("TIFF", ".tif"), ("WEBP", ".webp")]
)
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_note_to_turn_it_counts_in_every_kind_of_file(yolo, kind, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (yolo.images / "two/1.png").unlink()
    (yolo.images / f"two/1{suffix}").write_bytes(picture_bytes((64, 48), kind, exif=exif))
    report = yolo.bring_in("yolo")
    assert len(report.runs) == (2 if orientation == 1 else 1)
    assert report.left_out.counts.total() == (orientation != 1)


def test_other_kinds_of_pictures_become_png_with_the_same_pixels(yolo):
    (yolo.images / "one/9.png").unlink()
    yolo.picture("one/9.bmp", "BMP")
    yolo.picture("one/10.png", "JPEG")  # a name may lie
    yolo.bring_in("yolo")
    first, second, _ = index_root(yolo.output, strict=True).frames
    assert (first.image_path.suffix, second.image_path.suffix) == (".png", ".jpg")
    from endoforge.captures.pictures import read_picture

    assert (read_picture(first.image_path) == read_picture(yolo.images / "one/9.bmp")).all()


def test_boxes_that_reach_out_are_clipped_and_counted(yolo):
    yolo.file("labels/one/9.txt", "0 0.1 0.5 0.4 0.5")
    report = yolo.bring_in("yolo")
    assert report.clipped == 1
    assert "  clipped: 1 box that reached out of the picture" in report.lines()
    [(_, box)] = yolo.imported()[0]
    assert box == pytest.approx([0, 12, 0.3 * 64, 36], abs=1e-4)


def test_labels_have_all_that_the_format_demands(yolo):
    yolo.bring_in("yolo")
    label = json.loads(index_root(yolo.output).frames[0].label_path.read_text())
    assert set(label) == {
        "frame_id", "sim_time", "unix_time", "image", "image_present", "camera_active",
        "polyp_seed", "polyp_labels", "source_image",
    }  # fmt: skip
    assert label["source_image"] == "one/9.png"
    [polyp] = label["polyp_labels"]
    assert polyp["center_world"] == [0, 0, 0]
    assert polyp["bbox_px"] == [24, 12, 40, 36]
    assert polyp["bbox_norm"] == [0.375, 0.25, 0.625, 0.75]
    assert polyp["label"] == "polyp"


def test_where_nothing_can_be_used_it_is_an_error_that_says_why(yolo):
    for path in yolo.images.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no picture can be used \(3 x picture: image unreadable"):
        yolo.bring_in("yolo")


def test_an_empty_folder_and_a_missing_one_are_errors(foreign):
    foreign.images.mkdir()
    with pytest.raises(UserError, match="no picture in it"):
        foreign.bring_in("yolo")
    with pytest.raises(UserError, match="--images nowhere: no such folder"):
        foreign.bring_in("voc", images="nowhere")
    with pytest.raises(UserError, match="no shard in it"):
        foreign.bring_in("webdataset")


BAD_BOX = "0 0.5 0.5 0 0.5"


def test_a_picture_with_a_box_that_cant_be_used_is_left_out_as_a_whole(yolo):
    yolo.file("labels/one/9.txt", f"{BOX}\n{BAD_BOX}\n")
    yolo.file("labels/two/1.txt", BAD_BOX)
    report = yolo.bring_in("yolo")
    assert [(run.group, run.frames, run.empty) for run in report.runs] == [("one", 1, 0)]
    assert report.left_out.counts == {"picture: a box with no area within the picture": 2}
    assert [frame.frame_id for frame in index_root(yolo.output, strict=True).frames] == [1]
    assert len(runs_of(yolo)) == 1, "nothing is written of a folder without a picture"


def test_an_import_that_left_pictures_out_is_known_again(yolo):
    yolo.file("labels/one/9.txt", BAD_BOX)
    yolo.bring_in("yolo")
    before = {path: path.stat().st_mtime_ns for path in yolo.output.rglob("*")}
    report = yolo.bring_in("yolo")
    assert {path: path.stat().st_mtime_ns for path in yolo.output.rglob("*")} == before
    assert [run.there for run in report.runs] == [1, 1]
    assert report.left_out.counts == {"picture: a box with no area within the picture": 1}
    yolo.file("labels/one/9.txt", BOX)
    with pytest.raises(UserError, match="with other pictures, labels or settings"):
        yolo.bring_in("yolo")


def test_strict_stops_at_such_a_picture_before_anything_is_written(yolo):
    yolo.file("labels/two/1.txt", BAD_BOX)
    with pytest.raises(UserError, match=r"two/1\.png \(polyp\): picture: a box with no area"):
        yolo.bring_in("yolo", strict=True)
    assert not yolo.output.exists()


def test_a_box_whose_picture_has_a_size_that_no_label_says_is_judged_by_its_pixels(foreign):
    for name, corners in (("a", (70, 1, 90, 40)), ("b", (9, 9, 20, 30))):
        foreign.picture(f"{name}.png")
        edges = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in edges)
        item = f"<object><name>polyp</name><bndbox>{box}</bndbox></object>"
        foreign.file(f"Annotations/{name}.xml", f"<annotation>{item}</annotation>")
    report = foreign.bring_in("voc")
    assert report.left_out.counts == {"picture: a box with no area within the picture": 1}
    assert (report.runs[0].frames, report.runs[0].empty) == (1, 0)
    assert foreign.bring_in("voc").runs[0].there == 1


def test_where_no_picture_is_left_the_error_says_why(yolo):
    for name in ("one/9", "one/10", "two/1"):
        yolo.file(f"labels/{name}.txt", BAD_BOX)
    with pytest.raises(UserError, match=r"no picture can be used \(3 x picture: a box with no"):
        yolo.bring_in("yolo")


def test_a_label_that_says_a_size_of_0_is_of_another_size(yolo):
    image = {"id": 1, "file_name": "two/1.png", "width": 0, "height": 0}
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
    dataset = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "polyp"}]}
    file = yolo.file("annotations.json", json.dumps(dataset))
    with pytest.raises(UserError, match="its label is of another size"):
        yolo.bring_in("coco", annotations=str(file))
