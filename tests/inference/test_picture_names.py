"""COCO's numbers: a picture has that of the image that it surely is, or none."""

import json

import pytest

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, image_name
from endoforge.core.errors import UserError
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert
from endoforge.inference.picture_names import Called, match_names
from tests.inference.conftest import noise, save, save_video

NOT_SURELY = "picture: no image of --annotations is surely it, so not in COCO results"


@pytest.fixture
def annotated(detect, tmp_path):
    """What number each picture gets, of images that are named so: (numbers, how many had none)."""

    def run(named, *paths, **more):
        path = tmp_path / "truth.json"
        images = [{"id": number, "file_name": name} for name, number in named]
        categories = [{"id": 1, "name": "flat"}, {"id": 2, "name": "stalked"}]
        path.write_text(json.dumps({"images": images, "categories": categories}))
        report, out = detect(*paths, annotations=str(path), draw="none", **more)
        images = json.loads((out / "coco_images.json").read_text())["images"]
        numbers = {one["file_name"]: one["id"] for one in images}
        results = json.loads((out / "coco_results.json").read_text())
        assert {one["image_id"] for one in results} == set(numbers.values())
        return numbers, report.left_out.counts[NOT_SURELY]

    return run


def run_of(root, sources, origin):
    """A run of a frame for each source name, imported from `origin`."""
    extra = {} if origin is None else {"import": {"format": origin}}
    recorder = RunRecorder.create(root, seed=0, max_frames=None, extra=extra)
    for number, source in enumerate(sources):
        label = FrameLabel(
            frame_id=number,
            sim_time=0,
            unix_time=0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[],
            source_image=source,
        )
        recorder.write(noise(number), label)
    recorder.finish()
    return recorder.run_dir


def test_two_pictures_never_share_a_number(annotated, tmp_path):
    folder = tmp_path / "pictures"
    for name in ("p1/1.png", "p2/1.png"):
        save(folder / name)
    assert annotated([("p1/1.png", 7)], folder) == ({"p1/1.png": 7}, 1)
    assert annotated([("p1\\1.png", 7), (".\\p2\\1.png", 8)], folder) == (
        {"p1/1.png": 7, "p2/1.png": 8},
        0,
    )
    assert annotated([("p2/1.png", 8), ("p1/1.png", 7)], folder / "p1") == ({"1.png": 7}, 0)
    with pytest.raises(UserError, match=r"none of its 1 image .*: it names 1\.png, here is p1/1"):
        annotated([("1.png", 7)], folder)
    with pytest.raises(UserError, match="2 images have the id 7"):
        annotated([("p1/1.png", 7), ("p2/1.png", 7)], folder)


def test_two_categories_of_a_name_leave_open_which(detect, pictures, tmp_path):
    categories = [{"id": 1, "name": "flat"}, {"id": 2, "name": "flat"}]
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"images": [], "categories": categories}))
    with pytest.raises(UserError, match="2 categories are named flat; join them"):
        detect(pictures, annotations=str(path))


def test_frames_of_videos_are_named_by_their_place(annotated, tmp_path):
    clip = save_video(tmp_path / "clip.avi", 3)
    named = [("videos/clip.avi#0", 5), ("videos/clip.avi#2", 6)]
    assert annotated(named, clip) == ({"clip.avi#0": 5, "clip.avi#2": 6}, 1)


def test_imported_frames_are_found_by_the_names_of_their_source(annotated, tmp_path):
    """Frames are numbered anew: frame_00001 here was another's frame_00002."""
    run = run_of(tmp_path / "runs", ["frame_00000.png", "frame_00002.png", "c/odd.jpg"], "coco")
    named = [("frame_00000.png", 70), ("frame_00001.png", 71), ("frame_00002.png", 72)]
    for path in (run, run.parent, run / "images"):
        numbers, none = annotated([*named, ("elsewhere/odd.jpg", 73)], path)
        assert [number for _, number in sorted(numbers.items())] == [70, 72, 73]
        assert none == 0


def test_imported_frames_without_a_source_are_refused(annotated, tmp_path):
    run = run_of(tmp_path / "runs", [None, None], "coco")
    named = [("frame_00000.png", 70), ("frame_00002.png", 72)]
    with pytest.raises(UserError, match=r"run_\d+ was imported, and doesn't say .*; import them"):
        annotated(named, run / "images")
    save(tmp_path / "runs/frame_00000.png")
    with pytest.raises(UserError, match=r"run_\d+ was imported"):
        annotated(named, tmp_path / "runs")
    # What is named after the run is known all the same, and a video's frames have no older names.
    assert annotated([(f"{run.name}/frame_00001.png", 9)], run) == (
        {"images/frame_00001.png": 9},
        1,
    )
    video = run_of(tmp_path / "video", [None], "video")
    assert annotated([("frame_00000.png", 70)], video)[1] == 0


@pytest.mark.parametrize("inner", ["", "images"])
def test_what_convert_writes_of_a_run_names_its_frames(inner, detect, tmp_path):
    run = run_of(tmp_path / "runs", [None] * 3, None)
    coco = tmp_path / "coco"
    run_convert(ConvertConfig(format="coco", paths=(str(run.parent), str(coco))))
    truth = json.loads((coco / "annotations.json").read_text())
    truth["categories"] = [{"id": 1, "name": "flat"}]
    (coco / "annotations.json").write_text(json.dumps(truth))
    for path in (run / inner, run.parent, coco / "images", coco / "images" / run.name):
        _, out = detect(path, annotations=str(coco / "annotations.json"), draw="none")
        images = json.loads((out / "coco_images.json").read_text())["images"]
        assert [one["id"] for one in images] == [1, 2, 3]
        assert [one["file_name"][-9:] for one in images] == ["00000.png", "00001.png", "00002.png"]


def test_frames_of_one_run_are_not_taken_for_those_of_another(annotated, tmp_path):
    run = run_of(tmp_path / "runs", [None], None)
    for path in (run, save(tmp_path / "copies/frame_00000.png")):
        with pytest.raises(UserError, match=r"it names run_9/frame_00000\.png, here is "):
            annotated([("run_9/frame_00000.png", 1)], path)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (["a/1.png"], {"x": 0}),
        (["a\\1.png"], {"x": 0}),
        (["A/1.PNG"], {"x": 0}),
        (["a/1.png", "A/1.PNG"], {"x": 0}),
        (["A/1.png", "a/1.PNG"], {}),
        (["other/1.png"], {"x": 0}),
        (["other/1.png", "more/1.png"], {}),
        (["b/polie\u0301%201.png"], {"y": 0}),
        (["q.png"], {}),
    ],
)
def test_names_are_matched_where_one_fits_one(named, found):
    called = {"x": Called(("a/1.png",), "1.png"), "y": Called(("b/poli\u00e9 1.png",), "2.png")}
    assert match_names(named, called) == found


def test_of_two_pictures_of_a_file_name_none_is_guessed():
    called = {name: Called((f"{name}/1.png",), "1.png") for name in ("a", "b")}
    assert match_names(["1.png"], called) == {}
    assert match_names(["a/1.png", "c/1.png"], called) == {"a": 0}
