from pathlib import Path

import pytest
import torch
from torch import nn

from endoforge.detect.tinydet import TinyDet, TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights


@pytest.fixture(scope="session")
def lively_model() -> TinyDet:
    """A TinyDet whose norms have seen something, and which finds a lot in noise."""
    model = build_tinydet(TinyDetConfig(), seed=3).eval()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
    output = model.head[-1]
    output.weight.data.mul_(40)
    output.bias.data[0] = 0
    return model


@pytest.fixture(scope="session")
def lively(lively_model, tmp_path_factory) -> Path:
    """Its checkpoint, for letterboxed inputs of 96 by 64."""
    path = tmp_path_factory.mktemp("lively") / "tinydet.safetensors"
    metadata = WeightsMetadata(
        model=lively_model.config, input_size=(96, 64), resize_mode="letterbox"
    )
    save_weights(path, lively_model.state_dict(), metadata)
    return path
