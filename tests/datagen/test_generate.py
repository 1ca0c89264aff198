"""`datagen`, from its configuration to the files."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import frame_label, generate

SMALL = "160x96"


def record(root: Path, seed: int, **flags: object) -> list[Path]:
    config = DatagenConfig(
        seed=seed, output_root=str(root), resolution=SMALL, renderer="cpu", **flags
    )
    return generate(config).run_dirs


def pixels_and_labels(run_dir: Path) -> dict[str, bytes]:
    """The bytes of a run's frames by their names."""
    frames = sorted((run_dir / "images").iterdir()) + sorted((run_dir / "labels").iterdir())
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in frames}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_other_ones(tmp_path: Path) -> None:
    [one] = record(tmp_path / "one", 5, max_frames=6)
    [again] = record(tmp_path / "again", 5, max_frames=6)
    [other] = record(tmp_path / "other", 6, max_frames=6)
    assert len(pixels_and_labels(one)) == 12
    assert pixels_and_labels(one) == pixels_and_labels(again)
    images = "images/frame_00002.png", "labels/frame_00002.json"
    for name in images:
        assert pixels_and_labels(one)[name] != pixels_and_labels(other)[name]


def test_the_runs_of_a_data_set_differ_and_do_not_depend_on_their_number(tmp_path: Path) -> None:
    three = record(tmp_path / "three", 9, runs=3, max_frames=2)
    [first] = record(tmp_path / "one", 9, runs=1, max_frames=2)
    seeds = [json.loads((run / "run_manifest.json").read_text())["seed"] for run in three]
    assert len(set(seeds)) == 3
    assert pixels_and_labels(three[0]) == pixels_and_labels(first)
    assert pixels_and_labels(three[0]) != pixels_and_labels(three[1])


def test_what_is_written_is_what_the_format_says(tmp_path: Path) -> None:
    [run_dir] = record(tmp_path, 3, max_frames=8)
    manifest = json.loads((run_dir / "run_manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["max_frames"] == 8
    assert manifest["run_dir"] == str(run_dir)
    ours = manifest["endoforge"]
    assert (ours["complete"], ours["frames"], ours["units"]) == (True, 8, "mm")
    assert ours["resolution"] == [160, 96]
    assert ours["scene"]["seed"] == manifest["seed"]

    label = json.loads((run_dir / "labels" / "frame_00003.json").read_text())
    assert label["frame_id"] == 3
    assert label["sim_time"] == pytest.approx(0.99)
    assert label["image_present"] is label["camera_active"] is True
    assert label["polyp_seed"] == manifest["seed"]
    assert set(label["camera"]) == {"pose", "intrinsics"}
    image = cv2.imread(str(run_dir / label["image"]))
    assert image.shape == (96, 160, 3)
    assert image.std() > 10


def test_boxes_in_pixels_and_in_shares_are_the_same_and_lie_in_the_picture(tmp_path: Path) -> None:
    record(tmp_path, 11, max_frames=30)
    boxes = 0
    for path in tmp_path.glob("run_*/labels/*.json"):
        for polyp in json.loads(path.read_text())["polyp_labels"]:
            assert polyp["paris"] in ("Is", "Ip", "IIa")
            assert 0 <= polyp["visibility"] <= 1
            if polyp["bbox_px"] is None:
                assert polyp["bbox_norm"] is None
                continue
            x0, y0, x1, y1 = polyp["bbox_px"]
            assert 0 <= x0 < x1 <= 160
            assert 0 <= y0 < y1 <= 96
            np.testing.assert_allclose(
                np.multiply(polyp["bbox_norm"], [160, 96, 160, 96]), polyp["bbox_px"]
            )
            boxes += 1
    assert boxes > 5
    index = index_root(tmp_path)
    assert sum(len(frame.boxes) for frame in index.frames) == boxes
    assert not index.dropped


def test_pruned_copies_hold_the_frames_with_boxes(tmp_path: Path) -> None:
    config = DatagenConfig(
        seed=2, output_root=str(tmp_path / "raw"), max_frames=40, resolution=SMALL,
        renderer="cpu", prune_empty=True,
    )  # fmt: skip
    report = generate(config)
    assert config.pruned_root == str(tmp_path / "raw_filtered")
    kept = index_root(tmp_path / "raw_filtered").frames
    assert report.pruned is not None
    assert len(kept) == report.pruned.kept == report.frames_with_polyps < report.frames
    assert all(len(frame.boxes) for frame in kept)


def test_interrupted_it_leaves_whole_frames_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(frame_id: int, *rest: object) -> object:
        if frame_id == 9:
            raise KeyboardInterrupt
        return frame_label(frame_id, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("endoforge.datagen.generate.frame_label", interrupt)
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, 3, max_frames=40)
    [run_dir] = tmp_path.iterdir()
    names = {path.stem for path in (run_dir / "images").iterdir()}
    assert names == {path.stem for path in (run_dir / "labels").iterdir()}
    assert len(names) == 8  # the two batches of four before it
    assert f"8 whole frames in {run_dir}" in caplog.text
    assert not json.loads((run_dir / "run_manifest.json").read_text())["endoforge"]["complete"]
    assert len(index_root(tmp_path).frames) == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seed": -1}, "--seed -1"),
        ({"runs": 0}, "--runs 0"),
        ({"max_frames": 0}, "--max-frames 0"),
        ({"resolution": "640"}, "--resolution"),
        ({"resolution": "32x32"}, "--resolution 32x32"),
        ({"prune_output_root": "x"}, "--prune-output-root: needs --prune-empty"),
    ],
)
def test_bad_settings_are_named(flags: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DatagenConfig(**flags)  # type: ignore[arg-type]
