"""Two hosts that train together, as network namespaces; one loses its process and gets another."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from endoforge.train.loop import train
from tests.train.processes import epochs_in, finished, flags, wait_for

pytestmark = pytest.mark.slow

EPOCHS = 12
FILES = ["tinydet.safetensors", "tinydet_best.safetensors"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Host:
    """A network namespace with one interface, joined to that of another host."""

    def __init__(self, name: str, address: str, *, is_first: bool) -> None:
        self.name, self.address, self.is_first = name, address, is_first

    @property
    def interface(self) -> str:
        return f"{self.name}-eth"

    def start(self, *command: str) -> subprocess.Popen[str]:
        """torchrun with its `command` on this host, which forgives three deaths."""
        torchrun = [
            sys.executable, "-m", "torch.distributed.run",
            "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3",
            "--rdzv-backend", "c10d", "--rdzv-endpoint", "10.77.0.1:29500",
            # A namespace has no name of its own by which the first host would know itself.
            "--rdzv-conf", f"is_host={self.is_first}", "--local-addr", self.address,
        ]  # fmt: skip
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *torchrun, *command],
            env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": self.interface},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    if shutil.which("ip") is None:
        pytest.skip("no `ip`, which makes network namespaces")
    tag = f"ef{os.getpid()}"
    hosts = (
        Host(f"{tag}a", "10.77.0.1", is_first=True),
        Host(f"{tag}b", "10.77.0.2", is_first=False),
    )
    try:
        try:
            for host in hosts:
                ip("netns", "add", host.name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this user may not make network namespaces: {error.stderr.strip()}")
        ends = [["netns", host.name, "name", host.interface] for host in hosts]
        ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for host in hosts:
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.interface)
            ip("-n", host.name, "link", "set", "lo", "up")
            ip("-n", host.name, "link", "set", host.interface, "up")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.usefixtures("comparable")
def test_a_dead_process_is_replaced_and_the_result_is_the_same(hosts, small_config, tmp_path):
    def config(folder):
        return small_config(
            epochs=EPOCHS,
            batch_size=4,
            ckpt_dir=str(folder),
            metrics_out=str(folder.with_suffix(".jsonl")),
        )

    folder = tmp_path / "together"
    metrics = folder.with_suffix(".jsonl")
    script = str(Path(__file__).parent / "comparable.py")
    first, second = [host.start(script, *flags(config(folder))) for host in hosts]
    try:
        wait_for(lambda: len(epochs_in(metrics)) >= 2, first)
        assert len(epochs_in(metrics)) < EPOCHS, "it isn't over before one is killed"
        os.kill(child_of(second.pid), signal.SIGKILL)
        code, _, errors = finished(first)
        assert code == 0, errors
        assert finished(second)[0] == 0
    finally:
        for process in (first, second):
            process.kill()
    assert errors.count(f"training {EPOCHS} epochs of 3 steps on 2 processes, cpu") == 2
    assert "lost the other processes of this training" in errors
    assert "can't reach" not in errors, "nobody looks for the dead one"
    assert errors.count("going on with the training in") == 1
    assert epochs_in(metrics) == list(range(1, EPOCHS + 1))
    train(config(tmp_path / "alone"))
    for name in FILES:
        ours, theirs = load_file(folder / name), load_file(tmp_path / "alone" / name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert torch.allclose(tensor.float(), theirs[key].float(), rtol=1e-3, atol=1e-3), key
