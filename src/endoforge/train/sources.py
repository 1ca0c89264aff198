"""Where the frames of a training come from: recorded runs, shards of them, or the simulator."""

from typing import Protocol

import torch

from endoforge.backends.group import Group
from endoforge.data.classes import Classes
from endoforge.data.loader import BatchSource
from endoforge.data.pack import LabelledInputs
from endoforge.roots.fetching import UNUSED_IN_TRAINING, fetch
from endoforge.train.config import TrainConfig
from endoforge.train.recorded import fetch_real, load_recorded
from endoforge.train.saved import Facts
from endoforge.train.simulated import load_simulated
from endoforge.train.streamed import load_streamed
from endoforge.train.survey import shards_in


class TrainingSource(Protocol):
    """Frames to learn from, batch by batch, and a fixed set of frames to validate on."""

    @property
    def class_names(self) -> Classes:
        """What a detector learns from them: the names of the classes, each in its place."""
        ...

    @property
    def val(self) -> LabelledInputs:
        """The frames to validate on; classes beyond those that are learned come last."""
        ...

    @property
    def facts(self) -> Facts:
        """What must be the same for a training to go on, by the name that people know it by."""
        ...

    def batches(self) -> BatchSource:
        """Make the batches to learn from: this process's part of them, for its device.

        Called once, when the model is on the device: what is still free there can hold frames.
        """
        ...


def training_source(config: TrainConfig, device: torch.device, group: Group) -> TrainingSource:
    """The frames that `config` names, found or ready to be rendered, to compute on `device`.

    Tells the user what was found. Raises UserError for frames, sizes and devices that can't be
    used.
    """
    if config.steps is not None:  # which --simulate needs, and nothing else may have
        return load_simulated(config, config.steps, device, group)
    # Before any waits for another: of processes of one machine, one fetches, and all find it.
    fetch_real(config)  # first, since the frames to learn from may take minutes
    root = fetch(config.input_root, "--input-root", without=UNUSED_IN_TRAINING)
    if shards := shards_in(root):
        return load_streamed(config, shards, device, group)
    return load_recorded(config, device, group)
