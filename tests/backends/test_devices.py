import pytest
import torch

from endoforge.backends.devices import available_devices, describe_device, pick_device
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


def test_of_several_processes_each_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("endoforge.backends.devices.available_devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("auto") == torch.device("cuda", 1)
    assert pick_device("cpu") == torch.device("cpu"), "which all share"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match=r"process 3 .* no cuda device .* --nproc-per-node 2$"):
        pick_device("cuda")
