"""What `--save` writes: by hand, and read back from disk with other people's readers."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from endoforge.captures.poses import quaternion_xyzw
from endoforge.datagen.extras import depth_picture, normals_picture, poses_text
from endoforge.sim.camera import CameraState, Pose
from endoforge.sim.simulator import Simulator
from endoforge.sim.streams import run_seed

from .conftest import job


def test_depth_is_in_hundredths_of_a_millimetre_and_0_where_there_is_none() -> None:
    depth = np.array([[0.0, 1.0, 12.344], [279.99, 280.0, 300.0]], np.float32)
    picture = depth_picture(depth)
    assert picture.dtype == np.uint16
    assert picture.tolist() == [[0, 100, 1234], [27999, 0, 0]]


def test_normals_are_spread_over_a_byte() -> None:
    normals = np.array([[[-1, 0, 1], [0.28, -0.96, 0], [0, 0, -1]]], np.float32)
    depth = np.array([[5, 5, 0]], np.float32)
    assert normals_picture(normals, depth).tolist() == [[[0, 128, 255], [163, 5, 128], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("rotation", "quaternion"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0, 1]),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [0, 0, 0.5**0.5, 0.5**0.5]),  # 90 degrees about z
        ([[1, 0, 0], [0, -1, 0], [0, 0, -1]], [1, 0, 0, 0]),  # 180 about x
        ([[0, 0, 1], [1, 0, 0], [0, 1, 0]], [0.5, 0.5, 0.5, 0.5]),  # 120 about (1, 1, 1)
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], [-0.5, -0.5, -0.5, 0.5]),  # and back
    ],
)
def test_quaternions(rotation: list[list[int]], quaternion: list[float]) -> None:
    np.testing.assert_allclose(quaternion_xyzw(np.array(rotation, float)), quaternion, atol=1e-12)


def test_a_line_of_poses_takes_camera_axes_to_the_worlds() -> None:
    """A camera at (1, 2, 3) whose right is the world's y, its down -x: 90 degrees about z."""
    axes = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], float)
    pose = Pose(np.array([1.0, 2.0, 3.0]), axes, 0.0)
    state = CameraState(0.33, pose, np.zeros(3), np.zeros(3), pose)
    header, line = poses_text([state]).splitlines()
    assert header.startswith("# timestamp")
    assert line == "0.330000 1 2 3 0 0 0.707106781 0.707106781"


def test_the_files_say_what_the_simulator_says(tmp_path: Path) -> None:
    [run_dir] = job(tmp_path, seed=3, max_frames=24, save="instance,depth,normals,pose").run_dirs
    [batch, *_] = truth = list(
        Simulator(run_seed(3, 0), size=(160, 96), max_frames=24, batch_size=24, normals=True,
                  renderer="cpu")
    )  # fmt: skip
    assert len(truth) == 1
    assert batch.normals is not None
    seen = set()
    for frame, label in enumerate(batch.labels):
        name = f"frame_{frame:05d}"
        instance = cv2.imread(str(run_dir / f"instance/{name}.png"), cv2.IMREAD_UNCHANGED)
        depth = cv2.imread(str(run_dir / f"depth/{name}.png"), cv2.IMREAD_UNCHANGED)
        normals_bgr = cv2.imread(str(run_dir / f"normals/{name}.png"))
        assert instance is not None
        assert depth is not None
        assert normals_bgr is not None
        normals = normals_bgr[..., ::-1]
        assert np.array_equal(instance, batch.instance[frame].numpy())
        assert np.array_equal(depth, depth_picture(batch.depth[frame].numpy()))
        where = depth > 0
        np.testing.assert_allclose(
            normals[where] / 127.5 - 1, batch.normals[frame].numpy()[where], atol=0.51 / 127.5
        )
        polyps = json.loads((run_dir / f"labels/{name}.json").read_text())["polyp_labels"]
        boxed = [polyp for polyp in polyps if polyp["bbox_px"] is not None]
        assert [polyp["polyp_id"] for polyp in boxed] == label.instances.tolist()
        for polyp in boxed:
            rows, columns = np.nonzero(instance == polyp["polyp_id"])
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert polyp["bbox_px"] == box
            seen.add(polyp["polyp_id"])
    assert seen
    poses = np.loadtxt(run_dir / "poses.txt")
    assert poses.shape == (24, 8)
    np.testing.assert_allclose(poses[:, 0], [state.time_s for state in batch.states], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(poses[:, 4:], axis=1), 1, atol=1e-6)
    extras = json.loads((run_dir / "run_manifest.json").read_text())["endoforge"]["extras"]
    assert extras["depth"]["unit_mm"] == 0.01
