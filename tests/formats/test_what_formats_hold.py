"""A label with every field, out and back by each format, against the table of docs/formats.md."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.formats.config import ConvertConfig, ConvertFormat, ImportConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.importing import run_import
from endoforge.formats.sequences import named_and_timed
from endoforge.formats.source import Blob, Moment, NamedBox, SourceFrame

from .conftest import picture_bytes

TABLE = Path(__file__).parents[2] / "docs/formats.md"
FIELDS = ("boxes", "classes", "polyp_id", "times", "instance image", "others")
BACK = {
    "coco": {"images": "images", "annotations": "annotations.json"},
    "yolo": {"images": "images"},
    "yolo-seg": {"images": "images"},
    "voc": {"images": "JPEGImages"},
    "masks": {"images": "images", "annotations": "masks"},
    "cvat": {"images": "."},
    "mot": {"images": "."},
    "webdataset": {"images": "."},
}
ONE_WAY = {"label-studio", "parquet", "c3vd", "simcol3d"}
"""For labelling elsewhere, whose labels come back in other formats; tables and depth, without boxes
that a picture belongs to."""
READ_AS = {"yolo-seg": "yolo"}
BOXES = {5: (3.0, 4.0, 20.0, 30.0), 9: (30.0, 10.0, 60.0, 40.0)}


def polyp(polyp_id, corners, name):
    return PolypLabel(
        center_world=(1.5, 2.5, polyp_id),
        bbox_px=corners,
        bbox_norm=corners and tuple(np.divide(corners, (64, 48) * 2).tolist()),
        label=name,
        visibility=0.75,
        paris="Isp",
        diameter_mm=6.25,
        distance_mm=31.0,
        polyp_id=polyp_id,
        source="predicted",
        score=0.875,
        reviewed=True,
    )


@pytest.fixture
def run(tmp_path):
    """Two frames, 0.5 s apart, of two polyps that are seen and one that isn't."""
    recorder = RunRecorder.create(tmp_path / "captures", seed=3, max_frames=None, extra={})
    pixels = np.zeros((48, 64), np.uint8)
    for polyp_id, (x0, y0, x1, y1) in BOXES.items():
        pixels[int(y0) : int(y1), int(x0) : int(x1)] = polyp_id
    for number in range(2):
        label = FrameLabel(
            frame_id=number,
            sim_time=number / 2,
            unix_time=1.7e9 + number,
            image=image_name(number),
            image_present=True,
            camera_active=False,
            polyp_seed=11,
            polyp_labels=[
                polyp(5, BOXES[5], "polyp"),
                polyp(9, BOXES[9], "adenoma"),
                polyp(12, None, "polyp"),
            ],
            camera={"position_mm": [1.0, 2.0, 3.0], "fov": 1.5},
            source="predicted",
            reviewed=True,
        )
        extras = {"instance": pixels}
        recorder.write_encoded(picture_bytes((64, 48), seed=number), ".png", label, extras)
    recorder.finish()
    return recorder.run_dir


def there_and_back(run, format):
    out, root = run.parent.with_name("out"), run.parent.with_name("back")
    run_convert(ConvertConfig(format=format, paths=(str(run), str(out)), strict=True))
    where: dict[str, Any] = {flag: str(out / name) for flag, name in BACK[format].items()}
    run_import(
        ImportConfig(
            format=READ_AS.get(format, format),
            output_root=str(root),
            group="one",
            strict=True,
            **where,
        )
    )
    [back] = root.glob("run_*")
    return back


def labels_of(run):
    """Both labels, their polyps in the order of their boxes, unseen ones last."""
    paths = sorted((run / "labels").iterdir())
    labels = [FrameLabel.model_validate_json(path.read_bytes()) for path in paths]
    return [
        label.model_copy(
            update={
                "polyp_labels": sorted(label.polyp_labels, key=lambda one: one.bbox_px or (64,))
            }
        )
        for label in labels
    ]


def others(label):
    """All fields that have no column of their own."""
    known = {"frame_id", "sim_time", "image", "source_image", "polyp_labels"}
    columns = {"bbox_px", "bbox_norm", "label", "polyp_id"}
    return (
        label.model_dump(exclude=known),
        [one.model_dump(exclude=columns) for one in label.polyp_labels],
        [one for one in label.polyp_labels if not one.has_box],
    )


def instances_of(run):
    return [np.asarray(Image.open(path)) for path in sorted(run.glob("instance/*"))]


def held(before, after):
    """Of each field whether it came back the same."""
    was, now = labels_of(before), labels_of(after)
    seen = [
        list(zip(a.seen_polyps, b.seen_polyps, strict=True)) for a, b in zip(was, now, strict=True)
    ]
    pairs = [pair for frame in seen for pair in frame]
    images = instances_of(after)
    return {
        "boxes": all(np.allclose(a.bbox_px, b.bbox_px, atol=0.05) for a, b in pairs),
        "classes": all(a.class_name == b.class_name for a, b in pairs),
        "polyp_id": all(a.polyp_id == b.polyp_id for a, b in pairs),
        "times": [one.sim_time for one in was] == pytest.approx([one.sim_time for one in now]),
        "instance image": [
            "yes" if np.array_equal(a, b) else "parts" if np.array_equal(a > 0, b > 0) else ""
            for a, b in zip(instances_of(before), images, strict=bool(images))
        ],
        "others": [others(one) for one in was] == [others(one) for one in now],
    }


def documented():
    text = TABLE.read_text(encoding="utf-8")
    found = re.search(r"<!-- what-formats-hold -->\n(.*?)<!-- end", text, re.DOTALL)
    assert found
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found[1].splitlines()]
    return {row[0].strip("`"): dict(zip(FIELDS, row[1:], strict=True)) for row in rows[2:]}


def test_the_table_names_every_format():
    assert set(documented()) == set(BACK) == set(get_args(ConvertFormat)) - ONE_WAY


@pytest.mark.parametrize("format", BACK)
def test_what_the_table_says_comes_back_and_nothing_else(format, run):
    after = there_and_back(run, format)
    found = held(run, after)
    kinds = {*found.pop("instance image")}
    shown = {name: "yes" if value else "" for name, value in found.items()}
    shown["instance image"] = kinds.pop() if kinds else ""
    assert shown == documented()[format]


def test_every_field_of_a_label_is_set(run):
    [label, _] = labels_of(run)
    assert {name for name in FrameLabel.model_fields if getattr(label, name) is None} == {
        "source_image"
    }
    for name in PolypLabel.model_fields:
        assert getattr(label.polyp_labels[0], name) is not None


def rounded(value):
    """Boxes are float32 on the way."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


def test_shards_bring_every_field_back(run):
    """Field by field, as it was written, and the picture's path in the shards."""
    after = there_and_back(run, "webdataset")
    for name in ("frame_00000.json", "frame_00001.json"):
        was, now = (json.loads((one / "labels" / name).read_text()) for one in (run, after))
        assert now.pop("source_image").endswith(name.replace(".json", ".png"))
        assert rounded(now) == rounded(was)


def test_shards_of_a_run_with_times_that_are_none_come_back(run):
    """JSON has no NaN; where the index takes the frame's number for its time, shards do too."""
    path = run / "labels/frame_00001.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "sim_time": float("nan"), "unix_time": float("inf")}))
    out, root = run.parent.with_name("out"), run.parent.with_name("back")
    run_convert(ConvertConfig(format="webdataset", paths=(str(run), str(out))))
    run_import(ImportConfig(format="webdataset", images=str(out), output_root=str(root)))
    [back] = root.glob("run_*")
    assert [(label.sim_time, label.unix_time) for label in labels_of(back)] == [(0, 1.7e9), (1, 0)]


def of_shard(run, seen, unseen):
    """A frame of a shard in which one polyp is seen and another isn't."""
    label = FrameLabel(
        frame_id=0,
        sim_time=0,
        unix_time=0,
        image="",
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=[polyp(seen, BOXES[5], "polyp"), polyp(unseen, None, "polyp")],
    )
    box = NamedBox("polyp", BOXES[5], seen, label.polyp_labels[0])
    blob = Blob(Path("shard.tar"), 0, 0)
    return SourceFrame(f"{run}/0.png", blob, (box,), moment=Moment(run, seconds=0), label=label)


def test_unseen_polyps_go_by_the_names_of_the_seen():
    """Of one run all names stay. Of two in one, polyps are numbered anew as they appear."""

    def ids(*frames):
        return [
            [one.polyp_id for one in frame.label.polyp_labels[1:]]
            for frame in named_and_timed(list(frames), None)
            if frame.label is not None
        ]

    assert ids(of_shard("a", 5, 12), of_shard("a", 9, 5)) == [[12], [5]]
    frames = of_shard("a", 5, 9), of_shard("a", 9, 12), of_shard("b", 5, 5)
    assert ids(*frames) == [[2], [None], [3]]
