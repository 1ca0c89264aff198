"""The public face: what `endoforge` exports is documented, typed, and imported when it is used."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import endoforge
from endoforge import UserError

NAMES = [name for name in endoforge.__all__ if name != "__version__"]
SHAPE = re.compile(r"\((?:[A-Z]\w*|\d+)(?:, ?(?:[A-Z]\w*|\d+))*,?\) ?(?:u?int|float)?")
DTYPE = re.compile(r"\b(u?int\d+|float\d+)\b")
CONFIGS = [name for name in NAMES if name.endswith("Config")]
BAD_VALUES: dict[str, dict[str, Any]] = {
    "DatagenConfig": {"resolution": "9x9"},
    "TrainConfig": {"epochs": 0},
    "EvalConfig": {"val_iou_thresh": 2},
}
UNITS = {
    "Simulator": ["(width, height) in pixels"],
    "Randomization": ["Units stand in the names", "0..1"],
    "FrameBatch": ["mm along the ray"],
    "LabelledFrame": ["xyxy in 0..1"],
    "Detections": ["xyxy in 0..1"],
    "NeuralDetector": ["0..1"],
    "HeuristicDetector": ["0..1"],
    "load_detector": ["in 0..1"],
}
"""Of the names that take or give numbers with a unit."""
ERRORS = {
    "Randomization": "ValueError",
    "Detections": "ValueError",
    "NeuralDetector": "UserError",
    "HeuristicDetector": "ValueError",
    "Simulator": "UserError",
    "evaluate_detector": "UserError",
    "load_detector": "UserError",
    "read_runs": "UserError",
    "record_runs": "UserError",
    "run_seed": "ValueError",
    "train_detector": "UserError",
}
"""What each may raise; configurations are tried."""
GIVEN = {"EpochReport", "FrameBatch", "LabelledFrame", "Sink", "StepReport", "UserError"}
"""What functions give, or are given; programs make none of them."""


def imported_for_checkers() -> set[str]:
    """The names that the package imports where types are checked."""
    tree = ast.parse(Path(endoforge.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def members(public: Any) -> Iterator[tuple[str, Any]]:
    """A function itself; of a class its initialiser, public methods and properties."""
    if not inspect.isclass(public):
        yield public.__name__, public
        return
    for name, member in vars(public).items():
        inner = member.fget if isinstance(member, property) else member
        if inspect.isfunction(inner) and (name == "__init__" or not name.startswith("_")):
            yield name, inner


def all_docs(public: Any) -> str:
    return "\n".join([inspect.getdoc(public) or "", *(m.__doc__ or "" for _, m in members(public))])


def takes_or_gives_arrays(function: Callable[..., Any]) -> bool:
    hints = function.__annotations__.values()
    return any(re.search(r"ndarray|NDArray|Tensor", str(hint)) for hint in hints)


def test_the_three_lists_are_one():
    assert set(NAMES) == imported_for_checkers() == set(endoforge._HOMES)
    assert endoforge.__all__ == sorted(endoforge.__all__)
    assert set(endoforge.__all__) <= set(dir(endoforge))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'endoforge' has no attribute 'Simulater'"):
        _ = endoforge.Simulater  # type: ignore[attr-defined]


def test_names_are_imported_when_used():
    code = (
        "import sys, endoforge\n"
        "dir(endoforge)\n"
        "heavy = {'torch', 'quadrants', 'numpy', 'cv2', 'pydantic', 'tyro'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "endoforge.UserError, endoforge.TrainConfig\n"
        "assert not {'torch', 'quadrants'} & set(sys.modules)\n"
        "import endoforge.train.loop, endoforge.datagen.generate\n"
        "assert callable(endoforge.train_detector) and callable(endoforge.record_runs)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_name_and_what_is_public_of_it_have_docstrings(name):
    public = getattr(endoforge, name)
    assert (inspect.getdoc(public) or "").endswith((".", '".', "`.")), f"{name} has no sentence"
    for member, function in members(public):
        if member != "__init__" or not is_dataclass(public):
            assert inspect.getdoc(function) or member == "__init__", f"{name}.{member} has none"


@pytest.mark.parametrize("name", NAMES)
def test_arrays_have_shapes_and_types_in_docstrings(name):
    public = getattr(endoforge, name)
    for member, function in members(public):
        if not takes_or_gives_arrays(function):
            continue
        is_made_by_dataclass = member == "__init__" and is_dataclass(public)
        text = inspect.getdoc(public if is_made_by_dataclass else function) or ""
        assert SHAPE.search(text), f"{name}.{member}: no shape"
        assert DTYPE.search(text), f"{name}.{member}: no type of the elements"


def test_what_a_simulator_yields_says_shapes_units_and_types():
    [batch] = get_args(get_type_hints(endoforge.Simulator.__iter__)["return"])
    for word in ("(B, H, W, 3) uint8", "(B, H, W) float32, mm", "(B, H, W) uint8"):
        assert word in " ".join((inspect.getdoc(batch) or "").split())


@pytest.mark.parametrize("name", UNITS)
def test_numbers_have_units(name):
    docs = all_docs(getattr(endoforge, name))
    assert all(unit in docs for unit in UNITS[name])


def test_every_name_says_what_it_raises():
    assert ERRORS.keys() == set(NAMES) - set(CONFIGS) - GIVEN
    for name, error in ERRORS.items():
        assert error in all_docs(getattr(endoforge, name)), f"{name} says nothing of {error}"


def test_configurations_raise_what_the_page_says():
    assert BAD_VALUES.keys() == set(CONFIGS)
    for name, values in BAD_VALUES.items():
        with pytest.raises(UserError):
            getattr(endoforge, name)(**values)
