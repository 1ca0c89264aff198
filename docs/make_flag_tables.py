"""Renew the tables of flags in the documents from the configuration classes: `make flags`."""

import ast
import inspect
import sys
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from endoforge.evaluate.config import EvalConfig
from endoforge.train.config import TrainConfig, TrainHpConfig
from endoforge.view.config import SimViewConfig

PAGES = [Path(__file__).with_name(name) for name in ("training.md", "sim-view.md")]


def explanations(config: type[Any]) -> dict[str, str]:
    """The docstring below each field of a configuration class."""
    [body] = [
        node.body
        for node in ast.parse(inspect.getsource(sys.modules[config.__module__])).body
        if isinstance(node, ast.ClassDef) and node.name == config.__name__
    ]
    found = {}
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            found[node.target.id] = " ".join(str(following.value.value).split())
    return found


def shown(value: Any) -> str:
    """A default as one would type it."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def table(config: type[Any], other: type[Any] | None = None) -> str:
    """A row a flag; a default of `other` that differs follows in brackets."""
    plain, second = config(), (other or config)()
    texts = explanations(config)
    rows = ["| flag | default | meaning |", "| --- | --- | --- |"]
    for field in fields(config):
        value, changed = getattr(plain, field.name), getattr(second, field.name)
        default = shown(value) + (f" [{shown(changed)}]" if changed != value else "")
        flag = field.name.replace("_", "-")
        rows.append(f"| `--{flag}` | {default} | {texts[field.name]} |")
    return "\n".join(rows)


def renewed(page: str) -> str:
    """The page with its tables as the classes have them now."""
    tables = {
        "flags-of-train": table(TrainConfig, TrainHpConfig),
        "flags-of-eval": table(EvalConfig),
        "flags-of-sim-view": table(SimViewConfig),
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
