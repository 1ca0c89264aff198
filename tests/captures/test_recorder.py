import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from endoforge import __version__
from endoforge.captures import recorder as recorder_module
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import (
    MANIFEST_NAME,
    FrameLabel,
    PolypLabel,
    RunManifest,
    image_name,
)
from endoforge.core import files
from endoforge.core.errors import UserError
from tests.conftest import ours_of


def frame_label(frame_id: int, **others) -> FrameLabel:
    fields: dict[str, Any] = {
        "frame_id": frame_id,
        "sim_time": 0.5,
        "unix_time": 1764161446.5,
        "image": image_name(frame_id),
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 3,
        "polyp_labels": [PolypLabel(center_world=(1, 2, 3), bbox_norm=(0.25, 0, 0.5, 1))],
    }
    return FrameLabel(**fields | others)


def picture(seed: int):
    return np.random.default_rng(seed).integers(0, 256, (20, 40, 3), np.uint8)


def new_recorder(root, **extra) -> RunRecorder:
    return RunRecorder.create(root, seed=2**64 - 1, max_frames=None, extra=extra)


def test_what_is_written_is_read_back(tmp_path):
    recorder = new_recorder(tmp_path, units="mm")
    recorder.write(picture(0), frame_label(0))
    recorder.write(picture(1), frame_label(123_456))
    recorder.finish()

    index = index_root(tmp_path, strict=True)

    assert [frame.frame_id for frame in index.frames] == [0, 123_456]
    assert index.frames[1].image_path == recorder.run_dir / "images/frame_123456.png"
    assert np.array_equal(read_picture(index.frames[1].image_path), picture(1))
    assert index.frames[0].boxes.tolist() == [[0.25, 0, 0.5, 1]]
    assert ours_of(index.runs[0].manifest) == {
        "version": __version__,
        "units": "mm",
        "frames": 2,
        "complete": True,
    }


def test_every_field_of_the_format_is_written_and_ours_only_with_a_value(tmp_path):
    recorder = new_recorder(tmp_path)
    sessile = PolypLabel(center_world=(1, 2, 3), paris="Is")
    recorder.write(picture(0), frame_label(0, polyp_labels=[sessile]))
    manifest = json.loads((recorder.run_dir / "run_manifest.json").read_text())
    label = json.loads((recorder.run_dir / "labels/frame_00000.json").read_text())

    assert manifest.pop("started_at_unix") == pytest.approx(time.time(), abs=60)
    assert manifest == {
        "schema_version": 1,
        "seed": 2**64 - 1,
        "output_root": str(tmp_path),
        "run_dir": str(recorder.run_dir),
        "max_frames": None,
        "endoforge": {"version": __version__, "frames": 0, "complete": False},
    }
    assert label == {
        "frame_id": 0,
        "sim_time": 0.5,
        "unix_time": 1764161446.5,
        "image": "images/frame_00000.png",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 3,
        "polyp_labels": [
            {"center_world": [1, 2, 3], "bbox_px": None, "bbox_norm": None, "paris": "Is"}
        ],
    }


def test_recorders_of_the_same_millisecond_get_different_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1764161446.512)
    with ThreadPoolExecutor(4) as pool:
        recorders = list(pool.map(lambda _: new_recorder(tmp_path), range(4)))
    names = sorted(recorder.run_dir.name for recorder in recorders)
    assert names == [f"run_176416144651{digit}" for digit in (2, 3, 4, 5)]


def test_several_threads_may_write(tmp_path):
    recorder = new_recorder(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda number: recorder.write(picture(number), frame_label(number)), range(20))
        )
    recorder.finish()
    index = index_root(tmp_path, strict=True)
    assert recorder.num_frames == 20
    assert ours_of(index.runs[0].manifest)["frames"] == 20
    for frame in index.frames:
        assert np.array_equal(read_picture(frame.image_path), picture(frame.frame_id))


KILLED_BETWEEN_IMAGE_AND_LABEL = """
import os, sys
from pathlib import Path
import numpy as np
from endoforge.captures import recorder
from endoforge.captures.schema import FrameLabel, image_name

made = recorder.RunRecorder.create(Path(sys.argv[1]), seed=1, max_frames=None, extra={})
blank = np.zeros((20, 40, 3), np.uint8)
for number in range(3):
    if number == 2:
        recorder.write_json_atomic = lambda *_: os._exit(9)
    made.write(blank, FrameLabel(
        frame_id=number, sim_time=0, unix_time=0, image=image_name(number), image_present=True,
        camera_active=True, polyp_seed=0, polyp_labels=[],
    ))
"""


def test_killed_between_image_and_label_no_label_lacks_its_image(tmp_path):
    command = [sys.executable, "-c", KILLED_BETWEEN_IMAGE_AND_LABEL, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 9
    index = index_root(tmp_path)
    assert [frame.frame_id for frame in index.frames] == [0, 1]
    assert index.dropped == {"image: no label names it": 1}
    assert ours_of(index.runs[0].manifest)["complete"] is False


KILLED_WHILE_WRITING = """
import os, sys
from pathlib import Path
from endoforge.core.files import write_atomic

Path.replace = lambda *_: os._exit(9)
write_atomic(Path(sys.argv[1]), b"half of it")
"""


@pytest.mark.parametrize("name", ["images/frame_00001.png", "labels/frame_00001.json"])
def test_a_file_killed_while_it_is_written_is_never_read(tmp_path, name):
    recorder = new_recorder(tmp_path)
    recorder.write(picture(0), frame_label(0))
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(recorder.run_dir / name)]
    assert subprocess.run(command, check=False).returncode == 9
    index = index_root(tmp_path, strict=True)
    assert [frame.frame_id for frame in index.frames] == [0]


def test_a_frame_is_never_overwritten(tmp_path):
    recorder = new_recorder(tmp_path)
    recorder.write(picture(0), frame_label(0))
    with pytest.raises(ValueError, match="already"):
        recorder.write(picture(1), frame_label(0))
    assert np.array_equal(read_picture(recorder.run_dir / "images/frame_00000.png"), picture(0))


def test_a_label_of_another_image_and_a_nan_are_refused(tmp_path):
    recorder = new_recorder(tmp_path)
    with pytest.raises(ValueError, match=r"images/frame_00001\.png"):
        recorder.write(picture(0), frame_label(1, image="images/frame_00000.png"))
    with pytest.raises(ValueError, match="JSON"):
        recorder.write(picture(0), frame_label(2, sim_time=float("nan")))
    assert index_root(tmp_path).frames == []


def test_a_root_that_is_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't make a run folder in .*file"):
        new_recorder(tmp_path / "file")


def test_extras_are_written_as_they_are_before_the_label(tmp_path, monkeypatch):
    recorder = new_recorder(tmp_path)
    depth = np.array([[0, 1, 65535]], np.uint16)
    instance = np.array([[0, 24, 255]], np.uint8)
    order = []
    write = files.write_atomic

    def spy(path, data, **others):
        order.append(path)
        write(path, data, **others)

    for module in (files, recorder_module):
        monkeypatch.setattr(module, "write_atomic", spy)
    recorder.write(picture(0), frame_label(7), {"depth": depth, "instance": instance})
    folders = [path.parent.name for path in order]
    assert folders == ["images", "depth", "instance", "labels"]
    assert np.array_equal(np.asarray(Image.open(order[1])), depth)
    assert np.array_equal(np.asarray(Image.open(order[2])), instance)
    assert {path.stem for path in order} == {"frame_00007"}


def reopened(recorder, *extras):
    manifest = RunManifest.model_validate_json((recorder.run_dir / MANIFEST_NAME).read_bytes())
    return RunRecorder.reopen(recorder.run_dir, manifest, extras)


def test_a_run_is_gone_on_with_from_what_is_whole(tmp_path):
    recorder = new_recorder(tmp_path, units="mm")
    for number in range(5):
        recorder.write(picture(number), frame_label(number), {"depth": np.zeros((2, 2), np.uint16)})
    recorder.close()
    (recorder.run_dir / "depth/frame_00001.png").unlink()
    (recorder.run_dir / "labels/frame_00002.json").write_text('{"frame_id": 2')
    image = recorder.run_dir / "images/frame_00003.png"
    image.write_bytes(image.read_bytes()[:-1])
    (recorder.run_dir / "images/.frame_00009.png.0123456789abcdef.tmp").write_bytes(b"")

    again = reopened(recorder, "depth")
    assert again.done == {0, 4}
    labels = sorted(path.name for path in (recorder.run_dir / "labels").iterdir())
    assert labels == ["frame_00000.json", "frame_00004.json"]
    assert not list(recorder.run_dir.rglob("*.tmp"))
    again.write(picture(3), frame_label(3))
    again.finish()
    assert np.array_equal(read_picture(image), picture(3))
    manifest = index_root(tmp_path).runs[0].manifest
    assert manifest is not None
    assert manifest.started_at_unix == recorder._manifest.started_at_unix
    assert ours_of(manifest)["frames"] == 3
    assert ours_of(manifest)["complete"] is True


def test_one_process_at_a_time_writes_a_run(tmp_path):
    recorder = new_recorder(tmp_path)
    with pytest.raises(UserError, match="another process is writing this run"):
        reopened(recorder)
    recorder.close()
    reopened(recorder).close()


def test_a_folder_whose_manifest_finds_no_space_is_not_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder_module, "write_json_atomic", full)
    with pytest.raises(OSError, match="No space"):
        new_recorder(tmp_path)
    assert list(tmp_path.iterdir()) == []
