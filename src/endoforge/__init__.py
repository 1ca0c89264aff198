"""EndoForge teaches a tiny detector to find polyps, with colonoscopy video that it simulates.

The names of `__all__` are its public face; docs/api.md shows each of them in use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from endoforge.backends.loading import load_detector
    from endoforge.captures.read_runs import LabelledFrame, read_runs
    from endoforge.core.errors import UserError
    from endoforge.datagen.config import DatagenConfig
    from endoforge.datagen.generate import generate as record_runs
    from endoforge.detect.detections import Detections
    from endoforge.detect.heuristic import HeuristicDetector
    from endoforge.detect.neural import NeuralDetector
    from endoforge.evaluate.config import EvalConfig
    from endoforge.report.eval_command import run_eval as evaluate_detector
    from endoforge.sim.randomization import Randomization
    from endoforge.sim.simulator import FrameBatch, Simulator
    from endoforge.sim.streams import run_seed
    from endoforge.train.config import TrainConfig
    from endoforge.train.loop import train as train_detector
    from endoforge.train.reports import EpochReport, Sink, StepReport

__version__ = "0.1.0"

__all__ = [
    "DatagenConfig",
    "Detections",
    "EpochReport",
    "EvalConfig",
    "FrameBatch",
    "HeuristicDetector",
    "LabelledFrame",
    "NeuralDetector",
    "Randomization",
    "Simulator",
    "Sink",
    "StepReport",
    "TrainConfig",
    "UserError",
    "__version__",
    "evaluate_detector",
    "load_detector",
    "read_runs",
    "record_runs",
    "run_seed",
    "train_detector",
]

_HOMES = {
    "DatagenConfig": "datagen.config",
    "Detections": "detect.detections",
    "EpochReport": "train.reports",
    "EvalConfig": "evaluate.config",
    "FrameBatch": "sim.simulator",
    "HeuristicDetector": "detect.heuristic",
    "LabelledFrame": "captures.read_runs",
    "NeuralDetector": "detect.neural",
    "Randomization": "sim.randomization",
    "Simulator": "sim.simulator",
    "Sink": "train.reports",
    "StepReport": "train.reports",
    "TrainConfig": "train.config",
    "UserError": "core.errors",
    "evaluate_detector": "report.eval_command:run_eval",
    "load_detector": "backends.loading",
    "read_runs": "captures.read_runs",
    "record_runs": "datagen.generate:generate",
    "run_seed": "sim.streams",
    "train_detector": "train.loop:train",
}
"""Where each name comes from when it is first used: the imports above, which Python skips."""


if not TYPE_CHECKING:  # checkers must see the imports alone, or no misspelt name would be an error

    def __getattr__(name: str) -> object:
        """Import a public name, and keep it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, _, own_name = _HOMES[name].partition(":")
        value = getattr(import_module(f"{__name__}.{module}"), own_name or name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
