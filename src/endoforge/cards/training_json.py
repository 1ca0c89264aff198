"""What the train.json beside weights says of the training that made them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoforge.cards.markdown import UNKNOWN, code, plain
from endoforge.cards.reported_scores import ReportedScores, ValidationLine
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import counted

MOST_FACTS = 100
_WRITTEN = re.compile(r"tinydet(_best)?(\.kept-\d+)?\.safetensors")
"""The names that a training gives its weights; others may be of any training."""
_DIGEST_OF_START = "the weights of --demo-checkpoint"
_SHOWN_ELSEWHERE = ("the model", _DIGEST_OF_START, "--target-size", "--resize-mode", "--label")


class _Config(BaseModel):
    model_config = ConfigDict(strict=True)

    input_root: str
    simulate: bool
    randomization: str | None
    epochs: int
    steps: int | None
    lr_start: float
    lr_end: float
    scheduler: str
    patience: int
    demo_checkpoint: str | None


class _State(BaseModel):
    model_config = ConfigDict(strict=True)

    epoch: int
    step: int
    best_epoch: int | None
    best_validation: ValidationLine | None


class _TrainingJson(BaseModel):
    model_config = ConfigDict(strict=True)

    version: str
    config: _Config
    model: dict[str, Any]
    facts: dict[str, str] = Field(max_length=MOST_FACTS)
    state: _State


@dataclass(frozen=True)
class TrainingTold:
    """The training of weights, as rows of a table in Markdown, and its validation of them."""

    rows: list[tuple[str, str]]
    scores: list[ReportedScores]


def training_of(weights: Path, model: dict[str, object]) -> TrainingTold | str:
    """What the train.json beside `weights`, which are of `model`, says; if nothing, why not."""
    named = _WRITTEN.fullmatch(weights.name)
    if named is None:
        return "the file has another name than `train` gives"
    path = weights.with_name(f"train{named[2] or ''}.json")
    try:
        told = _TrainingJson.model_validate_json(read_regular(path, MOST_LABEL_BYTES))
    except OSError as error:
        return f"{plain(path.name)} beside it: {error.strerror or error}"
    except ValidationError:
        return f"{plain(path.name)} beside it isn't as this version of `train` writes it"
    if told.model != model:
        return f"{plain(path.name)} beside it is of another model"
    if not named[1]:
        return TrainingTold(_rows(told, _latest(told)), [])
    return TrainingTold(_rows(told, _best(told.state)), _scores_of_best(told.state))


def _rows(told: _TrainingJson, which: str) -> list[tuple[str, str]]:
    config = told.config
    return [
        ("EndoForge", plain(told.version)),
        ("learned from", _learned_from(config)),
        ("began with", _began_with(told)),
        ("these weights", which),
        ("learning rate", f"{config.lr_start:g} to {config.lr_end:g}, {plain(config.scheduler)}"),
        *(
            (plain(name.removeprefix("--")), code(value))
            for name, value in told.facts.items()
            if name not in _SHOWN_ELSEWHERE
        ),
    ]


def _best(state: _State) -> str:
    epoch = UNKNOWN if state.best_epoch is None else str(state.best_epoch + 1)
    return f"the best, of epoch {epoch}"


def _latest(told: _TrainingJson) -> str:
    steps = f" and {counted(told.state.step, 'step')}" if told.state.step else ""
    latest = (
        f"the latest, of {counted(told.state.epoch, 'epoch')}{steps} out of {told.config.epochs}"
    )
    # Where patience ends a training, it writes the best ones in their place.
    return f"{latest}, or {_best(told.state)}" if told.config.patience else latest


def _learned_from(config: _Config) -> str:
    if not config.simulate:
        # The folder's name alone: where it lies is the user's own business.
        return f"frames of the folder {code(Path(config.input_root).name)}"
    ranges = config.randomization
    named = "the default ranges" if ranges is None else f"the ranges {code(Path(ranges).name)}"
    return f"frames simulated as it went, drawn from {named}"


def _began_with(told: _TrainingJson) -> str:
    start = told.config.demo_checkpoint
    if start is None:
        return "nothing: weights drawn by chance"
    digest = told.facts.get(_DIGEST_OF_START, UNKNOWN)
    return f"{code(Path(start).name)}, whose SHA-256 begins with {code(digest)}"


def _scores_of_best(state: _State) -> list[ReportedScores]:
    if state.best_validation is None:
        return []
    return [
        state.best_validation.scores(
            "frames held out of its training, by which these weights were chosen"
        )
    ]
