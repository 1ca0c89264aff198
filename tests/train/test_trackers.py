"""What is the same for all that show a training elsewhere: TensorBoard, W&B, MLflow."""

import sys

import pytest

from endoforge.core.errors import UserError
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from endoforge.train.sinks import build_sinks

TRACKERS = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""The flags, which are the names of the extras, and the module that each needs."""


@pytest.mark.parametrize(("flag", "module"), TRACKERS.items())
def test_without_the_package_one_line_says_what_to_install(
    flag, module, small_config, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    status = tmp_path / "status.json"
    settings = {flag: "shown", "input_root": "nowhere", "status_file": str(status)}
    with pytest.raises(UserError) as caught:
        train(small_config(**settings))
    said = str(caught.value)
    assert said.startswith(f"--{flag} needs what isn't installed (")
    assert said.endswith(f'): pip install "endoforge[{flag}]"')
    assert "\n" not in said
    assert not (tmp_path / "shown").exists()
    assert not status.exists(), "it would say for ever that training runs"


def test_they_are_off_unless_asked_for(monkeypatch):
    for module in TRACKERS.values():
        monkeypatch.setitem(sys.modules, module, None)
    kinds = {type(sink).__name__ for sink in build_sinks(TrainConfig())}
    assert not kinds & {"TensorBoard", "ExperimentSink"}
