"""C3VD's and SimCol3D's files, read as their makers' own code reads them: surfaces meet.

What a frame shows, taken to the world and looked at from another frame, lies where that one says;
with a pose transposed, an axis flipped, or depth along rays it doesn't.
"""

import configparser
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.data.split import Split, save_split
from endoforge.formats.c3vd import fitted
from endoforge.formats.config import ConvertConfig, ConvertFormat
from endoforge.formats.converting import ConvertReport, run_convert
from endoforge.formats.depth_views import FisheyeLens
from endoforge.formats.simcol3d import resampled
from endoforge.sim.camera import Pose
from endoforge.sim.optics import Lens
from tests.datagen.conftest import job

from .tubes import LENS, colour_at, record, seen_from

Array = NDArray[np.float64]

EVEN = (0, 0.04, 0.08, 0.12)


@dataclass(frozen=True)
class Frame:
    """What a reader has of a frame: depth (H, W) in mm, NaN where it isn't known, its colours, and
    the pose (4, 4) that takes the camera's points, as columns, to the world's, in mm."""

    depth_mm: Array
    image: NDArray[np.uint8]
    pose: Array


@dataclass(frozen=True)
class Reader:
    """Frames with the camera of all: `rays` (H, W, 3) with z 1, and where it shows points."""

    frames: list[Frame]
    rays: Array
    project: Callable[[Array], Array]


def convert(runs: Path, format: ConvertFormat, **settings: Any) -> tuple[ConvertReport, Path]:
    """To a folder beside that of the runs."""
    out = index_root(runs).root.with_name(f"out-{format}")
    config = ConvertConfig(format=format, paths=(str(runs), str(out)), **settings)
    return run_convert(config), out


def read_c3vd(folder: Path) -> Reader:
    """By exampleDataLoader.py: rays of the polynomial, and points as rows before the pose."""
    said = configparser.ConfigParser()
    said.read_string("[lens]\n" + (folder / "config.ini").read_text())
    lens = {name: float(value) for name, value in said["lens"].items()}
    assert [lens[name] for name in ("a1", "d", "e")] == [0, 0, 0]
    x, y = np.meshgrid(np.arange(lens["width"]), np.arange(lens["height"]))
    u, v = (x - lens["cx"]) / lens["c"], y - lens["cy"]

    def forward(rho: Array) -> Array:
        return np.asarray(lens["a0"] + sum(lens[f"a{n}"] * rho**n for n in (2, 3, 4)))

    rays = np.stack([u, v, forward(np.hypot(u, v))], axis=-1)
    rho = np.linspace(1e-6, np.hypot(u, v).max() * 1.02, 50_000)
    angle = np.arctan2(rho, forward(rho))

    def project(points: Array) -> Array:
        across = np.hypot(points[..., 0], points[..., 1])
        far = np.interp(np.arctan2(across, points[..., 2]), angle, rho, right=np.nan) / across
        return np.stack(
            [lens["c"] * far * points[..., 0] + lens["cx"], far * points[..., 1] + lens["cy"]], -1
        )

    frames = []
    for number, line in enumerate((folder / "pose.txt").read_text().splitlines()):
        rows = np.array([float(value) for value in line.split(",")]).reshape(4, 4)
        steps = cv2.imread(str(folder / f"{number:04d}_depth.tiff"), cv2.IMREAD_UNCHANGED)
        assert steps is not None
        assert steps.dtype == np.uint16
        depth = np.where((steps == 0) | (steps == 65535), np.nan, steps / 65535 * 100)
        frames.append(Frame(depth, rgb(folder / f"{number:04d}_color.png"), rows.T))
    return Reader(frames, rays / rays[..., 2:], project)


def read_simcol3d(folder: Path, sequence: str = "S1") -> Reader:
    """By eval_synthetic_pose.py and sequence_folders_quat.py; cm are made mm."""
    k = np.genfromtxt(folder / "cam.txt").reshape(3, 3)
    x, y = np.meshgrid(np.arange(475.0), np.arange(475.0))
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(k).T

    def project(points: Array) -> Array:
        seen = np.where(points[..., 2:] > 0, points, np.nan) @ k.T
        return np.asarray(seen[..., :2] / seen[..., 2:])

    places = np.loadtxt(folder / f"SavedPosition_{sequence}.txt", ndmin=2)
    quaternions = np.loadtxt(folder / f"SavedRotationQuaternion_{sequence}.txt", ndmin=2)
    flip = np.diag([1.0, -1, 1, 1])
    frames = []
    for number, (place, quaternion) in enumerate(zip(places, quaternions, strict=True)):
        unity = np.eye(4)
        unity[:3, :3], unity[:3, 3] = turned(quaternion), place * 10
        name = folder / f"Frames_{sequence}"
        steps = cv2.imread(str(name / f"Depth_{number:04d}.png"), cv2.IMREAD_UNCHANGED)
        assert steps is not None
        assert steps.dtype == np.uint16
        assert steps.shape == (475, 475)
        depth = np.where(steps == 0, np.nan, steps / 255 / 256 * 20 * 10)
        picture = rgb(name / f"FrameBuffer_{number:04d}.png")
        frames.append(Frame(depth, picture, flip @ unity @ flip))
    return Reader(frames, rays, project)


def rgb(path: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return np.asarray(pixels[..., ::-1], np.uint8)


def turned(xyzw: Array) -> Array:
    """The rotation of a unit quaternion."""
    x, y, z, w = xyzw
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross)


def apart(reader: Reader, first: Frame, second: Frame) -> Array:
    """Mm between what `second` shows and what `first` shows there, where nothing hides that."""
    points = reader.rays * first.depth_mm[..., None]
    points = points[np.isfinite(first.depth_mm)]
    points = points[:: len(points) // 20_000 + 1]
    world = points @ first.pose[:3, :3].T + first.pose[:3, 3]
    seen = (world - second.pose[:3, 3]) @ np.linalg.inv(second.pose[:3, :3]).T
    places = reader.project(seen).astype(np.float32)
    there = cv2.remap(
        second.depth_mm.astype(np.float32), places[None, :, 0], places[None, :, 1],
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan,
    )[0]  # fmt: skip
    behind = seen[:, 2] - there
    known = np.isfinite(behind)
    assert known.mean() > 0.3
    return np.asarray(np.abs(behind[known]))


READERS: dict[ConvertFormat, Callable[[Path], Reader]] = {
    "c3vd": read_c3vd,
    "simcol3d": read_simcol3d,
}


@pytest.fixture(scope="module", params=READERS)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A reader of the files of a format, and the poses of the run that they are of."""
    run, course = record(tmp_path_factory.mktemp("tubes") / "captures", EVEN)
    report, out = convert(run, request.param)
    assert report.frames == {"all": 4}
    folder = out / run.name if request.param == "c3vd" else out
    return READERS[request.param](folder), course


def wrong_poses(frame: Frame) -> Iterator[tuple[str, Frame]]:
    def with_rotation(rotation: Array) -> Frame:
        pose = frame.pose.copy()
        pose[:3, :3] = rotation
        return replace(frame, pose=pose)

    rotation = frame.pose[:3, :3]
    yield "rotation transposed", with_rotation(rotation.T)
    yield "world to camera", replace(frame, pose=np.asarray(np.linalg.inv(frame.pose), np.float64))
    for axis, name in enumerate("xyz"):
        flip = np.eye(3)
        flip[axis, axis] = -1
        yield f"{name} flipped in the rotation alone", with_rotation(flip @ rotation @ flip)
        yield f"the camera's {name} flipped", with_rotation(rotation @ flip)


def test_what_a_frame_shows_lies_where_another_says(converted):
    reader, _ = converted
    for first, second in [(0, 1), (0, 3), (3, 1)]:
        off = apart(reader, reader.frames[first], reader.frames[second])
        assert np.median(off) < 0.02
        assert np.mean(off < 0.3) > 0.95, "the rest is hidden behind balls"


def test_with_another_convention_it_doesnt(converted):
    reader, _ = converted
    first, second = reader.frames[0], reader.frames[3]
    for (name, one), (_, other) in zip(wrong_poses(first), wrong_poses(second), strict=True):
        assert np.median(apart(reader, one, other)) > 0.2, name
    by_ray = np.linalg.norm(reader.rays, axis=-1)
    one, other = (replace(one, depth_mm=one.depth_mm * by_ray) for one in (first, second))
    assert np.median(apart(reader, one, other)) > 0.2, "depth along the ray"


def test_poses_are_the_runs_own_and_colours_those_of_their_places(converted):
    reader, course = converted
    for frame, pose in zip(reader.frames, course, strict=True):
        flip = np.abs(frame.pose[:3, 3] - pose.position).max() > 1e-6
        assert not flip
        np.testing.assert_allclose(frame.pose[:3, :3], pose.axes.T, atol=1e-7)
        points = reader.rays * frame.depth_mm[..., None]
        world = points @ frame.pose[:3, :3].T + frame.pose[:3, 3]
        off = np.abs(colour_at(world) - frame.image)
        assert np.nanmedian(off) < 0.6
        assert np.nanquantile(off, 0.95) < 4


def test_depth_is_along_the_axis_to_a_hundredth_of_a_millimetre(tmp_path):
    run, [pose] = record(tmp_path / "captures", [0])
    _, out = convert(run, "c3vd")
    [frame] = read_c3vd(out / run.name).frames
    truth = seen_from(pose, LENS) * LENS.rays(LENS.height, LENS.width)[..., 2]
    known = np.isfinite(frame.depth_mm)
    np.testing.assert_allclose(frame.depth_mm[known], truth[known], atol=0.006)
    assert not known[:, :12].any(), "under the mask"
    assert known[:, 12:].all()


def test_what_is_beyond_the_largest_number_has_it_and_is_counted(tmp_path):
    run, _ = record(tmp_path / "captures", [0])
    path = run / "depth/frame_00000.png"
    assert cv2.imwrite(str(path), np.full((96, 120), 25_000, np.uint16))
    report, out = convert(run, "c3vd")
    steps = cv2.imread(str(out / run.name / "0000_depth.tiff"), cv2.IMREAD_UNCHANGED)
    assert steps is not None
    assert steps[48, 60] == 65535
    assert any("% of depth is beyond 100 mm and clamped" in note for note in report.notes)
    _, out = convert(run, "simcol3d")
    steps = cv2.imread(str(out / "Frames_S1/Depth_0000.png"), cv2.IMREAD_UNCHANGED)
    assert steps is not None
    assert steps[237, 237] == 65280


def test_the_lens_is_told_exactly_and_the_polynomial_how_far_it_is_from_that(tmp_path):
    run, _ = record(tmp_path / "captures", [0])
    _, out = convert(run, "c3vd")
    said = json.loads((out / run.name / "camera.json").read_text())
    assert 0 <= said.pop("farthest_of_config_ini_deg") < 0.1
    assert FisheyeLens(**said) == FisheyeLens.model_validate(LENS.intrinsics())


@pytest.mark.parametrize("fov_deg", [60.0, 140.0, 170.0])
@pytest.mark.parametrize("k1", [-0.05, 0.0, 0.05])
def test_rays_and_pictures_are_those_of_the_simulators_lens(fov_deg, k1):
    lens = Lens(64, 40, fov_deg, k1, None, 0.8)
    twin = FisheyeLens.model_validate(lens.intrinsics())
    rays = lens.rays(40, 64)
    np.testing.assert_allclose(twin.rays, rays, atol=1e-8)
    np.testing.assert_allclose(twin.project(rays * 7.0), lens.project(rays), atol=1e-9)
    assert fitted(twin).farthest_deg < 0.1


def test_of_a_lens_that_turns_back_on_itself_no_ray_is_made_up():
    lens = FisheyeLens(
        model="opencv_fisheye", width=80, height=60, fx=20, fy=20, cx=40, cy=30, k=(-0.3, 0, 0, 0)
    )
    assert np.isnan(lens.rays[0, 0]).all()
    assert np.isfinite(lens.rays[30, 40]).all()
    assert np.isnan(lens.project(np.array([0.0, 0.0, -1.0]))).all()


def test_no_distance_is_mixed_of_both_sides_of_an_edge():
    distance = np.array([[10.0, 40.0, 41.0], [10.0, 40.0, 41.0], [0.0, 40.0, 41.0]])
    x = np.array([[0.4, 0.6, 1.5, 0.4, -1.0]], np.float32)
    y = np.array([[0.5, 0.5, 0.5, 1.9, -1.0]], np.float32)
    assert resampled(distance, (x, y)).tolist() == [[10.0, 40.0, 40.5, 0.0, 0.0]]


def test_runs_become_sequences_by_number_and_sides_folders(tmp_path):
    first, _ = record(tmp_path / "captures", EVEN[:2])
    second, _ = record(tmp_path / "captures", EVEN[:3])
    report, out = convert(first.parent, "simcol3d")
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "Frames_S1", "Frames_S2", "SavedPosition_S1.txt", "SavedPosition_S2.txt",
        "SavedRotationQuaternion_S1.txt", "SavedRotationQuaternion_S2.txt", "cam.txt", "runs.txt",
    ]  # fmt: skip
    assert (out / "runs.txt").read_text() == f"S1 {first.name}\nS2 {second.name}\n"
    assert len(read_simcol3d(out, "S2").frames) == 3
    assert report.lines()[0] == f"{out}: simcol3d, 2 runs, 5 frames"


@pytest.mark.parametrize("format", READERS)
def test_a_split_is_written_apart(format, tmp_path):
    first, _ = record(tmp_path / "captures", EVEN[:2])
    second, _ = record(tmp_path / "captures", EVEN[:1])
    frames = index_root(first.parent).frames
    save_split(tmp_path / "split.json", Split(frames[:2], frames[2:]), seed=1)
    manifest = str(tmp_path / "split.json")
    report, out = convert(first.parent, format, split_manifest=manifest)
    assert report.frames == {"train": 2, "val": 1}
    if format == "c3vd":
        assert len(read_c3vd(out / "train" / first.name).frames) == 2
        assert len(read_c3vd(out / "val" / second.name).frames) == 1
    else:
        assert (out / "val/runs.txt").read_text() == f"S1 {second.name}\n"
        assert len(read_simcol3d(out / "train").frames) == 2


@pytest.mark.parametrize("format", READERS)
def test_without_depth_the_mend_is_named(format, tmp_path):
    run, _ = record(tmp_path / "captures", EVEN, depth=False)
    with pytest.raises(UserError, match=r"no usable frame .*no depth image .*--save depth"):
        convert(run, format)


@pytest.mark.parametrize("format", READERS)
def test_frames_that_dont_tell_are_left_out_counted_and_the_gap_said(format, tmp_path):
    run, _ = record(tmp_path / "captures", [step * 0.04 for step in range(7)])

    def spoil(number: int, **camera: object) -> None:
        path = run / f"labels/frame_{number:05d}.json"
        label = json.loads(path.read_text())
        label["camera"] |= camera
        path.write_text(json.dumps(label))

    intrinsics = LENS.intrinsics()
    spoil(1, pose=None)
    spoil(2, intrinsics={**intrinsics, "width": 121})
    spoil(3, pose={"position_mm": [0, 0, 0], "world_from_camera": [[1, 0, 0]] * 3})
    (run / "depth/frame_00004.png").write_bytes(b"no picture")
    assert cv2.imwrite(str(run / "depth/frame_00005.png"), np.zeros((8, 8), np.uint16))
    report, _ = convert(run, format)
    assert report.frames == {"all": 2}
    assert set(report.left_out.counts) == {
        "frame: no camera pose and lens in its label, as datagen writes them",
        "frame: a lens of another size than its picture",
        "frame: a pose whose world_from_camera is no rotation",
        "frame: depth image unreadable",
        "frame: its depth image is of another size or kind",
    }
    uneven, _ = record(tmp_path / "uneven/captures", [0, 0.04, 0.4])
    assert any(
        "don't follow each other evenly" in note for note in convert(uneven, format)[0].notes
    )


def test_a_frame_of_another_lens_isnt_taken_for_one_of_the_runs(tmp_path):
    run, _ = record(tmp_path / "captures", EVEN)
    path = run / "labels/frame_00002.json"
    label = json.loads(path.read_text())
    label["camera"]["intrinsics"]["fx"] += 1
    path.write_text(json.dumps(label))
    report, out = convert(run, "c3vd")
    assert [*report.left_out.counts.values()] == [1]
    assert len((out / run.name / "pose.txt").read_text().splitlines()) == 3
    assert convert(run, "simcol3d")[0].frames == {"all": 4}, "whose pictures are of one camera"


def test_the_simulators_pose_is_what_is_written(tmp_path):
    """By hand: a camera at (1, 2, 3) mm whose right is the world's y, and its down -x."""
    run, _ = record(tmp_path / "captures", [0])
    path = run / "labels/frame_00000.json"
    label = json.loads(path.read_text())
    axes = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], float)
    label["camera"]["pose"] = Pose(np.array([1.0, 2.0, 3.0]), axes, 0.0).as_json()
    path.write_text(json.dumps(label))
    _, out = convert(run, "c3vd")
    line = (out / run.name / "pose.txt").read_text()
    assert line == "0,1,0,0,-1,0,0,0,0,0,1,0,1,2,3,1\n"
    _, out = convert(run, "simcol3d")
    assert (out / "SavedPosition_S1.txt").read_text() == "0.1 -0.2 0.3\n"
    rotation = (out / "SavedRotationQuaternion_S1.txt").read_text()
    assert np.array(rotation.split(), float) == pytest.approx([0, 0, -(0.5**0.5), 0.5**0.5])


@pytest.mark.slow
def test_what_the_simulator_renders_meets_too_if_its_wall_is_still(tmp_path):
    """With peristalsis, the wall moves between frames by more than is asked for here."""
    still = tmp_path / "still.toml"
    still.write_text("[anatomy]\nperistalsis = [0.0, 0.0]\n")
    [run] = job(
        tmp_path / "captures", seed=3, fps=2, from_s=60, max_frames=3, save="depth",
        randomization=str(still),
    ).run_dirs  # fmt: skip
    for format, read in READERS.items():
        _, out = convert(run, format)
        reader = read(out / run.name if format == "c3vd" else out)
        off = apart(reader, reader.frames[0], reader.frames[2])
        moved = reader.frames[2].pose[:3, 3] - reader.frames[0].pose[:3, 3]
        assert np.linalg.norm(moved) > 5
        assert np.median(off) < 0.02
        assert np.mean(off < 0.5) > 0.95
