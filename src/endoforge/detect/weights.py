"""Weights in a file that says by itself what they are weights of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

import endoforge
from endoforge.captures.schema import LabelField
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.sizes import parse_size
from endoforge.data.letterbox import ResizeMode
from endoforge.detect.packaged import refuse_record
from endoforge.detect.tinydet import TinyDet, TinyDetConfig

METADATA_KEY = "endoforge"


@dataclass(frozen=True, kw_only=True)
class WeightsMetadata:
    """What the weights are of, and what pictures they were trained on."""

    model: TinyDetConfig
    input_size: tuple[int, int]
    """Width and height of the input in pixels."""
    resize_mode: ResizeMode
    label_field: LabelField = "label"
    """The field of the polyps' labels that names the model's classes."""
    version: str = endoforge.__version__
    """The EndoForge that wrote the file."""

    def to_json(self) -> str:
        width, height = self.input_size
        value = {
            "model": self.model.to_json(),
            "input_size": f"{width}x{height}",
            "resize_mode": self.resize_mode,
            "label_field": self.label_field,
            "version": self.version,
        }
        return json.dumps(value)

    @classmethod
    def from_json(cls, text: str) -> "WeightsMetadata":
        """Raises ValueError, KeyError, TypeError or UserError for a text that isn't ours."""
        value = json.loads(text)
        return cls(
            model=TinyDetConfig.from_json(value["model"]),
            input_size=parse_size(value["input_size"], "input_size"),
            resize_mode=value["resize_mode"],
            label_field=value.get("label_field", "label"),  # files of before there were classes
            version=value["version"],
        )


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: WeightsMetadata) -> None:
    """Write the tensors of a model's state; on return they outlive a power cut."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(plain, {METADATA_KEY: metadata.to_json()})
    write_atomic(path, data, sync=True)


def load_weights(path: Path) -> tuple[TinyDet, WeightsMetadata]:
    """A TinyDet in evaluation mode on the CPU, and what its file says of it.

    Raises UserError for a file that is missing, truncated, or not EndoForge's, and for weights that
    aren't all finite.
    """
    refuse_record(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; `endoforge train` writes one")
    try:
        tensors, text = _read(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({error}); name one that `endoforge train` "
            "wrote, or packaged for the weights that come with EndoForge"
        ) from error
    try:
        metadata = WeightsMetadata.from_json(text)
        model = TinyDet(metadata.model)
        model.load_state_dict(tensors)
    except (ValueError, KeyError, TypeError, RuntimeError, UserError) as error:
        raise UserError(f"{path}: not weights of this version of EndoForge's TinyDet") from error
    _check_finite(path, model)
    return model.eval(), metadata


def _check_finite(path: Path, model: TinyDet) -> None:
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{path}: weights that are no numbers (in {name}), as a training that diverged "
                "leaves them; name other weights"
            )


def _read(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors, and our metadata ("" where there is none)."""
    opened: Any = safetensors.safe_open(path, framework="pt")
    with opened as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return tensors, metadata.get(METADATA_KEY, "")
