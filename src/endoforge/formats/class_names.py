"""Files that give YOLO's numbers their names."""

from pathlib import Path
from typing import Any

import yaml

from endoforge.core.errors import UserError
from endoforge.core.text import decode_text

Names = dict[int, str]

_NULLS = ("", "~", "null", "Null", "NULL")
_FILE_SUFFIXES = (".txt", ".names", ".yaml", ".yml")


def shown(names: Names) -> str:
    """For people: `0 polyp, 1 tool`."""
    return ", ".join(f"{number} {name}" for number, name in names.items()) or "none"


def read_names(path: Path) -> Names:
    """Class names by number: `names` of a YAML file, a list or numbers with names; or a line each.

    Raises UserError for a file that has none, and if its `nc` says another number of them.
    """
    try:
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} line {line}: neither UTF-8 nor UTF-16; save it in one of these encodings"
        ) from error
    if path.suffix.lower() in (".yaml", ".yml"):
        return _of_yaml(path, text)
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UserError(f"{path}: is empty; name the classes, one a line, or their file by --names")
    return dict(enumerate(lines))


def _of_yaml(path: Path, text: str) -> Names:
    try:
        # Names are texts: `no`, `007` and `1e3` stay as they are written.
        content: Any = yaml.load(text, Loader=yaml.BaseLoader)
        _refuse_twice(yaml.compose(text, Loader=yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise UserError(f"{path}{_fault(error)}; mend it") from error
    if not isinstance(content, dict) or "names" not in content:
        raise UserError(f"{path}: no names of classes in it; name their file by --names")
    if _given(content.get("kpt_shape")):
        raise UserError(f"{path}: labels of key points aren't read; export boxes or polygons")
    names = _named(path, content["names"])
    count = content.get("nc")
    if _given(count) and str(count).strip() != str(len(names)):
        raise UserError(f"{path}: nc is {count}, but there are {len(names)} names; mend it")
    return names


def _refuse_twice(root: Any) -> None:
    """Raises YAMLError for a key that is there twice, of which YAML's readers take the last one."""
    values = [value for _, value in root.value] if isinstance(root, yaml.MappingNode) else []
    for node in (one for one in (root, *values) if isinstance(one, yaml.MappingNode)):
        seen: set[Any] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                what = f"{key.value} is there twice"
                raise yaml.MarkedYAMLError(problem=what, problem_mark=key.start_mark)
            seen.add(key.value)


def _given(value: Any) -> bool:
    return value is not None and value not in _NULLS


def _named(path: Path, names: Any) -> Names:
    """By number, of a list, of numbers with names, or of one name."""
    if not _given(names) or not names:
        raise UserError(f"{path}: names is empty; name the classes there, or their file by --names")
    if isinstance(names, str):
        if names.lower().endswith(_FILE_SUFFIXES):
            raise UserError(f"{path}: names is {names}, a file; name that file by --names")
        if names.isdecimal() or "," in names:
            raise UserError(f"{path}: no names of classes in it, names is {names}; write a list")
        names = [names]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    found: Names = {}
    for number, name in pairs:
        if not isinstance(name, str) or not str(number).strip().isdecimal():
            raise UserError(f"{path}: names has {number}: {name}, no name of a class; mend it")
        if int(number) in found:
            raise UserError(f"{path}: names has two of number {int(number)}; mend it")
        found[int(number)] = name.strip() if _given(name) else ""
    return found


def _fault(error: yaml.YAMLError) -> str:
    """Where and why, in a line."""
    mark = getattr(error, "problem_mark", None)
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be read"
    return f"{f' line {mark.line + 1}' if mark else ''}: not YAML ({why})"
