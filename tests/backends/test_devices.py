import os

import pytest
import torch

from endoforge.backends.devices import (
    _see_one_gpu,
    available_devices,
    describe_device,
    pick_device,
)
from endoforge.core.errors import UserError


def test_the_cpu_is_always_there_and_auto_picks_the_first():
    assert "cpu" in available_devices()
    assert pick_device("auto").type == available_devices()[0]
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("threads", "said"), [(1, "cpu, 1 thread"), (2, "cpu, 2 threads")])
def test_a_cpu_is_described_with_its_threads(monkeypatch, threads, said):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert describe_device(torch.device("cpu")) == said


def test_a_device_that_is_not_there_is_named_with_those_that_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"--device cuda: not usable here; there is .*cpu"):
        pick_device("cuda")


@pytest.fixture
def torchrun(monkeypatch):
    """Of several processes: give the number of this one, of GPUs, and of those in sight later."""

    def launched(number, gpus, in_sight):
        monkeypatch.setattr("endoforge.backends.devices.available_devices", lambda: ["cuda", "cpu"])
        monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: in_sight)
        monkeypatch.setenv("LOCAL_RANK", str(number))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # to be put back
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        _see_one_gpu.cache_clear()

    yield launched
    _see_one_gpu.cache_clear()


def test_of_several_processes_each_sees_a_gpu_of_its_own_alone(torchrun):
    torchrun(1, gpus=2, in_sight=1)
    assert pick_device("auto") == torch.device("cuda", 0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert pick_device("cuda") == torch.device("cuda", 0), "asked again"
    assert pick_device("cpu") == torch.device("cpu"), "which all share"


def test_a_process_sees_one_of_the_gpus_that_the_user_shows(torchrun, monkeypatch):
    torchrun(1, gpus=2, in_sight=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert pick_device("auto") == torch.device("cuda", 0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def test_where_gpus_cannot_be_hidden_a_process_takes_its_own(torchrun):
    """As where CUDA was used before, to count them."""
    torchrun(1, gpus=2, in_sight=2)
    assert pick_device("auto") == torch.device("cuda", 1)


def test_more_processes_than_gpus_are_refused(torchrun):
    torchrun(2, gpus=2, in_sight=2)
    with pytest.raises(UserError, match=r"process 3 .* no cuda device .* --nproc-per-node 2$"):
        pick_device("cuda")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
