"""Wishes for an adapter, and what is said where they can't be met."""

import logging
import os
import platform
import subprocess
import sys
from importlib import util

import pytest

from endoforge.backends.webgpu import adapters
from endoforge.backends.webgpu.adapters import Adapter, choose, list_adapters, load_dawn
from endoforge.backends.wish import AdapterWish, with_environment
from endoforge.core.errors import UserError
from endoforge.devices_command import DevicesConfig, device_lines
from endoforge.evaluate.config import EvalConfig
from endoforge.inference.config import DetectConfig
from endoforge.train.config import TrainConfig
from endoforge.view.config import SimViewConfig

BIG = Adapter("Radeon RX 7900 XTX", "amd", "vulkan", "discrete GPU", None)
BIG_DX = Adapter("Radeon RX 7900 XTX", "amd", "dx12", "discrete GPU", None)
SMALL = Adapter("Iris Xe", "intel", "vulkan", "integrated GPU", None)
SOFT = Adapter("llvmpipe", "mesa", "vulkan", "software", None)
ALL = [BIG, BIG_DX, SMALL, SOFT]


@pytest.mark.parametrize(
    ("words", "picked"),
    [
        (None, BIG),
        ("", BIG),
        ("high-performance", BIG),
        ("low-power", SMALL),
        ("dx12", BIG_DX),
        ("DX12, radeon", BIG_DX),
        ("intel", SMALL),
        ("xe,vulkan", SMALL),
        ("LLVMpipe", SOFT),
        ("low-power,amd", BIG),
    ],
)
def test_words_choose(words, picked):
    assert choose(AdapterWish.parse(words), ALL) is picked


@pytest.mark.parametrize("words", ["metal", "nvidia", "dx12,intel"])
def test_a_wish_that_is_not_met_is_an_error_that_lists_what_there_is(words):
    with pytest.raises(UserError, match="no such adapter") as caught:
        choose(AdapterWish.parse(words), ALL)
    message = str(caught.value)
    assert f"--adapter {words}" in message
    assert "Radeon RX 7900 XTX (amd, dx12, discrete GPU)" in message
    assert "llvmpipe (mesa, vulkan, software)" in message
    assert "\n" not in message


def test_without_any_adapter_the_mend_is_named():
    with pytest.raises(UserError, match=r"install a driver.*mesa-vulkan-drivers"):
        choose(AdapterWish(), [])


@pytest.mark.parametrize("words", ["vulkan,metal", "low-power,high-performance", "iris,radeon"])
def test_two_words_of_a_kind_are_refused(words):
    with pytest.raises(UserError, match="give one of the two"):
        TrainConfig(backend="webgpu", adapter=words)


def detect_config(**flags):
    return DetectConfig(paths=("frames",), **flags)


@pytest.mark.parametrize("command", [TrainConfig, EvalConfig, SimViewConfig, detect_config])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"backend": "jax"}, "--backend jax: must be one of torch, webgpu"),
        ({"adapter": "vulkan"}, "--adapter vulkan needs --backend webgpu"),
        ({"backend": "webgpu", "device": "cuda"}, "--device cuda is torch's"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(command, flags, message):
    with pytest.raises(UserError, match=message):
        command(**flags)


@pytest.mark.parametrize("command", [EvalConfig, detect_config])
def test_the_heuristic_detector_needs_no_adapter(command):
    with pytest.raises(UserError, match="--backend webgpu: --detector heuristic computes on"):
        command(detector="heuristic", backend="webgpu")


@pytest.mark.parametrize(
    ("flag", "environment", "words"),
    [
        (None, {}, None),
        (None, {"WGPU_BACKEND": "Vulkan"}, "vulkan"),
        (None, {"WGPU_POWER_PREF": "low-power", "WGPU_ADAPTER_NAME": "Iris"}, "low-power,Iris"),
        ("metal", {"WGPU_BACKEND": "vulkan", "WGPU_ADAPTER_NAME": "M2"}, "metal,M2"),
        ("m3", {"WGPU_ADAPTER_NAME": "M2", "WGPU_BACKEND": "metal"}, "metal,m3"),
        ("vulkan", {"WGPU_BACKEND": ""}, "vulkan"),
    ],
)
def test_flags_come_before_the_environment(flag, environment, words):
    config = TrainConfig(backend="webgpu", adapter=flag)
    assert with_environment(config, environment).adapter == words


def test_the_environment_is_of_no_interest_to_torch():
    assert with_environment(TrainConfig(), {"WGPU_BACKEND": "nonsense"}).adapter is None
    assert with_environment(7, {"WGPU_BACKEND": "nonsense"}) == 7


@pytest.mark.parametrize("variable", ["WGPU_BACKEND", "WGPU_POWER_PREF"])
def test_a_variable_that_makes_no_sense_is_named(variable):
    with pytest.raises(UserError, match=f"{variable}=nonsense: must be one of"):
        with_environment(DevicesConfig(), {variable: "nonsense"})


@pytest.mark.parametrize("absent", ["tinygrad", "pydawn"])
def test_without_the_extra_the_mend_is_named(monkeypatch, absent):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == absent else find(name))
    with pytest.raises(UserError, match=rf'\({absent}\): pip install "endoforge\[webgpu\]"'):
        load_dawn()
    [*_, line] = device_lines(DevicesConfig())
    assert "not here" in line
    assert "endoforge[webgpu]" in line


@pytest.mark.usefixtures("webgpu")
def test_a_system_without_a_library_is_named(monkeypatch):
    monkeypatch.delenv("WEBGPU_PATH")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(UserError, match=r"no library for .* riscv64.*WEBGPU_PATH"):
        load_dawn()


@pytest.mark.usefixtures("webgpu")
def test_what_is_there_is_listed_and_told(caplog):
    found = list_adapters()
    assert found
    assert "Null" not in "".join(map(str, found))
    lines = device_lines(DevicesConfig())
    assert lines[-len(found) :][0] == f"* {found[0]}"
    with caplog.at_level(logging.INFO):
        adapters.pick_adapter(None)
    assert f"WebGPU adapter: {found[0]}" in caplog.text
    assert ("software" in caplog.text) == found[0].is_software


@pytest.mark.usefixtures("webgpu")
def test_a_wish_of_devices_that_is_not_met_is_an_error():
    with pytest.raises(UserError, match="no such adapter; there is "):
        device_lines(DevicesConfig(adapter="no such name"))


def test_software_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(adapters, "list_adapters", lambda: [SOFT])
    adapters.pick_adapter(None)
    assert [record.levelname for record in caplog.records if "software:" in record.message] == [
        "WARNING"
    ]
    monkeypatch.setattr(adapters, "list_adapters", lambda: ALL)
    caplog.clear()
    adapters.pick_adapter(None)
    assert "software:" not in caplog.text


@pytest.mark.usefixtures("webgpu")
def test_a_library_that_cannot_be_loaded_is_named(tmp_path):
    path = tmp_path / "libdawn.so"
    path.write_bytes(b"no library")
    done = in_a_process("devices", WEBGPU_PATH=str(path))
    assert done.returncode == 0
    assert f"not here: Dawn's library {path} can't be loaded" in done.stdout


def in_a_process(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "endoforge", *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=600,
        check=False,
    )


@pytest.mark.usefixtures("webgpu")
def test_a_machine_without_a_driver_fails_in_one_line():
    """Dawn would offer its null backend there, which computes nothing."""
    nowhere = {"VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": "/nowhere.json"}
    done = in_a_process("train", "--backend", "webgpu", **nowhere)
    assert done.returncode == 2
    assert "no WebGPU adapter here: install a driver" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
