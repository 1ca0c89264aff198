"""Files of users are read by `core/reading.py` alone: by nothing that waits for a pipe to be
written to, or takes what a device gives."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/endoforge"

ALLOWED = {
    ("report/page.py", "read_text"): "the page's template, a file of ours",
    ("export/web_page.py", "read_text"): "the page's template and scripts, files of ours",
    ("export/web_page.py", "read_bytes"): "ONNX Runtime Web, which comes with the package",
    ("detect/packaged.py", "safe_open"): "after `check_weights_file`, which opens it as regular",
    ("detect/weights.py", "safe_open"): "after `check_weights_file`, which opens it as regular",
    ("train/saved.py", "load"): "of bytes that were read as a regular file",
    ("data/shards.py", "open"): "of a file that was opened as regular",
    ("data/blocks.py", "memmap"): "of the cache's pixels, whose size and time its table tells",
    ("data/decode_pictures.py", "memmap"): "a file without a name that it has just made",
    ("train/loop.py", "open"): "no file: the training's folder",
    ("sim/engine.py", "read_bytes"): "the simulator's own sources",
    ("view/server.py", "open"): "no file: the hub of the viewers",
    ("datagen/ray_worker.py", "read_text"): "a probe of its own, where EndoForge may be missing",
}
READERS = {"read_bytes", "read_text", "fromfile", "memmap", "genfromtxt", "loadtxt", "safe_open"}
READERS |= {"load_file", "imread", "imreadmulti", "VideoCapture", "copyfile", "copy2", "copytree"}
LOADERS = {"np", "numpy", "torch", "pickle"}


def readers_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Calls that read a file by its path: the name of what is called, and the line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            is_reader = called.attr in READERS or (called.attr == "load" and owner in LOADERS)
            if owner == "os" and called.attr == "open":
                is_reader = True
            elif called.attr == "open":
                modes = node.args[owner in ("tarfile", "Image", "io") :][:1]
                is_reader = owner in ("tarfile", "Image") or not _is_for_writing(modes)
            if is_reader:
                yield called.attr, node.lineno
        elif isinstance(called, ast.Name):
            if called.id == "open" and not _is_for_writing(node.args[1:2]):
                yield "open", node.lineno
            if called.id in ("FileIO", "safe_open", "load_file"):
                yield called.id, node.lineno


def _is_for_writing(modes: list[ast.expr]) -> bool:
    """Whether a mode is given that doesn't read; of another thing than a text, it is no mode."""
    if not modes:
        return False
    mode = modes[0]
    return not isinstance(mode, ast.Constant) or not str(mode.value).startswith("r")


def test_files_are_read_as_regular_ones() -> None:
    found: dict[tuple[str, str], list[int]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith("core/"):
            continue
        for reader, line in readers_in(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault((name, reader), []).append(line)
    others = {place: lines for place, lines in found.items() if place not in ALLOWED}
    assert not others, "use core/reading.py, or say here why not"
    assert not ALLOWED.keys() - found.keys(), "allowed, but not there any more"


def test_the_walk_finds_what_it_looks_for() -> None:
    text = """
path.read_bytes()
with path.open() as file: pass
with path.open("rb") as file: pass
open(path)
np.fromfile(path)
torch.load(path)
Image.open(path)
path.open("xb")
open(path, "w")
root.open(origin)
"""
    assert sorted(line for _, line in readers_in(ast.parse(text))) == [2, 3, 4, 5, 6, 7, 8]
