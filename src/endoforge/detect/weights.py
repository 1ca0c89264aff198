"""Weights in a file that says by itself what they are weights of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor

import endoforge
from endoforge.core.choices import LabelField, ResizeMode
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.parsing import parse_json
from endoforge.core.sizes import MOST_SIDE_PX, parse_size
from endoforge.detect.packaged import check_weights_file, refuse_record
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
        """The text for a file's metadata; `from_json` undoes it."""
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
        """Read what `to_json` wrote; ValueError, KeyError, TypeError or UserError for another."""
        value = parse_json(text)
        if not (isinstance(value, dict) and isinstance(value["model"], dict)):
            raise TypeError("no JSON objects")
        width, height = parse_size(str(value["input_size"]), "input_size")
        if max(width, height) > MOST_SIDE_PX:
            raise ValueError(f"input_size must be at most {MOST_SIDE_PX} pixels each way")
        return cls(
            model=TinyDetConfig.from_json(value["model"]),
            input_size=(width, height),
            resize_mode=_one_of(get_args(ResizeMode), value["resize_mode"]),
            # There is none in files of before there were classes.
            label_field=_one_of(get_args(LabelField), value.get("label_field", "label")),
            version=str(value["version"]),
        )


def _one_of(choices: tuple[Any, ...], value: object) -> Any:
    if value not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}: {value}")
    return value


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
        raise UserError(
            f"{path}: no such checkpoint; `endoforge train` writes one, and packaged names the "
            "weights that come with EndoForge"
        )
    try:
        check_weights_file(path)
        opened: Any = safetensors.safe_open(path, framework="pt")
        with opened as file:
            metadata = _metadata_that_fits(file)
            model = TinyDet(metadata.model)
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"{path}: not a whole safetensors file ({why}); name one that `endoforge train` "
            "wrote, or packaged for the weights that come with EndoForge"
        ) from error
    except (ValueError, KeyError, TypeError, RuntimeError, UserError) as error:
        raise UserError(f"{path}: not weights of this version of EndoForge's TinyDet") from error
    _check_finite(path, model)
    return model.eval(), metadata


def _metadata_that_fits(file: Any) -> WeightsMetadata:
    """What an open file says of its weights, once its tensors are found to be of that model.

    So no net is built that isn't there. Raises ValueError, KeyError, TypeError or UserError.
    """
    metadata = WeightsMetadata.from_json((file.metadata() or {}).get(METADATA_KEY, ""))
    with torch.device("meta"):  # shapes without memory: a file may ask for any net
        wanted = {
            name: list(one.shape) for name, one in TinyDet(metadata.model).state_dict().items()
        }
    if {name: file.get_slice(name).get_shape() for name in file.keys()} != wanted:  # noqa: SIM118
        raise ValueError("tensors of another model")
    return metadata


def _check_finite(path: Path, model: TinyDet) -> None:
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{path}: weights that are no numbers (in {name}), as a training that diverged "
                "leaves them; name other weights"
            )
