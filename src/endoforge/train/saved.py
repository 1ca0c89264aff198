"""State files, which anybody may have made: what they hold is checked, then used."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from endoforge.backends.arrays import to_arrays
from endoforge.backends.recipe import moments_of
from endoforge.core.errors import UserError
from endoforge.core.reading import MEGABYTE, read_regular
from endoforge.detect.tinydet import TinyDet, TinyDetConfig, hidden_kernels
from endoforge.train.state import TrainState

STATE_FORMAT = 3
MOST_STATE_BYTES = 500 * MEGABYTE
MOST_LEVELS = 5
"""Lists and dictionaries of a state may lie in each other so deep."""

Facts = dict[str, str]
"""What must be the same for a training to resume, by the name that people know it by."""


class Spoilt(UserError):
    """A state file that can't be used: truncated, damaged, or another program's."""


@dataclass(frozen=True)
class Saved:
    """What a state file holds: where the training stood, all of the backend, and the settings."""

    state: TrainState
    backend: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """The file's content; of the backend's part nothing is known yet."""

    path: Path
    facts: Facts
    config: dict[str, Any]
    state: TrainState
    backend: Any

    def of(self, model: TinyDetConfig, *, muon: bool) -> Saved:
        """The content with the backend's part, which must be of `model` and of a training with
        `muon` or without; raises Spoilt if not."""
        if not _fits(self.backend, _layout(model, muon)):
            raise _spoilt(self.path)
        return Saved(self.state, to_arrays(self.backend), self.config)


def read_stored(path: Path) -> Stored:
    """Read a state file, and check all but the backend's part.

    Raises Spoilt for a file that is no whole state of this version, or no regular file.
    """
    try:
        data = read_regular(path, MOST_STATE_BYTES)
        _check_archive(data)
        # weights_only: a pickle could run anything, and the file may be from anybody.
        saved = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that aren't ours make the unpickler raise anything
        raise _spoilt(path) from error
    if not isinstance(saved, dict) or saved.get("format") != STATE_FORMAT:
        raise Spoilt(f"{path}: not a training state of this version of EndoForge")
    facts, config = saved.get("facts"), saved.get("config")
    is_told = _is_plain(facts) and _is_plain(config)
    if not (is_told and isinstance(facts, dict) and isinstance(config, dict)):
        raise _spoilt(path)
    if not all(isinstance(fact, str) for fact in facts.values()):
        raise _spoilt(path)
    return Stored(path, facts, config, _state(path, saved.get("state")), saved.get("backend"))


def _spoilt(path: Path) -> Spoilt:
    return Spoilt(f"{path}: truncated, damaged, or not a training state")


def _check_archive(data: bytes) -> None:
    """Raise ValueError for a damaged file, and for one that would be larger unpacked."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        if packed or sum(part.file_size for part in parts) > len(data):
            raise ValueError("not packed as PyTorch does")
        if (damaged := archive.testzip()) is not None:  # torch.load doesn't look
            raise ValueError(f"wrong checksum of {damaged}")


def _state(path: Path, values: Any) -> TrainState:
    kinds = get_type_hints(TrainState)
    if not _is_plain(values) or not isinstance(values, dict) or values.keys() != kinds.keys():
        raise _spoilt(path)
    try:
        for name, value in values.items():
            TypeAdapter(kinds[name]).validate_python(value, strict=True)
    except ValidationError as error:
        raise _spoilt(path) from error
    state = TrainState(**values)
    if min(state.epoch, state.step, state.best_epoch or 0, state.epochs_without_gain) < 0:
        raise _spoilt(path)
    return state


def _is_plain(value: Any, levels: int = MOST_LEVELS) -> bool:
    """Whether JSON can hold `value`, nested no deeper than `levels`."""
    if isinstance(value, dict):
        names_are_texts = all(isinstance(name, str) for name in value)
        return levels > 0 and names_are_texts and _all_plain(value.values(), levels - 1)
    if isinstance(value, list | tuple):
        return levels > 0 and _all_plain(value, levels - 1)
    return value is None or isinstance(value, str | int | float)


def _all_plain(values: Any, levels: int) -> bool:
    return all(_is_plain(value, levels) for value in values)


def _layout(model: TinyDetConfig, muon: bool) -> dict[str, Any]:
    """What every backend's state has, with `muon` or without, as tensors without content."""
    with torch.device("meta"):
        net = TinyDet(model)
        tensors = dict(net.state_dict())
        hidden = hidden_kernels(net) if muon else []
        moments = {
            name: {
                moment: torch.zeros(()) if moment == "step" else one
                for moment in moments_of(name in hidden)
            }
            for name, one in net.named_parameters()
        }
    return {"model": tensors, "averaged": tensors, "optimizer": moments, "num_steps": 0}


def _fits(value: Any, wanted: Any) -> bool:
    """Whether `value` has the names, shapes and kinds of `wanted`, and all the numbers it claims.

    A view of a few numbers may claim to have any number of them.
    """
    if isinstance(wanted, dict):
        has_names = isinstance(value, dict) and value.keys() == wanted.keys()
        return has_names and all(_fits(value[name], one) for name, one in wanted.items())
    if isinstance(wanted, Tensor):
        # Of torch's own type, since a subclass may do anything when it is used; contiguity is left
        # open, for a state may hold weights with channels last.
        return (
            type(value) is Tensor
            and value.layout == torch.strided
            and value.device.type == "cpu"
            and value.shape == wanted.shape
            and value.dtype == wanted.dtype
            and value.nbytes <= value.untyped_storage().nbytes()
        )
    return type(value) is int and value >= 0
