"""Instance images out: to the pixel, or not at all."""

import json
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.data.split import Split, save_split
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.instances import outline

SIZE = (64, 48)
RING, TWO = 3, 7
"""Of the polyps: one with a hole, and one in two parts."""


def instances():
    pixels = np.zeros((48, 64), np.uint8)
    pixels[4:14, 3:20] = RING
    pixels[6:9, 5:9] = 0
    pixels[20:30, 30:40] = TWO
    pixels[33:36, 44:60] = TWO
    pixels[0, 0] = 9  # of no box: a polyp that counts as unseen
    return pixels


def boxes():
    return [("polyp", (3, 4, 20, 14), RING), ("IIa", (30, 20, 60, 36), TWO)]


def save(run, number, pixels):
    path = run / f"instance/frame_{number:05d}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def run(tmp_path, make_run):
    run = make_run(tmp_path / "captures", [boxes(), []])
    save(run, 0, instances())
    save(run, 1, np.zeros((48, 64), np.uint8))
    return run


def convert(run, format, **settings):
    out = run.parent.with_name(f"out-{format}")
    return run_convert(ConvertConfig(format=format, paths=(str(run), str(out)), **settings)), out


def filled(xs_and_ys):
    """The pixels whose centres are within a polygon by the even-odd rule."""
    points = np.asarray(xs_and_ys, float).reshape(-1, 2)
    inside = np.zeros((48, 64), bool)
    x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y > min(y0, y1)) & (y < max(y0, y1))
            inside ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside


def test_coco_has_the_very_pixels(run):
    report, out = convert(run, "coco")
    coco = COCO(str(out / "annotations.json"))
    ring, two = coco.loadAnns([1, 2])
    np.testing.assert_array_equal(coco.annToMask(ring), instances() == RING)
    np.testing.assert_array_equal(coco.annToMask(two), instances() == TWO)
    assert (ring["area"], two["area"]) == (17 * 10 - 12, 100 + 48)
    assert (ring["bbox"], two["bbox"]) == ([3, 4, 17, 10], [30, 20, 30, 16])
    assert (ring["iscrowd"], ring["track_id"]) == (0, RING)
    assert not report.left_out.counts


def test_coco_goes_without_masks_where_a_run_has_none_or_they_are_of_other_boxes(run):
    (run / "instance/frame_00000.png").unlink()
    report, out = convert(run, "coco")
    annotations = json.loads((out / "annotations.json").read_text())["annotations"]
    assert [one.get("segmentation") for one in annotations] == [None, None]
    assert not report.left_out.counts
    save(run, 0, np.roll(instances(), 2, axis=1))
    out.rename(out.with_name("before"))
    report, out = convert(run, "coco")
    assert report.boxes.total() == 2
    assert report.left_out.counts == {
        "segmentation (boxes are written): its instance image shows another place than a box": 2
    }


def test_yolo_seg_has_a_polygon_along_the_pixels_edges(run):
    _, out = convert(run, "yolo-seg")
    first, second = (out / f"labels/{run.name}/frame_00000.txt").read_text().splitlines()
    assert (first[:2], second[:2]) == ("1 ", "0 "), "classes by the order of their names"
    for line, polyp in ((first, RING), (second, TWO)):
        points = np.array(line.split()[1:], float).reshape(-1, 2) * SIZE
        np.testing.assert_allclose(points, points.round(), atol=1e-5)
        np.testing.assert_array_equal(filled(points.round()), instances() == polyp)
    assert (out / f"labels/{run.name}/frame_00001.txt").read_text() == ""
    assert (out / "data.yaml").is_file()


def test_outlines_of_a_square_and_of_one_pixel_are_their_corners():
    mask = np.zeros((48, 64), bool)
    mask[5, 7] = True
    assert {tuple(point) for point in outline(mask)} == {(7, 5), (8, 5), (8, 6), (7, 6)}
    mask[:] = True
    assert {tuple(point) for point in outline(mask)} == {(0, 0), (64, 0), (64, 48), (0, 48)}
    assert len(outline(mask)) == 4


@pytest.mark.parametrize("seed", range(8))
def test_outlines_hold_the_mask_however_ragged_it_is(seed):
    noise = np.random.default_rng(seed).random((48, 64)).astype(np.float32)
    mask = noise > 0.6 if seed % 2 else cv2.GaussianBlur(noise, (0, 0), 2) > 0.51
    np.testing.assert_array_equal(filled(outline(mask)), mask)


def test_masks_are_white_where_a_polyp_is_and_have_their_pictures_names(run):
    report, out = convert(run, "masks")
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert names == [
        f"images/{run.name}_frame_00000.png",
        f"images/{run.name}_frame_00001.jpg",
        f"masks/{run.name}_frame_00000.png",
        f"masks/{run.name}_frame_00001.png",
    ]
    shown = np.isin(instances(), (RING, TWO)) * np.uint8(255)
    np.testing.assert_array_equal(np.array(Image.open(out / names[2])), shown)
    assert not np.array(Image.open(out / names[3])).any()
    assert report.notes == ["masks tell no classes apart: 255 is any of IIa, polyp"]


@pytest.mark.parametrize("format", ["yolo-seg", "masks"])
def test_a_frame_without_masks_is_left_out_and_a_run_without_them_is_an_error(run, format):
    (run / "instance/frame_00000.png").unlink()
    report, out = convert(run, format)
    reason = "frame: no instance image (record its run with --save instance)"
    assert report.left_out.counts == {reason: 1}
    assert report.frames == {"all": 1}
    (run / "instance/frame_00001.png").unlink()
    out.rename(out.with_name("before"))
    with pytest.raises(UserError, match=r"no usable frame in .*--save instance") as caught:
        convert(run, format)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((48, 64), np.uint8), "shows another place than a box"),
        (np.zeros((48, 63), np.uint8), "of another size or kind"),
        (np.zeros((48, 64, 3), np.uint8), "of another size or kind"),
        (None, "instance image unreadable"),
    ],
)
def test_an_instance_image_that_cant_be_used_leaves_its_frame_out(run, pixels, reason):
    if pixels is None:
        (run / "instance/frame_00000.png").write_bytes(b"no picture")
    else:
        save(run, 0, pixels)
    report, _ = convert(run, "masks")
    (line,) = report.left_out.lines()
    assert reason in line
    assert report.frames == {"all": 1}
    with pytest.raises(UserError, match=reason):
        convert(run, "yolo-seg", strict=True)


def test_a_polyp_without_a_name_has_no_mask(tmp_path, make_run):
    run = make_run(tmp_path / "captures", [[("polyp", (3, 4, 20, 14))], []])
    save(run, 0, instances())
    save(run, 1, np.zeros((48, 64), np.uint8))
    report, _ = convert(run, "masks")
    assert any("without polyp_id" in line for line in report.left_out.lines())


def test_a_split_has_folders_of_its_own(run, tmp_path, make_run):
    other = make_run(tmp_path / "captures", [[]])
    save(other, 0, np.zeros((48, 64), np.uint8))
    index = index_root(run.parent)
    save_split(tmp_path / "split.json", Split(index.frames[:2], index.frames[2:]), seed=1)
    out = tmp_path / "out"
    config = ConvertConfig(
        format="masks",
        paths=(str(tmp_path / "captures"), str(out)),
        split_manifest=str(tmp_path / "split.json"),
    )
    run_convert(config)
    assert len(list((out / "train/masks").iterdir())) == 2
    assert (out / f"val/masks/{other.name}_frame_00000.png").is_file()


def test_cvat_has_stills_as_images_with_polygons_and_comes_back(run, foreign):
    """Of the run, no polyp is in two frames; the second picture shows nothing."""
    report, out = convert(run, "cvat")
    assert report.notes == [
        "1 run without a polyp that is in two frames: for images, without tracks"
    ]
    root = ElementTree.parse(out / run.name / "annotations.xml").getroot()
    assert root.findtext("meta/task/mode") == "annotation"
    assert [len(image) for image in root.iter("image")] == [2, 0]
    for shape, polyp_id in zip(root.iter("polygon"), (RING, TWO), strict=True):
        xs_and_ys = [point.split(",") for point in shape.attrib["points"].split(";")]
        np.testing.assert_array_equal(filled(xs_and_ys), instances() == polyp_id)
    foreign.images = out
    foreign.bring_in("cvat", strict=True)
    whole = [
        ("IIa", pytest.approx([30, 20, 60, 36])),
        ("polyp", pytest.approx([3, 4, 20, 14])),
    ]
    assert foreign.imported() == [whole, []]
    [back] = index_root(foreign.output).runs
    shown, nothing = (np.asarray(Image.open(path)) for path in sorted(back.path.glob("instance/*")))
    np.testing.assert_array_equal(shown == 1, instances() == RING)
    np.testing.assert_array_equal(shown == 2, instances() == TWO)
    assert not nothing.any()


def test_cvat_has_stills_without_instance_images_as_boxes(make_run, tmp_path):
    stills = [[("polyp", (3, 4, 20, 14), 1)], [("polyp", (3, 4, 20, 14), 2)]]
    _, out = convert(make_run(tmp_path / "captures", stills), "cvat")
    [file] = out.glob("*/annotations.xml")
    root = ElementTree.parse(file).getroot()
    assert root.find("track") is None
    assert len(list(root.iter("box"))) == 2


def test_cvat_has_tracks_of_boxes_where_a_polyp_is_in_two_frames(make_run, tmp_path):
    run = make_run(tmp_path / "captures", [boxes(), boxes()])
    save(run, 0, instances())
    _, out = convert(run, "cvat")
    root = ElementTree.parse(out / run.name / "annotations.xml").getroot()
    assert [track.get("id") for track in root.iter("track")] == [str(RING), str(TWO)]
    assert len(list(root.iter("box"))) == 4
