"""Other formats out: read by their own readers, whole or not there at all."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.core.folders import FolderLock
from endoforge.data.split import Split, save_split
from endoforge.formats import converting, webdataset
from endoforge.formats.coco import CocoWriter
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert

FRAMES = [
    [("polyp", (3, 4, 20, 30)), ("IIa", (0, 0, 64, 48))],
    [],
    [("polyp", (10.5, 4, 20.25, 47.9))],
]


def json_in(archive, name):
    member = archive.extractfile(name)
    assert member is not None
    return json.load(member)


@pytest.fixture
def captures(tmp_path, make_run):
    make_run(tmp_path / "captures", FRAMES)
    make_run(tmp_path / "captures", [[("polyp", (1, 2, 3, 4))]])
    return tmp_path / "captures"


def convert(captures, format, **settings):
    out = captures.with_name(f"out-{format}")
    report = run_convert(ConvertConfig(format=format, paths=(str(captures), str(out)), **settings))
    return report, out


def test_pycocotools_reads_what_was_written(captures):
    report, out = convert(captures, "coco")
    coco = COCO(str(out / "annotations.json"))
    names = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
    assert names == {1: "IIa", 2: "polyp"}, "in the order of their names"
    frames = index_root(captures).frames
    assert len(coco.getImgIds()) == len(frames) == 4
    for image, frame in zip(coco.loadImgs(coco.getImgIds()), frames, strict=True):
        assert (out / "images" / image["file_name"]).read_bytes() == frame.image_path.read_bytes()
        assert image["run"] == frame.run
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert [names[one["category_id"]] for one in found] == list(frame.classes)
        for one, box in zip(found, frame.boxes, strict=True):
            x, y, width, height = one["bbox"]
            assert [x, y, x + width, y + height] == pytest.approx(box * [64, 48, 64, 48], abs=1e-3)
            assert one["area"] == pytest.approx(width * height)
    assert report.lines() == [
        f"{out}: coco, 2 runs, 4 frames, 4 boxes",
        "  boxes by class: IIa 1, polyp 3",
    ]
    assert coco.loadRes([{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}])


def test_yolo_names_its_classes_and_warns_of_one_set_for_both(captures):
    report, out = convert(captures, "yolo")
    assert yaml.safe_load((out / "data.yaml").read_text()) == {
        "train": "images",
        "val": "images",
        "names": {0: "IIa", 1: "polyp"},
    }
    assert any("--split-manifest" in line for line in report.lines())
    run = index_root(captures).runs[0].name
    assert (out / "labels" / run / "frame_00001.txt").read_text() == ""
    lines = (out / "labels" / run / "frame_00000.txt").read_text().splitlines()
    assert lines[0].split()[0] == "1"
    assert list(map(float, lines[0].split()[1:])) == pytest.approx(
        [11.5 / 64, 17 / 48, 17 / 64, 26 / 48], abs=1e-6
    )


def test_voc_counts_pixels_from_1_and_keeps_fractions_only_where_there_are_some(captures):
    _, out = convert(captures, "voc")
    run = index_root(captures).runs[0].name
    text = (out / "Annotations" / f"{run}_frame_00000.xml").read_text()
    for part in ("<xmin>4</xmin>", "<ymin>5</ymin>", "<xmax>20</xmax>", "<ymax>30</ymax>"):
        assert part in text
    assert "<xmin>11.5</xmin>" in (out / "Annotations" / f"{run}_frame_00002.xml").read_text()
    assert len((out / "ImageSets/Main/all.txt").read_text().splitlines()) == 4


def test_shards_hold_pictures_beside_their_labels(captures, monkeypatch):
    monkeypatch.setattr(webdataset, "SHARD_FRAMES", 3)
    _, out = convert(captures, "webdataset")
    assert sorted(path.name for path in out.iterdir()) == ["all-000000.tar", "all-000001.tar"]
    with tarfile.open(out / "all-000000.tar") as archive:
        names = archive.getnames()
        run = index_root(captures).runs[0].name
        assert names[:2] == [f"{run}/frame_00000.png", f"{run}/frame_00000.json"]
        assert names[2] == f"{run}/frame_00001.jpg"
        label = json_in(archive, names[1])
    assert (label["width"], label["height"]) == (64, 48)
    assert label["polyp_labels"][0]["bbox_norm"] == pytest.approx(
        [3 / 64, 4 / 48, 20 / 64, 30 / 48]
    )


def test_in_shards_polyps_that_cant_be_seen_stay_without_a_box(captures):
    frame = index_root(captures).frames[0]
    label = json.loads(frame.label_path.read_text())
    first, second = label["polyp_labels"]
    hidden = {**first, "bbox_px": None, "bbox_norm": None, "center_world": [None] * 3}
    label["polyp_labels"] = [hidden, second]
    frame.label_path.write_text(json.dumps(label))
    _, out = convert(captures, "webdataset")
    with tarfile.open(out / "all-000000.tar") as archive:
        written = json_in(archive, archive.getnames()[1])["polyp_labels"]
    assert written[0]["bbox_px"] is None
    assert written[0]["center_world"] == [None] * 3
    assert written[1]["label"] == "IIa"
    assert written[1]["bbox_px"] == pytest.approx([0, 0, 64, 48])


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "webdataset"])
def test_the_sides_of_a_split_are_written_apart(captures, format, tmp_path):
    index = index_root(captures)
    save_split(tmp_path / "split.json", Split(index.frames[:3], index.frames[3:]), seed=1)
    report, out = convert(captures, format, split_manifest=str(tmp_path / "split.json"))
    assert report.frames == {"train": 3, "val": 1}
    assert "4 frames (train 3, val 1)" in report.lines()[0]
    held_out = f"{index.frames[3].run}/frame_00000.png"
    if format == "coco":
        train, val = (COCO(str(out / f"{side}.json")) for side in ("train", "val"))
        assert [one["file_name"] for one in val.dataset["images"]] == [held_out]
        assert not set(train.getImgIds()) & set(val.getImgIds())
        assert train.dataset["categories"] == val.dataset["categories"]
    elif format == "yolo":
        assert (out / "val.txt").read_text() == f"./images/{held_out}\n"
        assert yaml.safe_load((out / "data.yaml").read_text())["train"] == "train.txt"
    elif format == "voc":
        assert len((out / "ImageSets/Main/train.txt").read_text().split()) == 3
        assert len((out / "ImageSets/Main/all.txt").read_text().split()) == 4
    else:
        assert sorted(path.name for path in out.iterdir()) == ["train-000000.tar", "val-000000.tar"]


def test_paris_kinds_can_be_the_classes(captures):
    for frame in index_root(captures).frames:
        label = json.loads(frame.label_path.read_text())
        label["polyp_labels"] = [{**one, "paris": "Ip"} for one in label["polyp_labels"]]
        frame.label_path.write_text(json.dumps(label))
    report, _ = convert(captures, "coco", label="paris")
    assert report.boxes == {"Ip": 4}


def test_a_folder_that_is_there_is_left_alone(captures):
    out = captures.with_name("out-coco")
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is there already"):
        convert(captures, "coco")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_place_that_cant_be_written_is_said_before_a_run_is_read(captures, tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "index_root", lambda *_, **__: pytest.fail("read"))
    (tmp_path / "file").write_text("a thesis")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    run = next(captures.iterdir())
    for out, message in [
        (tmp_path / "file", "is there, but is no folder"),
        (tmp_path / "file/out", "is no folder; name another place"),
        (tmp_path / "link", "is a link to .*empty, which isn't written through; give that path"),
        (captures, "lies in the input"),
        (captures / "coco", "lies in the input"),
        (run / "coco", "lies in the input"),
    ]:
        with pytest.raises(UserError, match=rf"^OUT {out}.*{message}"):
            run_convert(ConvertConfig(format="coco", paths=(str(captures), str(out))))
    assert (tmp_path / "file").read_text() == "a thesis"


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "webdataset", "parquet"])
def test_of_what_the_disk_wont_hold_the_file_is_named_and_nothing_is_left(
    captures, format, tmp_path
):
    resource = pytest.importorskip("resource", reason="sets a limit of Unix")
    run = index_root(captures).runs[0].name
    before = sorted(path.name for path in captures.parent.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(UserError) as caught:
            run_convert(
                ConvertConfig(format=format, paths=(str(captures), str(tmp_path / "new/out")))
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file = {
        "coco": f"images/{run}/frame_00000.png",
        "yolo": f"images/{run}/frame_00000.png",
        "voc": f"JPEGImages/{run}_frame_00000.png",
        "webdataset": "all-000000.tar",
        "parquet": "frames.parquet",
    }[format]
    assert str(caught.value) == (
        f"OUT {tmp_path}/new/out/{file}: can't be written (File too large); nothing is left of it: "
        "make room, or name another place"
    )
    assert sorted(path.name for path in captures.parent.iterdir()) == before


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "webdataset"])
def test_without_a_frame_that_can_be_used_there_is_an_error_and_no_folder(captures, format):
    before = sorted(path.name for path in captures.parent.iterdir())
    for number, frame in enumerate(index_root(captures).frames):
        if number:
            frame.image_path.write_bytes(b"no picture")
        else:
            Image.new("1", (20_000, 14_000)).save(frame.image_path)
    with pytest.raises(
        UserError, match=r"no usable frame in .*captures \(.*larger than 134 million"
    ):
        convert(captures, format)
    assert sorted(path.name for path in captures.parent.iterdir()) == before


def test_an_error_on_the_way_leaves_nothing_behind_and_an_earlier_kill_nothing_in(
    captures, monkeypatch
):
    before = sorted(path.name for path in captures.parent.iterdir())
    monkeypatch.setattr(CocoWriter, "finish", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(captures, "coco")
    assert sorted(path.name for path in captures.parent.iterdir()) == before
    monkeypatch.undo()
    left = captures.parent / f".out-coco.{'0' * 16}.tmp" / "images"
    left.mkdir(parents=True)
    (left / "stale.png").write_bytes(b"")
    _, out = convert(captures, "coco")
    assert not list(out.rglob("stale.png"))
    assert not left.parent.exists()


def test_two_converts_to_one_folder_at_a_time_are_refused(captures):
    partial = captures.parent / f".out-coco.{'0' * 16}.tmp"
    partial.mkdir()
    other = FolderLock(partial)
    (partial / "of the other").touch()
    with pytest.raises(UserError, match="another convert is writing it"):
        convert(captures, "coco")
    assert (partial / "of the other").exists()
    other.release()


def test_what_cant_be_used_is_counted(captures):
    frames = index_root(captures).frames
    frames[0].image_path.write_bytes(b"no picture")
    frames[1].image_path.unlink()
    cut = frames[2].image_path
    cut.write_bytes(cut.read_bytes()[:-100])
    report, _ = convert(captures, "coco")
    assert report.left_out.counts == {"frame: image missing": 1, "frame: image unreadable": 2}
    assert report.frames == {"all": 1}
    with pytest.raises(UserError, match="--strict"):
        convert(captures, "yolo", strict=True)


def test_runs_of_one_name_and_no_frames_at_all_are_errors(captures, tmp_path):
    run = index_root(captures).runs[0].path
    with pytest.raises(UserError, match="are both named run_"):
        run_convert(
            ConvertConfig(format="coco", paths=(str(run), str(captures), str(tmp_path / "out")))
        )
    empty = tmp_path / "empty" / "run_1"
    (empty / "labels").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no usable frame in .* \(its runs hold none\)"):
        run_convert(ConvertConfig(format="coco", paths=(str(empty), str(tmp_path / "out"))))


def test_a_run_without_a_box_converts_too(tmp_path, make_run):
    run = make_run(tmp_path / "captures", [[], []])
    report, out = convert(run, "yolo")
    assert report.boxes == {}
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "polyp"}
    assert np.all([path.read_text() == "" for path in out.rglob("labels/*/*.txt")])


def test_runs_of_which_nothing_was_written_are_told_of(captures, make_run):
    unlabelled = make_run(captures, [[]])
    for label in (unlabelled / "labels").iterdir():
        label.unlink()
    report, out = convert(captures, "coco")
    assert report.lines()[0] == f"{out}: coco, 2 of 3 runs, 4 frames, 4 boxes"


@pytest.mark.parametrize(
    ("second", "changed", "said"),
    [
        ("nowhere", {}, "no folder .*nowhere"),
        (None, {"split_manifest": "spoilt.json"}, "can't read the split manifest spoilt.json"),
    ],
)
def test_what_is_wrong_is_told_before_a_run_is_read(
    captures, tmp_path, monkeypatch, second, changed, said
):
    monkeypatch.chdir(tmp_path)
    Path("spoilt.json").write_text("{")
    monkeypatch.setattr(converting, "index_root", lambda *_, **__: pytest.fail("read"))
    paths = tuple(str(path) for path in (captures, second, "out") if path is not None)
    with pytest.raises(UserError, match=said):
        run_convert(ConvertConfig(format="coco", paths=paths, **changed))
