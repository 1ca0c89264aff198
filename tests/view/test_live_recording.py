"""What the live view records is what datagen would have written."""

import errno
import json
import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.sim.lumen import Lumen
from endoforge.view import live_recording
from endoforge.view.commands import run_command
from endoforge.view.from_viewers import Drag, SeedChoice, SpeedStep, Steer, Switch
from tests.plain_ranges import PLAIN

from .conftest import SEED

FRAMES = 6


def datagen(root, **flags):
    values: dict[str, Any] = {
        "seed": SEED,
        "randomization": "plain",
        "output_root": str(root),
        "resolution": "96x64",
        "renderer": "cpu",
    }
    if "from_manifest" in flags:
        values = {"output_root": str(root), "renderer": "cpu"}
    return generate(DatagenConfig(**(values | flags)))


def contents(run_dir):
    """Every file but the manifest, and the manifest but for when and where."""
    files = {
        str(path.relative_to(run_dir)): path.read_bytes()
        for path in run_dir.rglob("*")
        if path.is_file() and path.name != "run_manifest.json"
    }
    manifest = json.loads((run_dir / "run_manifest.json").read_text())
    for name in ("output_root", "run_dir", "started_at_unix"):
        del manifest[name]
    return files, manifest


def only_run(root):
    [run_dir] = root.glob("run_*")
    return run_dir


def recorded(watched):
    """Wait for the end of the recording; its run folder."""
    session = watched.session
    watched.until(lambda: session.shared.recording is None)
    return session.config.root / session.last_recording.run_name


def test_a_data_run_is_byte_for_byte_datagens(watch, tmp_path):
    watched = watch(max_frames=FRAMES)
    run_command(watched.session, Switch("data_run"))
    run_dir = recorded(watched)
    datagen(tmp_path / "again", max_frames=FRAMES)
    assert contents(run_dir) == contents(only_run(tmp_path / "again"))
    index = index_root(run_dir)
    assert [frame.frame_id for frame in index.frames] == list(range(FRAMES))
    assert not index.dropped
    assert any("data run done: 6 frames" in text for text in watched.texts())

    again = tmp_path / "from_manifest"
    datagen(again, from_manifest=str(run_dir / "run_manifest.json"))
    assert contents(only_run(again)) == contents(run_dir)


@pytest.mark.parametrize("ranges", [None, "real"])
def test_a_data_run_is_drawn_from_the_ranges_of_the_view(watch, tmp_path, ranges):
    watched = watch(max_frames=2, randomization=ranges)
    run_command(watched.session, Switch("data_run"))
    run_dir = recorded(watched)
    datagen(tmp_path / "again", max_frames=2, randomization=ranges)
    assert contents(run_dir) == contents(only_run(tmp_path / "again"))


def test_a_data_run_goes_on_where_it_was_though_the_camera_has_jpeg(tmp_path, watch):
    """Seeds differ in whether their camera codes as JPEG; live pictures don't, recorded ones do."""
    watched = watch(max_frames=3)
    session = watched.session
    seed = next(seed for seed in range(SEED + 1, SEED + 40) if _jpeg_of(seed) != _jpeg_of(SEED))
    for one in (SEED, seed):
        if one != SEED:  # which is there from the start; to ask for it would end the recording
            run_command(session, SeedChoice(one))
            watched.until(lambda one=one: session.shared.world.colon.base_seed == one)
        run_command(session, Switch("data_run"))
        run_dir = recorded(watched)
        datagen(tmp_path / str(one), seed=one, max_frames=3)
        assert contents(run_dir)[0] == contents(only_run(tmp_path / str(one)))[0]


def _jpeg_of(seed):
    from endoforge.sim.nuisances import make_nuisances
    from endoforge.sim.sensor import make_camera_settings
    from endoforge.sim.streams import run_seed

    ranges, run = PLAIN, run_seed(seed, 0)
    nuisances = make_nuisances(run, ranges.nuisances)
    return make_camera_settings(run, ranges.camera, nuisances).jpeg > 0


def test_a_data_run_that_is_ended_goes_on_by_datagen_resume(watch, tmp_path):
    watched = watch(max_frames=40)
    session = watched.session
    run_command(session, Switch("data_run"))
    watched.until(lambda: session.last_recording.frames >= 3)
    run_command(session, Switch("data_run"))
    run_dir = recorded(watched)
    files, manifest = contents(run_dir)
    assert manifest["endoforge"]["complete"] is False
    assert 3 <= manifest["endoforge"]["frames"] < 40
    assert len(index_root(run_dir).frames) == manifest["endoforge"]["frames"]
    report = datagen(session.config.root, max_frames=40, resume=True)
    assert report.resumed == 1
    datagen(tmp_path / "again", max_frames=40)
    assert contents(run_dir) == contents(only_run(tmp_path / "again"))
    assert files.items() <= contents(run_dir)[0].items()


def test_a_steered_recording_is_valid_and_says_that_no_seed_gives_it(watch, tmp_path):
    watched = watch()
    session = watched.session
    run_command(session, SpeedStep(2))
    run_command(session, Switch("record"))
    session.steer("me", Steer(forward=1, yaw=0.4))
    watched.until(lambda: session.last_recording.frames >= 4)
    run_command(session, Switch("record"))
    run_dir = recorded(watched)
    index = index_root(run_dir)
    assert not index.dropped
    files, manifest = contents(run_dir)
    ours = manifest["endoforge"]
    assert ours["complete"] is True
    assert ours["repeatable"] is False
    assert ours["frames"] == len(index.frames) >= 4
    assert manifest["seed"] == session.shared.world.colon.run.seed
    labels = [FrameLabel.model_validate_json(files[f.label]) for f in index.frames]
    gaps = np.diff([label.sim_time for label in labels])
    assert all(min(abs(gap - 0.165), abs(gap - 0.33)) < 1e-3 for gap in gaps), gaps
    lumen = Lumen(session.shared.world.colon.run.scene)
    scene = session.shared.world.colon.run.scene
    for label in labels:
        for polyp in label.polyp_labels:
            assert polyp.polyp_id is not None
            size = scene.polyps[polyp.polyp_id - 1].diameter_mm
            assert polyp.diameter_mm == pytest.approx(size, abs=1e-3)
        assert label.camera is not None
        pose = label.camera["pose"]
        s_mm, xy_mm = lumen.from_world(np.array(pose["position_mm"]), pose["s_mm"])
        assert lumen.gap(np.array([s_mm]), xy_mm[None])[0] > -0.3

    with pytest.raises(UserError, match="can't be made again") as refused:
        datagen(tmp_path / "again", from_manifest=str(run_dir / "run_manifest.json"))
    assert "\n" not in str(refused.value)
    report = datagen(session.config.root, max_frames=2, resume=True)
    assert report.resumed == report.complete_before == 0, "it is nothing that datagen knows"


def test_recording_stops_at_max_frames(watch):
    watched = watch(max_frames=3)
    run_command(watched.session, SpeedStep(2))
    run_command(watched.session, Switch("record"))
    run_dir = recorded(watched)
    assert len(index_root(run_dir).frames) == 3


def test_pictures_are_those_of_the_camera_that_the_label_names(watch, cpu):
    """Rendered again from the state that was captured, with the same noise: the same pixels."""
    from endoforge.sim.renderer import CameraShot, Renderer

    watched = watch(max_frames=2)
    session = watched.session
    run_command(session, Switch("camera"))
    run_command(session, Switch("record"))
    recording = session.last_recording
    run_dir = recorded(watched)
    colon = session.shared.world.colon
    renderer = Renderer(96, 64, cpu)
    renderer.load([colon.run.scene])
    for frame in index_root(run_dir).frames:
        shot = CameraShot(
            recording._states[frame.frame_id], 0, colon.run.noise_seeds[frame.frame_id]
        )
        expected = renderer.render([shot]).rgb[0].numpy()
        np.testing.assert_array_equal(read_picture(frame.image_path), expected)


def test_a_full_disk_stops_the_recording_and_leaves_it_valid(watch, monkeypatch):
    watched = watch(max_frames=20)
    session = watched.session
    from endoforge.captures import recorder

    write = recorder.RunRecorder.write

    def full(self, image, label, extras={}):  # noqa: B006
        if self.num_frames == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, image, label, extras)

    monkeypatch.setattr(recorder.RunRecorder, "write", full)
    run_command(session, Switch("data_run"))
    run_dir = recorded(watched)
    assert session.last_recording.error == "no space left on the disk"
    [text] = [text for text in watched.texts() if "recording stopped" in text]
    assert "2 whole frames" in text
    assert "--resume" in text
    assert len(index_root(run_dir).frames) == 2
    count = len(watched.packets)
    watched.until(lambda: len(watched.packets) > count + 3)  # the view goes on
    monkeypatch.undo()
    assert datagen(session.config.root, max_frames=20, resume=True).resumed == 1


def test_a_folder_that_cant_be_written_is_told(watch, tmp_path):
    (tmp_path / "captures").write_text("no folder")
    watched = watch()
    run_command(watched.session, Switch("record"))
    watched.until(lambda: watched.session.shared.recording is None)
    assert any("recording stopped" in text for text in watched.texts())


def test_closing_the_session_finishes_the_recording(watch):
    watched = watch()
    session = watched.session
    run_command(session, SpeedStep(2))
    run_command(session, Switch("record"))
    watched.until(lambda: session.last_recording.frames >= 2)
    session.close()
    run_dir = session.config.root / session.last_recording.run_name
    _, manifest = contents(run_dir)
    assert manifest["endoforge"]["complete"] is True
    assert manifest["endoforge"]["frames"] == len(index_root(run_dir).frames) >= 2


def test_another_seed_waits_for_the_end_of_a_recording(watch):
    watched = watch()
    session = watched.session
    run_command(session, Switch("record"))
    watched.until(lambda: session.last_recording.frames >= 1)
    for seed in (None, SEED + 1):
        with pytest.raises(UserError, match="a recording is going on, of this colon: L ends it"):
            run_command(session, SeedChoice(seed))
    run_command(session, Switch("record"))
    recorded(watched)
    run_command(session, SeedChoice(None))
    watched.until(lambda: session.shared.world.colon.base_seed == SEED + 1)


def test_a_recording_at_standstill_ends(watch, monkeypatch):
    """The scope is left where it is; frames are 0.33 or 0.165 s apart."""
    monkeypatch.setattr(live_recording, "MOST_STILL_S", 2.0)
    watched = watch()
    session = watched.session
    run_command(session, SpeedStep(2))
    run_command(session, Switch("autopilot"))
    run_command(session, Switch("record"))
    run_dir = recorded(watched)
    assert 7 <= len(index_root(run_dir).frames) <= 14
    assert any(
        "recording ended, since the camera has stood still for 2 s" in text
        for text in watched.texts()
    )


def test_a_recording_has_a_cap_though_nobody_gives_one(watch, monkeypatch):
    monkeypatch.setattr(live_recording, "MOST_FRAMES", 3)
    watched = watch()
    run_command(watched.session, SpeedStep(2))
    run_command(watched.session, Switch("record"))
    assert len(index_root(recorded(watched)).frames) == 3
    assert any("recording ended, since it has 3 frames" in text for text in watched.texts())


@pytest.mark.parametrize("data_run", [True, False])
def test_a_recording_leaves_space_on_the_disk(watch, monkeypatch, data_run):
    """The second look finds 1 byte less than there is to be left."""
    watched = watch(max_frames=20)
    session = watched.session
    free = iter([500_000_000])
    usage = lambda _: SimpleNamespace(free=next(free, 499_999_999))  # noqa: E731
    monkeypatch.setattr(shutil, "disk_usage", usage)
    run_command(session, Switch("data_run" if data_run else "record"))
    _, manifest = contents(recorded(watched))
    assert manifest["endoforge"]["frames"] == 1
    assert manifest["endoforge"]["complete"] is False
    assert session.last_recording.error.startswith("less than 500 MB are free on the disk of")


@pytest.mark.parametrize("data_run", [True, False])
def test_a_disk_that_is_full_at_the_first_frame_leaves_no_run(watch, monkeypatch, data_run):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunRecorder, "write", full)
    watched = watch()
    session = watched.session
    run_command(session, Switch("data_run" if data_run else "record"))
    watched.until(lambda: session.shared.recording is None)
    assert list(session.config.root.glob("run_*")) == []
    [text] = [text for text in watched.texts() if "recording stopped" in text]
    assert text == "recording stopped: no space left on the disk; no frame"


def test_a_second_data_run_of_a_seed_isnt_said_to_be_resumable(watch):
    """`datagen --resume` takes the complete one for this run, and leaves the other one alone."""
    watched = watch(max_frames=12)
    session = watched.session
    run_command(session, Switch("data_run"))
    recorded(watched)
    run_command(session, Switch("data_run"))
    watched.until(lambda: session.last_recording.frames >= 2)
    run_command(session, Switch("data_run"))
    recorded(watched)
    [text] = [text for text in watched.texts() if "stopped before its end" in text]
    assert "another run of this seed is there" in text
    assert "with the same flags goes on" not in text
    assert datagen(session.config.root, max_frames=12, resume=True).resumed == 0


def test_a_data_run_isnt_steered(watch):
    watched = watch(max_frames=50)
    session = watched.session
    run_command(session, Switch("data_run"))
    for command in (Switch("autopilot"), Switch("camera"), SeedChoice(None), Switch("record")):
        with pytest.raises(UserError, match="O ends it"):
            run_command(session, command)
    session.steer("me", Steer(forward=1))
    session.drag(Drag(50, 50))
    assert session.shared.world.autopilot
    watched.until(lambda: session.last_recording.frames >= 1)
    run_command(session, Switch("data_run"))
    recorded(watched)


def test_mode_datagen_records_at_once_and_ends(watch, tmp_path):
    watched = watch(mode="datagen", max_frames=4)
    watched.until(lambda: watched.ended)
    assert watched.ended == [None]
    assert watched.session.last_recording.complete
    assert len(index_root(only_run(tmp_path / "captures")).frames) == 4
