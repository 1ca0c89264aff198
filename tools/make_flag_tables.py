"""Renew the tables of flags in the documents from the configuration classes: `make flags`."""

from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tyro.conf import Positional

from endoforge.cards.config import CardConfig
from endoforge.evaluate.config import EvalConfig
from endoforge.formats.config import ConvertConfig
from endoforge.help_texts import explanations
from endoforge.hub.config import PullConfig, PushConfig
from endoforge.inference.config import DetectConfig, ImportCommandConfig
from endoforge.select.config import SelectConfig
from endoforge.train.config import TrainConfig, TrainHpConfig
from endoforge.view.config import SimViewConfig

POSITIONAL = get_args(Positional[str])[1]
PAGES = [
    Path(__file__).parents[1] / "docs" / name
    for name in (
        "training.md",
        "sim-view.md",
        "formats.md",
        "inference.md",
        "labelling.md",
        "hub.md",
    )
]


def shown(value: Any) -> str:
    """A default as one would type it."""
    if value is None or value in ("", ()):
        return "—"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def table(config: type[Any], other: type[Any] | None = None) -> str:
    """A row a flag; a default of `other` that differs follows in brackets."""
    others = {field.name: field for field in fields(other or config)}
    texts = explanations(config)
    rows = ["| flag | default | meaning |", "| --- | --- | --- |"]
    for field in fields(config):
        value, changed = field.default, others[field.name].default
        default = shown(value) + (f" [{shown(changed)}]" if changed != value else "")
        rows.append(f"| `{flag(config, field)}` | {default} | {cell(texts[field.name])} |")
    return "\n".join(rows)


def flag(config: type[Any], field: Field[Any]) -> str:
    """As one types it: `--fps`, or what stands for positional words."""
    hint = get_type_hints(config, include_extras=True)[field.name]
    notes = getattr(hint, "__metadata__", ())
    metavars = [one.metavar for one in notes if hasattr(one, "metavar")]
    if metavars and POSITIONAL in notes:
        return cell(metavars[0])
    return f"--{field.name.replace('_', '-')}"


def cell(text: str) -> str:
    """In a table, a bar must not end the cell."""
    return text.replace("|", "\\|")


def renewed(page: str) -> str:
    """The page with its tables as the classes have them now."""
    tables = {
        "flags-of-train": table(TrainConfig, TrainHpConfig),
        "flags-of-eval": table(EvalConfig),
        "flags-of-card": table(CardConfig),
        "flags-of-sim-view": table(SimViewConfig),
        "flags-of-import": table(ImportCommandConfig),
        "flags-of-convert": table(ConvertConfig),
        "flags-of-detect": table(DetectConfig),
        "flags-of-select": table(SelectConfig),
        "flags-of-push": table(PushConfig),
        "flags-of-pull": table(PullConfig),
    }
    for name, text in tables.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, there, rest = page.partition(start)
        if not there:
            continue
        _, _, after = rest.partition(end)
        page = f"{before}{start}\n{text}\n{end}{after}"
    return page


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
