"""`datagen --ray`: the same bytes, whatever dies, and one line for what can't be."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from endoforge import __version__, cli
from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.destination import Destination
from endoforge.datagen.generate import generate
from endoforge.datagen.job import make_job
from endoforge.datagen.job_report import DatagenReport
from endoforge.datagen.on_ray import MOST_TRIES, _Foreman, _renderer, _seats
from endoforge.datagen.ray_cluster import QUIET
from endoforge.datagen.ray_crew import _fault
from endoforge.datagen.ray_worker import BatchMade, RunFailed, RunMade, RunOrder
from endoforge.datagen.resume import EarlierRuns

from .conftest import data_set, job, manifest

FLAGS: dict[str, Any] = {"seed": 4, "max_frames": 16, "save": "instance,pose"}
RUNS = 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """The data set as `datagen` without Ray writes it."""
    root = tmp_path_factory.mktemp("whole")
    job(root, **FLAGS, runs=RUNS)
    return data_set(root)


@pytest.fixture(scope="module", autouse=True)
def _as_others_are() -> Iterator[None]:
    """Kernels are compiled for a number of threads: here for the one of the other tests. Nor do
    workers stand back for these, as Ray has them by nice: they would wait for minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QD_CPU_MAX_NUM_THREADS", str(os.cpu_count()))
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of one node with room for two workers."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        settings = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=settings)
        yield cluster.address
        cluster.shutdown()


class Killer(logging.Handler):
    """Kills the process that makes run 1 once it has frames, once, and any that makes run 2.

    It looks for frames in `root` by itself: by the time that Ray tells of them on a busy machine,
    the run may be complete.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.kills: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("run %d: process"):
            assert isinstance(record.args, tuple)
            index, process, _ = record.args
            assert isinstance(index, int)
            assert isinstance(process, int)
            if index == 2:
                self.kill(2, process)
            if index == 1 and 1 not in self.kills:
                threading.Thread(target=self.kill_once_it_has_frames, args=(1, process)).start()

    def kill_once_it_has_frames(self, index: int, process: int) -> None:
        end = time.monotonic() + 600
        while not any(run_index(label.parents[1]) == index for label in self.labels()):
            assert time.monotonic() < end
            time.sleep(0.002)
        self.kill(index, process)

    def labels(self) -> Iterator[Path]:
        return self.root.glob("run_*/labels/frame_*.json")

    def kill(self, index: int, process: int) -> None:
        self.kills.append(index)
        os.kill(process, signal.SIGKILL)


def run_index(run_dir: Path) -> object:
    return manifest(run_dir)["endoforge"]["run_index"]


@pytest.mark.slow
def test_a_dead_worker_costs_its_run_alone_and_the_bytes_are_those_without_ray(
    address: str,
    tmp_path: Path,
    whole: dict[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # As on a terminal: the bar puts a stdout of its own in place.
    monkeypatch.setattr("endoforge.core.progress.on_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    killer = Killer(tmp_path)
    caplog.set_level("DEBUG", "endoforge.datagen.ray_crew")
    logging.getLogger("endoforge.datagen.ray_crew").addHandler(killer)
    try:
        report = job(tmp_path, **FLAGS, runs=RUNS, ray=address)
    finally:
        logging.getLogger("endoforge.datagen.ray_crew").removeHandler(killer)
    assert sorted(killer.kills) == [1, *[2] * MOST_TRIES]
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert sum("run 1: its worker on" in line for line in warnings) == 1
    assert any("killed or crashed; made again, try 2 of 3" in line for line in warnings)
    assert [(one.run_index, one.tries) for one in report.lost] == [(2, MOST_TRIES)]
    assert "not complete: run 2, tried 3 times: its worker on" in "\n".join(report.lines())
    made = data_set(tmp_path)
    made.pop(2, None)  # of which there may be a folder, with nothing in it
    assert made == {index: whole[index] for index in (0, 1)}
    assert (report.frames, len(report.run_dirs)) == (2 * 16, 2)
    index = index_root(tmp_path)
    assert report.boxes == sum(len(frame.boxes) for frame in index.frames)
    said = capfd.readouterr()
    assert "simulating" in said.err
    assert said.out == ""
    assert not any(word in said.err for word in ("raylet", "worker died", "Worker")), said.err
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("run_")]


def test_runs_that_no_worker_can_make_end_the_command_with_1(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killer = Killer(tmp_path)
    log = logging.getLogger("endoforge.datagen.ray_crew")
    log.addHandler(killer)
    argv = [*command(tmp_path, "--run-range", "2:3", "--log-level", "debug"), "--ray", address]
    try:
        assert cli.run(argv[3:]) == 1
    finally:
        log.removeHandler(killer)
    assert killer.kills == [2] * MOST_TRIES
    said = capsys.readouterr()
    assert "0 runs, 0 frames" in said.out
    last = "endoforge: error: not complete: runs 2; the same command with --seed 4 --resume goes on"
    assert said.err.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("__version__", "9.9.9", r"node .* has EndoForge .*, this is 9.9.9; install the same"),
        ("write_probe", Path.touch, r"node .* doesn't see --output-root .*all nodes share"),
    ],
)
def test_workers_that_cannot_make_the_same_runs_are_left_out_by_name(
    name: str,
    value: object,
    words: str,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver is another one, or its probe holds something else."""
    monkeypatch.setattr(f"endoforge.datagen.ray_crew.{name}", value)
    if name == "write_probe":
        monkeypatch.setattr("endoforge.datagen.on_ray.write_probe", value)
    with pytest.raises(UserError, match=words):
        job(tmp_path, **FLAGS, runs=1, ray=address)
    assert not list(tmp_path.iterdir())


def test_faults_of_a_worker_are_told_with_the_mend() -> None:
    facts = {"node": "n (10.0.0.1)", "version": "", "sees": True, "writes": False}
    fine = facts | {"version": __version__, "python": sys.version.split()[0], "writes": True}
    root = Path("/shared")
    assert _fault(fine, root) is None
    assert "n (10.0.0.1) has Python 3.9.1, this is" in str(_fault(fine | {"python": "3.9.1"}, root))
    assert "has EndoForge none, this is" in str(_fault(fine | {"version": ""}, root))
    assert "isn't allowed to write in --output-root /shared" in str(
        _fault(fine | {"writes": False}, root)
    )


def command(root: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "endoforge", "datagen", "--seed", "4", "--max-frames", "16",
        "--save", "instance,pose", "--resolution", "160x96", "--renderer", "cpu",
        "--output-root", str(root), *more,
    ]  # fmt: skip


def of_ray(folder: Path) -> list[str]:
    """Processes of Rays whose drivers run in `folder`, by their command lines."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (one / "environ").read_bytes()
        except OSError:
            continue
        if f"ENDOFORGE_TEST={folder}".encode() in environment and words:
            found.append(words)
    return found


def left_of_ray(folder: Path, but: str = "nothing") -> list[str]:
    """Processes that are there after a while, without those whose command lines say `but`."""
    end = time.monotonic() + 30
    while left := [words for words in of_ray(folder) if but not in words]:
        if time.monotonic() > end:
            break
        time.sleep(0.1)
    return left


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
def test_interrupted_then_killed_and_resumed_it_is_what_it_would_have_been(
    tmp_path: Path, whole: dict[int, dict[str, Any]]
) -> None:
    pytest.importorskip("ray")
    root = tmp_path / "runs"
    environment = os.environ | {"ENDOFORGE_TEST": str(tmp_path)}
    endings = []
    for number, more in ((signal.SIGINT, ()), (signal.SIGKILL, ("--resume",))):
        argv = command(root, "--runs", str(RUNS), "--ray", "local", "--workers", "2", *more)
        child = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment)
        goal = len(list(root.glob("run_*/labels/*.json"))) + 3
        while child.poll() is None and len(list(root.glob("run_*/labels/*.json"))) < goal:
            time.sleep(0.01)
        assert len(of_ray(tmp_path)) > 3
        child.send_signal(number)
        _, said = child.communicate(timeout=120)
        endings.append((child.returncode, said))
        if number == signal.SIGKILL:  # agents of Ray tell of it for 20 s, to nobody
            assert not left_of_ray(tmp_path, but="Agent")
        else:
            assert not left_of_ray(tmp_path)
            assert not list(root.rglob("*.tmp"))
            labels = len(list(root.glob("run_*/labels/*.json")))
            assert f"unfinished: {root} has {counted(labels, 'whole frame')} of this job" in said
    (interrupted, said), (killed, _) = endings
    assert (interrupted, killed) == (130, -signal.SIGKILL)
    assert said.splitlines()[-1] == "endoforge: interrupted"
    assert "the same command with --seed 4 --resume goes on" in said
    assert cli.run([*command(root, "--runs", str(RUNS))[3:], "--resume"]) == 0
    assert data_set(root) == whole


SILENT = """
import sys
from endoforge import cli
from endoforge.datagen import ray_cluster
ray_cluster.BOUNDED["RAY_py_gcs_connect_timeout_s"] = "1"
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.slow
def test_an_address_where_no_cluster_is_takes_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        argv = [*command(tmp_path)[3:], "--ray", f"127.0.0.1:{port}"]
        done = subprocess.run(
            [sys.executable, "-c", SILENT, *argv], capture_output=True, text=True, check=False
        )
    [line] = done.stderr.splitlines()
    assert f"--ray 127.0.0.1:{port}: no Ray cluster there; give the address of its head" in line
    assert (done.returncode, done.stdout) == (2, "")
    assert cli.run(argv) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"--ray 127.0.0.1:{port}: nothing answers there" in line
    assert not list(tmp_path.iterdir())


def test_without_ray_a_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.run([*command(tmp_path)[3:], "--ray", "local"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "--ray needs what isn't installed (" in line
    assert line.endswith('pip install "endoforge[ray]"')


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"ray": "ray://head:10001"}, r"--ray ray://head:10001: .*with --ray auto"),
        ({"ray": "head"}, "--ray head: expected HOST:PORT, auto or local"),
        (
            {"ray": "auto", "output_root": "s3://lab/runs"},
            "--output-root s3://lab/runs: with --ray, workers",
        ),
        ({"ray": "head:99999"}, "--ray head:99999: expected HOST:PORT"),
        ({"ray": "local", "renderer": "vulkan"}, "--renderer vulkan: .*auto, cpu, cuda, amdgpu"),
        ({"ray": "local", "seed": None, "from_manifest": "run_manifest.json"}, "--from-manifest"),
    ],
)
def test_flags_that_cannot_be_are_named(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        DatagenConfig(**({"seed": 1} | flags))


def test_a_renderer_that_the_cluster_lacks_is_named(address: str, tmp_path: Path) -> None:
    config = DatagenConfig(seed=1, output_root=str(tmp_path), ray=address, renderer="cuda")
    with pytest.raises(UserError, match="--renderer cuda: the Ray cluster has no GPU"):
        generate(config)
    assert not list(tmp_path.iterdir())


class FakeCrew:
    """One worker, who says of each run that he is given what `news` has next."""

    def __init__(self, *news: Sequence[object]) -> None:
        self.told = list(news)
        self.given: list[RunOrder] = []
        self.is_busy = False
        self.stopped = False

    @property
    def has_idle(self) -> bool:
        return not self.is_busy

    def hire(self, num_waiting: int) -> None:
        pass

    def give(self, order: RunOrder) -> None:
        self.given.append(order)
        self.is_busy = True

    def news(self) -> Iterator[tuple[RunOrder, object]]:
        self.is_busy = False
        for one in self.told.pop(0):
            yield self.given[-1], one

    def stop(self) -> dict[int, int]:
        self.stopped = True
        return {}

    def dismiss(self) -> None:
        pass


def overseen(root: Path, crew: FakeCrew, seen: list[tuple[int, int | None]]) -> DatagenReport:
    """What a foreman reports who has runs 0 and 1 made by the crew."""
    job = make_job(DatagenConfig(seed=1, runs=2, output_root=str(root)))
    report = DatagenReport(root, "cpu")

    def advance(count: int = 1, *, total: int | None = None) -> None:
        seen.append((count, total))

    destination = Destination(root, None)
    foreman = _Foreman(job, destination, EarlierRuns(), [0, 1], report, advance)
    foreman.oversee(crew)  # type: ignore[arg-type]
    return report


def made(root: Path, frames: int) -> RunMade:
    report = DatagenReport(root, "cpu", run_dirs=[root / f"run_{frames}"])
    report.frames, report.frames_with_polyps, report.boxes = frames, 1, 2
    return RunMade(report)


def test_errors_of_a_run_are_tried_again_and_the_total_is_foreseen(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    broken = RunFailed("ZeroDivisionError: x", 3, None)
    crew = FakeCrew(
        [BatchMade(2, 10), broken],
        [BatchMade(7, 7), made(tmp_path, 10)],
        [BatchMade(4, 4), made(tmp_path, 4)],
    )
    report = overseen(tmp_path, crew, seen)
    assert [(order.run_index, order.again) for order in crew.given] == [
        (0, False),
        (0, True),
        (1, False),
    ]
    # Run 1 is taken to be as long as run 0, until it is known; run 0 had 3 frames before.
    assert seen == [(2, 20), (7, 20), (4, 14)]
    assert (report.frames, report.boxes, report.lost) == (14, 4, [])


def test_a_full_disk_ends_the_job_in_one_line_however_often_it_was_tried(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/shared/run_1/images/x.png")
    crew = FakeCrew(
        [RunFailed("ZeroDivisionError: x", 0, None)],
        [BatchMade(4, 9), RunFailed(str(full), 5, full)],
    )
    with pytest.raises(
        UserError,
        match=r"^/shared/run_1/images/x.png: no space left on the disk; .* has 5 whole frames .* "
        "--seed 1 --resume goes on",
    ):
        overseen(tmp_path, crew, [])
    assert crew.stopped


def test_what_the_user_must_mend_ends_the_job_at_the_first_try(tmp_path: Path) -> None:
    crew = FakeCrew([RunFailed("UserError: no", 0, UserError("no (on node n)"))])
    with pytest.raises(UserError, match=r"^no \(on node n\)$"):
        overseen(tmp_path, crew, [])
    assert len(crew.given) == 1
    assert crew.stopped


class FakeRay:
    def __init__(self, **resources: float) -> None:
        self.cluster_resources = lambda: resources


@pytest.mark.parametrize(
    ("resources", "wanted", "renderer", "seats"),
    [
        ({"CPU": 6.0}, "auto", "cpu", 6),
        ({"CPU": 6.0, "GPU": 2.0, "accelerator_type:H100": 1.0}, "auto", "cuda", 2),
        (
            {"CPU": 6.0, "GPU": 4.0, "accelerator_type:AMD-Instinct-MI300X": 1.0},
            "auto",
            "amdgpu",
            4,
        ),
        ({"CPU": 6.0, "GPU": 2.0}, "cpu", "cpu", 6),
        ({"CPU": 6.0, "GPU": 2.0}, "cuda", "cuda", 2),
    ],
)
def test_workers_are_as_many_as_what_renders(
    resources: dict[str, float], wanted: Any, renderer: str, seats: int
) -> None:
    ray = FakeRay(**resources)
    assert _renderer(ray, wanted, "auto") == renderer
    assert _seats(ray, renderer) == seats
