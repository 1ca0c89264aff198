"""What a detector found, out to CVAT and Label Studio to be reviewed, and back as truth."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from endoforge.captures.index import index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.run_frames import AWAITS_REVIEW
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig, ImportConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.importing import run_import

from .conftest import contents, picture_bytes

DETECTOR = {"name": "best.safetensors", "sha256": "0123456789abcdef"}
BOX, SECOND = (16.0, 12.0, 48.0, 36.0), (0.0, 0.0, 8.0, 6.0)


def polyp(corners, **said):
    return PolypLabel(center_world=(0, 0, 0), bbox_px=corners, label="adenoma", **said)


FRAMES: list[tuple[dict[str, Any], list[PolypLabel]]] = [
    ({"source": "predicted"}, [polyp(BOX, source="predicted", score=0.9, polyp_id=3)]),
    (
        {"source": "predicted"},
        [
            polyp(BOX, source="predicted", score=0.8, polyp_id=3),
            polyp(SECOND, source="predicted", score=0.4, polyp_id=4),
        ],
    ),
    ({"source": "predicted"}, []),
    (
        {"source": "predicted", "reviewed": True},
        [polyp(BOX, source="predicted", score=0.9, reviewed=True, polyp_id=3)],
    ),
    ({"source": "predicted", "reviewed": True}, []),
    ({}, [polyp(SECOND, source="annotated", polyp_id=5)]),
]
"""Three that nobody has looked at, two that somebody has, and one that a person has drawn."""


@pytest.fixture
def run(tmp_path):
    extra = {"detector": DETECTOR}
    recorder = RunRecorder.create(tmp_path / "runs", seed=0, max_frames=None, extra=extra)
    for number, (frame, polyps) in enumerate(FRAMES):
        label = FrameLabel(
            frame_id=number,
            sim_time=number / 5,
            unix_time=0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=polyps,
            **frame,
        )
        recorder.write_encoded(picture_bytes((64, 48), seed=number), ".png", label)
    recorder.finish()
    return recorder.run_dir


def convert(run, format, **settings):
    out = run.parent.with_name(f"out-{format}")
    config = ConvertConfig(format=format, paths=(str(run), str(out)), **settings)
    return run_convert(config), out


def tasks_of(out):
    return json.loads((out / "tasks.json").read_text())


def test_label_studio_gets_predictions_and_annotations_apart(run):
    report, out = convert(run, "label-studio", predicted=True)
    tasks = tasks_of(out)
    kinds = ["predictions"] * 3 + ["annotations"] * 3
    assert [[key for key in task if key != "data"] for task in tasks] == [[kind] for kind in kinds]
    said = [task[kind][0] for task, kind in zip(tasks, kinds, strict=True)]
    assert [len(one["result"]) for one in said] == [1, 2, 0, 1, 0, 1]
    assert [one.get("score") for one in said] == [0.9, 0.4, 0.0, None, None, None]
    assert [one.get("model_version") for one in said] == [
        *["best.safetensors 01234567"] * 3,
        *[None] * 3,
    ]
    assert said[1]["result"][0] == {
        "id": "frame_00001-1",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 64,
        "original_height": 48,
        "image_rotation": 0,
        "value": {
            "x": 25.0,
            "y": 25.0,
            "width": 50.0,
            "height": 50.0,
            "rotation": 0,
            "rectanglelabels": ["adenoma"],
        },
        "score": 0.8,
    }
    assert "score" not in said[3]["result"][0]
    name = f"images/{run.name}/frame_00001.png"
    assert tasks[1]["data"] == {
        "image": f"/data/local-files/?d={name}",
        "run": run.name,
        "frame_id": 1,
        "seconds": 0.2,
    }
    assert (out / name).read_bytes() == (run / "images/frame_00001.png").read_bytes()
    assert "  predictions that nobody has looked at: 3 frames" in report.lines()


def test_the_labelling_interface_has_the_names_that_the_tasks_refer_to(run):
    _, out = convert(run, "label-studio", predicted=True)
    view = ElementTree.parse(out / "label_config.xml").getroot()
    [image], [choice] = view.findall("Image"), view.findall("RectangleLabels")
    assert (image.get("name"), image.get("value")) == ("image", "$image")
    assert (choice.get("name"), choice.get("toName")) == ("label", "image")
    assert [label.get("value") for label in choice] == ["adenoma"]


@pytest.mark.parametrize("format", ["cvat", "label-studio", "coco"])
def test_what_nobody_has_looked_at_is_left_out_and_counted_unless_it_is_asked_for(run, format):
    report, _ = convert(run, format)
    assert report.frames.total() == 3
    assert report.left_out.counts == {f"frame: {AWAITS_REVIEW}": 3}


def test_a_score_that_is_no_number_is_none(run):
    path = run / "labels/frame_00000.json"
    path.write_text(path.read_text().replace("0.9", "NaN"))
    _, out = convert(run, "label-studio", predicted=True)
    [prediction] = tasks_of(out)[0]["predictions"]
    assert "score" not in prediction["result"][0]
    assert "NaN" not in (out / "tasks.json").read_text()


def test_names_of_pictures_are_those_of_an_address(run):
    odd = run.rename(run.with_name("run_1 #50% ä"))
    _, out = convert(odd, "label-studio", predicted=True)
    address = tasks_of(out)[0]["data"]["image"]
    assert address == "/data/local-files/?d=images/run_1%20%2350%25%20%C3%A4/frame_00000.png"


def test_runs_that_dont_say_their_detector_have_predictions_all_the_same(run):
    path = run / "run_manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["endoforge"]["detector"]
    path.write_text(json.dumps(manifest))
    _, out = convert(run, "label-studio", predicted=True)
    assert tasks_of(out)[0]["predictions"][0]["model_version"] == "predicted"


def test_cvat_gets_tracks_that_say_who_has_drawn_them(run):
    _, out = convert(run, "cvat", predicted=True)
    root = ElementTree.parse(out / run.name / "annotations.xml").getroot()
    tracks = {track.get("id"): track for track in root.iter("track")}
    assert {name: track.get("source") for name, track in tracks.items()} == {
        "3": "auto",
        "4": "auto",
        "5": "manual",
    }
    shown = [box.get("frame") for box in tracks["3"] if box.get("outside") == "0"]
    assert shown == ["0", "1", "3"]


def test_cvats_boxes_of_images_say_it_too_and_have_what_cvat_asks_for(run):
    path = run / "labels/frame_00000.json"
    label = json.loads(path.read_text())
    del label["polyp_labels"][0]["polyp_id"]  # a detection that no track has
    path.write_text(json.dumps(label))
    _, out = convert(run, "cvat", predicted=True)
    root = ElementTree.parse(out / run.name / "annotations.xml").getroot()
    boxes = list(root.iter("box"))
    assert [box.get("source") for box in boxes] == ["auto"] * 3 + ["manual"] * 2
    assert {(box.get("occluded"), box.get("z_order")) for box in boxes} == {("0", "0")}


def test_what_comes_back_from_cvat_is_truth(run):
    _, out = convert(run, "cvat", predicted=True)
    root = out.with_name("back")
    images = str(out / run.name)
    run_import(ImportConfig(format="cvat", images=images, output_root=str(root), fps=5))
    index = index_root(root, strict=True)
    assert len(index.frames) == 6
    assert not any(frame.awaits_review for frame in index.frames)
    before = index_root(run, predicted=True)
    assert contents(index, (64, 48)) == contents(before, (64, 48))
    assert [frame.polyp_ids for frame in index.frames] == [
        frame.polyp_ids for frame in before.frames
    ]


def test_predictions_alone_are_an_error_that_says_how_they_go_out(run):
    for path in sorted((run / "labels").iterdir())[3:]:
        path.unlink()
    with pytest.raises(UserError, match=r"no usable frame.*nobody has looked.*--predicted writes"):
        convert(run, "cvat")
    with pytest.raises(UserError, match=r"no usable frame.*nobody has looked") as error:
        convert(run, "voc")
    assert "--predicted" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "coco"}, "--predicted: --format coco doesn't tell predictions from truth"),
        ({"format": "cvat", "split_manifest": "s.json"}, "--predicted: a split is of truth alone"),
    ],
)
def test_where_predictions_dont_belong(settings, words):
    with pytest.raises(UserError, match=words):
        ConvertConfig(paths=("runs", "out"), predicted=True, **settings)
