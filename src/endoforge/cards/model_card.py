"""The text of a model card, of what is known of the weights and no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from endoforge import __version__
from endoforge.cards.markdown import UNKNOWN, code, plain, table
from endoforge.cards.reported_scores import ReportedScores, found_table, score_table
from endoforge.cards.training_json import TrainingTold, training_of
from endoforge.core.text import counted
from endoforge.detect.packaged import (
    Provenance,
    packaged_weights,
    provenance_of,
    weights_digest,
)
from endoforge.detect.weights import WeightsMetadata, load_weights

PURPOSE = """\
For research and teaching: to find polyps in pictures and videos of colonoscopy, to compare
detectors, to suggest labels that a person then checks, and to begin trainings with.

**No medical use.** EndoForge is a research tool and no medical device. A detection is no finding,
and that nothing is detected says nothing. These weights are not for deciding on patients, live or
afterwards, nor for screening or diagnosis, nor for capsule endoscopy or any organ but the colon."""
NO_SCORES = """\
Unknown: no measurement was given. `endoforge eval --checkpoint CHECKPOINT --input-root RUNS
--metrics-out FILE` measures, and `endoforge card CHECKPOINT --report FILE` puts it here."""
SCORES_MEAN = """\
AP is COCO's, averaged over IoU 0.50 to 0.95. Frames that the weights learned from say nothing of
others; whether these are such frames, the measurement itself doesn't know."""


@dataclass(frozen=True, kw_only=True)
class KnownWeights:
    """All that files say of weights."""

    path: Path
    digest: str
    num_bytes: int
    num_parameters: int
    metadata: WeightsMetadata
    is_packaged: bool
    provenance: Provenance | None
    training: TrainingTold | str
    """What its training says; if nothing, the reason why."""


def known_weights(path: Path) -> KnownWeights:
    """Read what the file of weights, and the train.json beside it, say.

    Raises UserError for a file that `load_weights` can't use.
    """
    model, metadata = load_weights(path)
    return KnownWeights(
        path=path,
        digest=weights_digest(path),
        num_bytes=path.stat().st_size,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        metadata=metadata,
        is_packaged=path == packaged_weights(),
        provenance=provenance_of(path),
        training=training_of(path, metadata.model.to_json()),
    )


def model_card(weights: KnownWeights, scores: Sequence[ReportedScores], notes: str = "") -> str:
    """The card in Markdown; `notes` is Markdown of the user's own."""
    own = weights.training.scores if isinstance(weights.training, TrainingTold) else []
    name = "the weights that come with EndoForge" if weights.is_packaged else weights.path.name
    parts = [
        f"# Model card: {plain(name)}",
        f"Written by `endoforge card` of EndoForge {__version__} from what the weights' file and "
        "measurements of it say. What none of them says is unknown.",
        "## What it is",
        table(("", ""), _identity(weights)),
        "## What it is for, and what not",
        PURPOSE,
        "## How it was made",
        _making(weights),
        "## How good it is, and where it fails",
        *_quality([*own, *scores]),
        "## Licence",
        _licence(weights),
    ]
    if notes.strip():
        parts += ["## Notes", notes.strip()]
    return "\n\n".join(parts) + "\n"


def _identity(weights: KnownWeights) -> list[tuple[str, str]]:
    metadata, (width, height) = weights.metadata, weights.metadata.input_size
    model = metadata.model
    return [
        ("file", f"{code(weights.path.name)}, {counted(weights.num_bytes, 'byte')}, safetensors"),
        ("SHA-256", code(weights.digest)),
        (
            "net",
            f"{plain(model.name)}, anchor-free, {counted(weights.num_parameters, 'parameter')}",
        ),
        ("finds", ", ".join(map(plain, model.classes))),
        ("names its classes by", f"the field {code(metadata.label_field)} of labels"),
        ("input", f"{width}x{height} pixels RGB, {metadata.resize_mode}"),
        ("output", "boxes with a score of 0 to 1 and a class each"),
        ("written by", f"EndoForge {plain(metadata.version)}"),
    ]


def _making(weights: KnownWeights) -> str:
    if (made := weights.provenance) is not None:
        rows = [
            ("command", code(made.command)),
            ("seed", str(made.seed)),
            ("EndoForge's commit", code(made.commit)),
            ("note", plain(made.note) or UNKNOWN),
        ]
        return table(("", ""), rows)
    if isinstance(weights.training, TrainingTold):
        return table(("", ""), weights.training.rows)
    return f"Unknown: the file doesn't say it, and {weights.training}."


def _quality(scores: Sequence[ReportedScores]) -> list[str]:
    if not scores:
        return [NO_SCORES]
    found = found_table(scores)
    by_size = ["At a score of 0.3, by the share of the picture that a box takes:", found]
    return [score_table(scores), SCORES_MEAN, *(by_size if found else [])]


def _licence(weights: KnownWeights) -> str:
    if weights.is_packaged:
        return "Apache-2.0, as all of EndoForge."
    return "Unknown: no file says it. The rights in what it learned from may decide on it."
