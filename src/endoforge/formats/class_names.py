"""Files that give YOLO's numbers their names."""

from pathlib import Path
from typing import Any

from endoforge.captures.schema import MOST_NAME_LENGTH, is_class_name
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_NAMES_BYTES, read_regular
from endoforge.core.text import decode_text, printable
from endoforge.formats.yaml_texts import parse_yaml

Names = dict[int, str]

MOST_NUMBER_DIGITS = 9
_NULLS = ("", "~", "null", "Null", "NULL")
_FILE_SUFFIXES = (".txt", ".names", ".yaml", ".yml")


def shown(names: Names) -> str:
    """Write classes for people: `0 polyp, 1 tool`."""
    return ", ".join(f"{number} {name}" for number, name in names.items()) or "none"


def read_names(path: Path) -> Names:
    """Class names by number: `names` of a YAML file, a list or numbers with names; or a line each.

    Raises UserError for a file that has none, and if its `nc` says another number of them.
    """
    try:
        text = decode_text(read_regular(path, MOST_NAMES_BYTES))
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
    return {number: _usable(path, number, line) for number, line in enumerate(lines)}


def _of_yaml(path: Path, text: str) -> Names:
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path}: {error}; fix it") from error
    if not isinstance(content, dict) or "names" not in content:
        raise UserError(f"{path}: no names of classes in it; name their file by --names")
    if _given(content.get("kpt_shape")):
        raise UserError(f"{path}: labels of key points aren't read; export boxes or polygons")
    names = _named(path, content["names"])
    count = content.get("nc")
    if _given(count) and str(count).strip() != str(len(names)):
        raise UserError(f"{path}: nc is {count}, but there are {len(names)} names; fix it")
    return names


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
        digits = str(number).strip()
        if not isinstance(name, str) or not digits.isdecimal() or len(digits) > MOST_NUMBER_DIGITS:
            raise UserError(f"{path}: names has {number}: {name}, no name of a class; fix it")
        if int(digits) in found:
            raise UserError(f"{path}: names has two of number {int(digits)}; fix it")
        found[int(digits)] = _usable(path, int(digits), name.strip()) if _given(name) else ""
    return found


def _usable(path: Path, number: int, name: str) -> str:
    if not is_class_name(name):
        raise UserError(
            f"{path}: the name of class {number} ({printable(name[:20])}) holds what no name can, "
            f"or more than {MOST_NAME_LENGTH} characters; fix it"
        )
    return name
