"""`datagen`, from its configuration to the files."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.sim import clock, simulator
from endoforge.sim.flight import captures

from .conftest import contents, data_set, job


def test_the_same_seed_writes_the_same_bytes_and_another_seed_other_ones(tmp_path: Path) -> None:
    [one] = job(tmp_path / "one", seed=5, max_frames=6).run_dirs
    [again] = job(tmp_path / "again", seed=5, max_frames=6).run_dirs
    [other] = job(tmp_path / "other", seed=6, max_frames=6).run_dirs
    assert len(contents(one)) == 13  # 6 images, 6 labels, the manifest
    assert contents(one) == contents(again)
    for name in ("images/frame_00002.png", "labels/frame_00002.json"):
        assert contents(one)[name] != contents(other)[name]


def test_all_captures_are_recorded_unless_max_frames_thins_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A procedure of 9 captures: all, all though more are allowed, and 3 of them."""
    monkeypatch.setattr(clock, "captures", lambda scene, flight: captures(scene, flight)[:9])
    for max_frames, frames in ((None, 9), (20, 9), (3, 3)):
        report = job(tmp_path / str(max_frames), seed=0, max_frames=max_frames)
        assert report.frames == frames
        [run_dir] = report.run_dirs
        values = json.loads((run_dir / "run_manifest.json").read_text())
        assert values["max_frames"] == max_frames
        assert values["endoforge"]["frames"] == frames


def test_no_part_of_a_data_set_depends_on_how_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches, groups, workers and parts: the bytes are those of the plainest job."""
    flags = {"seed": 9, "max_frames": 5, "save": "instance,depth,normals,pose"}
    job(tmp_path / "plain", runs=4, workers=1, **flags)
    job(tmp_path / "parts", run_range="2:4", workers=5, **flags)
    job(tmp_path / "parts", run_range="0:2", runs=4, **flags)
    # As on a GPU: three runs share their batches of 7, which cross from run to run.
    monkeypatch.setattr("endoforge.datagen.recording.default_batch_size", lambda _: 7)
    monkeypatch.setattr(simulator, "_runs_a_group", lambda _: 3)
    job(tmp_path / "groups", runs=4, workers=3, **flags)
    plain = data_set(tmp_path / "plain")
    assert sorted(plain) == [0, 1, 2, 3]
    images = {run["images/frame_00000.png"] for run in plain.values()}
    assert len(images) == 4
    assert data_set(tmp_path / "parts") == plain
    assert data_set(tmp_path / "groups") == plain


def test_what_is_written_is_what_the_format_says(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, seed=3, max_frames=8).run_dirs
    manifest = json.loads((run_dir / "run_manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["max_frames"] == 8
    assert manifest["run_dir"] == str(run_dir)
    ours = manifest["endoforge"]
    assert (ours["complete"], ours["frames"], ours["units"]) == (True, 8, "mm")
    assert (ours["base_seed"], ours["run_index"], ours["frames_planned"]) == (3, 0, 8)
    assert ours["resolution"] == [160, 96]
    assert ours["randomization"]["polyps"]["count"] == [12, 20]
    assert ours["scene"]["seed"] == manifest["seed"]

    times, names = [], set()
    for path in sorted((run_dir / "labels").iterdir()):
        label = json.loads(path.read_text())
        times.append(label["sim_time"])
        assert label["image_present"] is label["camera_active"] is True
        assert label["polyp_seed"] == manifest["seed"]
        assert set(label["camera"]) == {"pose", "intrinsics"}
        polyps = label["polyp_labels"]
        names |= {(polyp["polyp_id"], polyp["diameter_mm"]) for polyp in polyps}
    assert times == sorted(set(times))
    sizes = [
        2 * max(polyp["half_width_mm"] * polyp["uneven"]["stretch"], polyp["half_height_mm"])
        for polyp in ours["scene"]["polyps"]
    ]
    assert names
    assert all(abs(sizes[name - 1] - size) < 1e-3 for name, size in names), "one polyp, one name"
    image = cv2.imread(str(run_dir / "images/frame_00003.png"))
    assert image is not None
    assert image.shape == (96, 160, 3)
    assert image.std() > 10


def test_boxes_in_pixels_and_in_shares_are_the_same_and_lie_in_the_picture(tmp_path: Path) -> None:
    job(tmp_path, seed=11, max_frames=30)
    boxes = 0
    for path in tmp_path.glob("run_*/labels/*.json"):
        for polyp in json.loads(path.read_text())["polyp_labels"]:
            assert polyp["paris"] in ("Is", "Isp", "Ip", "IIa")
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
    assert boxes > 0
    index = index_root(tmp_path)
    assert sum(len(frame.boxes) for frame in index.frames) == boxes
    assert not index.dropped


def test_pruned_copies_hold_the_frames_with_boxes_and_their_extras(tmp_path: Path) -> None:
    config = DatagenConfig(
        seed=2, output_root=str(tmp_path / "raw"), max_frames=40, resolution="160x96",
        renderer="cpu", prune_empty=True, save="depth,pose",
    )  # fmt: skip
    report = generate(config)
    assert config.pruned_root == str(tmp_path / "raw_filtered")
    kept = index_root(tmp_path / "raw_filtered", strict=True).frames
    assert report.pruned is not None
    assert len(kept) == report.pruned.kept == report.frames_with_polyps < report.frames
    assert all(len(frame.boxes) for frame in kept)
    [run_dir] = (tmp_path / "raw_filtered").glob("run_*")
    images = {path.name for path in (run_dir / "images").iterdir()}
    assert {path.name for path in (run_dir / "depth").iterdir()} == images
    assert (run_dir / "poses.txt").read_bytes() == (
        tmp_path / "raw" / run_dir.name / "poses.txt"
    ).read_bytes()


def test_a_manifest_makes_its_run_again_bit_for_bit(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.toml"
    ranges.write_text("[polyps]\ncount = [2, 3]\n")
    flags = {"randomization": str(ranges), "max_frames": 4, "resolution": "128x80"}
    runs = job(tmp_path / "first", seed=21, runs=2, save="pose,depth", **flags).run_dirs
    ranges.unlink()
    path = str(runs[1] / "run_manifest.json")
    [again] = job(tmp_path / "again", from_manifest=path).run_dirs
    assert contents(again) == contents(runs[1])
    assert contents(again)["run_manifest.json"]["endoforge"]["randomization"]["polyps"][
        "count"
    ] == [2, 3]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_manifest_that_an_editor_saved_is_read(encoding: str, tmp_path: Path) -> None:
    """With a byte order mark, and null where the default is meant."""
    [run_dir] = job(tmp_path, seed=4, max_frames=1).run_dirs
    path = run_dir / "run_manifest.json"
    written = json.loads(path.read_text())
    written["endoforge"] |= {"save": None}
    written["endoforge"]["randomization"]["polyps"]["count"] = None
    path.write_text(json.dumps(written), encoding=encoding)
    [again] = job(tmp_path / "again", from_manifest=str(path)).run_dirs
    image = "images/frame_00000.png"
    assert (again / image).read_bytes() == (run_dir / image).read_bytes()


def test_a_manifest_with_infinite_ranges_is_refused_with_their_place(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, seed=4, max_frames=1).run_dirs
    path = run_dir / "run_manifest.json"
    written = json.loads(path.read_text())
    written["endoforge"]["randomization"]["camera"]["exposure"] = [0.7, float("inf")]
    path.write_text(json.dumps(written))
    with pytest.raises(UserError, match=rf"{path}.*camera\.exposure.*finite"):
        job(tmp_path / "again", from_manifest=str(path))


def test_a_manifest_that_cannot_be_made_again_is_named(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, seed=21, max_frames=1).run_dirs
    path = run_dir / "run_manifest.json"
    good = json.loads(path.read_text())
    ours = good["endoforge"]

    def refusal(manifest: object) -> str:
        path.write_text(json.dumps(manifest))
        with pytest.raises(UserError) as error:
            job(tmp_path / "again", from_manifest=str(path))
        return str(error.value)

    assert "isn't a run's manifest" in refusal({"seed": 1})
    assert "lacks endoforge.resolution" in refusal(good | {"endoforge": None})
    assert "version 0.0.1" in refusal(good | {"endoforge": ours | {"version": "0.0.1"}})
    assert "isn't that of run 4" in refusal(good | {"endoforge": ours | {"run_index": 4}})
    assert "polyps" in refusal(good | {"endoforge": ours | {"randomization": {"polyps": 1}}})
    path.unlink()
    with pytest.raises(UserError, match="can't be read"):
        job(tmp_path / "again", from_manifest=str(path))
    assert not (tmp_path / "again").exists()


def test_a_stretch_of_a_video_is_recorded_made_again_and_gone_on_with(tmp_path: Path) -> None:
    flags = {"seed": 21, "fps": 25.0, "from_s": 30.0, "to_s": 30.2}
    [run_dir] = job(tmp_path / "first", **flags).run_dirs
    labels = [json.loads(path.read_text()) for path in sorted((run_dir / "labels").iterdir())]
    assert [label["sim_time"] for label in labels] == [30.0, 30.04, 30.08, 30.12, 30.16]
    ours = contents(run_dir)["run_manifest.json"]["endoforge"]
    assert (ours["fps"], ours["from_s"], ours["to_s"]) == (25, 30, 30.2)
    assert (ours["capture_interval_s"], ours["frames"]) == (0.04, 5)
    path = str(run_dir / "run_manifest.json")
    [again] = job(tmp_path / "again", from_manifest=path).run_dirs
    assert contents(again) == contents(run_dir)

    manifest = json.loads(Path(path).read_text())
    manifest["endoforge"]["complete"] = False
    Path(path).write_text(json.dumps(manifest))
    (run_dir / "labels/frame_00003.json").unlink()
    with pytest.raises(UserError, match="was made with --fps 25, now there is no --fps;"):
        job(tmp_path / "first", seed=21, from_s=30.0, to_s=30.2, resume=True)
    report = job(tmp_path / "first", resume=True, **flags)
    assert (report.resumed, report.frames) == (1, 1)
    assert contents(run_dir) == contents(again)


def test_a_stretch_after_the_procedure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"from 5000 s on: the procedure of seed \d+ takes \d+\.\d"):
        job(tmp_path, seed=21, from_s=5000.0)
