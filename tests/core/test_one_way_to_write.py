"""Nothing but `core/` writes, renames or removes: what follows no link there does so everywhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import endoforge

PACKAGE = Path(endoforge.__file__).parent

METHODS = {
    "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "makedirs", "rename",
    "renames", "removedirs", "rmtree", "symlink_to", "hardlink_to", "copyfile", "copytree", "copy2",
    "copymode", "copystat", "make_archive", "unpack_archive", "extract", "extractall",
    "NamedTemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile", "mkstemp", "mkdtemp",
    "mktemp", "imwrite", "tofile", "savetxt", "savez", "savez_compressed", "save_file",
    "save_model", "truncate", "chmod", "FileHandler", "SummaryWriter", "open_memmap",
}  # fmt: skip
"""Calls that write or remove by a path, whatever they are called on."""

FUNCTIONS = {
    "os": {"link", "symlink", "remove", "replace", "mkfifo", "mknod", "chown"},
    "shutil": {"copy", "move"},
    "np": {"save"},
    "numpy": {"save"},
}
"""And those whose names are common ones."""

OPENERS = {"open", "fdopen", "TarFile", "ZipFile", "GzipFile", "BZ2File", "LZMAFile", "FileIO"}
MODE = re.compile(r"[rwaxbtU+|:*gzx2]{1,5}")
WRITING = re.compile(r"[wax+]")
WRITING_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"}


def writes_in(source: str) -> list[str]:
    """The calls in a module that write, rename or remove by a path."""
    return [ast.unparse(call) for call in _calls(ast.parse(source)) if _writes(call, source)]


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _writes(call: ast.Call, source: str) -> bool:
    owner, name = _named(call.func)
    if name in METHODS or name in FUNCTIONS.get(owner, set()):
        return not (name == "truncate" and (not call.args or _is_open_file(call.args[0])))
    if name == "touch":  # a kernel has a function of this name
        return isinstance(call.func, ast.Attribute)
    if name == "replace":  # of a path: that of text takes two, that of a data class names
        return len(call.args) == 1 and not call.keywords
    if name == "VideoWriter":
        return not _is_of_new_file(call)
    if (owner, name) == ("av", "open"):
        return _mode(call) not in (None, "r") and not _is_a_target(call.args[0])
    if name == "memmap":
        return _mode(call) not in ("r", "c") and not _is_plain_name(call.args[0], "file")
    if ast.unparse(call.func) == "torch.save":
        return not _is_plain_name(call.args[1], "buffer") or "buffer = io.BytesIO()" not in source
    if name in OPENERS and "fileobj" not in {one.arg for one in call.keywords}:
        flags = {_named(node)[1] for arg in call.args for node in ast.walk(arg)}
        mode = _mode(call)
        return bool(flags & WRITING_FLAGS or (mode is not None and WRITING.search(mode)))
    return False


def _named(node: ast.AST) -> tuple[str, str]:
    """What is called, and on what."""
    if isinstance(node, ast.Name):
        return "", node.id
    if isinstance(node, ast.Attribute):
        return _named(node.value)[1], node.attr
    return "", ""


def _mode(call: ast.Call) -> str | None:
    """The mode of a call that opens; `+` if it isn't spelt out, None if there is none."""
    for keyword in call.keywords:
        if keyword.arg == "mode":
            mode = keyword.value.value if isinstance(keyword.value, ast.Constant) else "+"
            assert mode is None or isinstance(mode, str)
            return mode
    for arg in call.args:
        if (
            isinstance(arg, ast.Constant)
            and isinstance(arg.value, str)
            and MODE.fullmatch(arg.value)
        ):
            return arg.value
        if isinstance(arg, ast.Name | ast.Attribute) and _named(arg)[1] == "mode":
            return "+"
    return None


def _is_plain_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_open_file(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _named(node.func)[1] == "fileno"


def _is_of_new_file(call: ast.Call) -> bool:
    """OpenCV writes by a name: it may be that of a `NewFile`."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "temporary"
        for node in ast.walk(call.args[0])
    )


def _is_a_target(node: ast.AST) -> bool:
    """PyAV writes to objects too: `_Target` is a `NewFile` for it."""
    return isinstance(node, ast.Call) and _named(node.func)[1] == "_Target"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE / "core"],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_only_core_writes(path: Path) -> None:
    assert writes_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "open(path, mode)",
        "path.open('xb')",
        "path.open('r+b')",
        "path.open(mode='w')",
        "io.open(path, 'w')",
        "FileIO(path, 'w')",
        "gzip.open(path, 'wb')",
        "os.open(path, os.O_RDWR | os.O_CREAT)",
        "os.fdopen(descriptor, 'w')",
        "tarfile.open(path, 'w')",
        "tarfile.open(path, 'w:gz')",
        "tarfile.TarFile(path, mode='w')",
        "zipfile.ZipFile(path, 'a')",
        "path.write_text(text)",
        "path.write_bytes(data)",
        "path.unlink(missing_ok=True)",
        "path.rmdir()",
        "path.mkdir(parents=True)",
        "path.touch()",
        "path.rename(other)",
        "path.replace(other)",
        "path.symlink_to(other)",
        "os.replace(path, other)",
        "os.remove(path)",
        "os.link(path, other)",
        "os.truncate(path, 0)",
        "shutil.rmtree(path)",
        "rmtree(path)",
        "shutil.copy(path, other)",
        "shutil.copyfile(path, other)",
        "shutil.move(path, other)",
        "cv2.VideoWriter(str(path), code, fps, size)",
        "av.open(str(path), mode='w', format='mp4')",
        "cv2.imwrite(str(path), image)",
        "np.save(path, array)",
        "np.savez(path, array)",
        "np.memmap(path, np.uint8, 'r+')",
        "np.memmap(path)",
        "array.tofile(path)",
        "torch.save(state, path)",
        "safetensors.torch.save_file(tensors, path)",
        "save_file(tensors, path)",
        "tempfile.NamedTemporaryFile()",
        "tempfile.TemporaryDirectory()",
        "tempfile.mkdtemp()",
        "logging.FileHandler(path)",
    ],
)
def test_it_finds(source: str) -> None:
    assert writes_in(f"def made(self):\n    return {source}") == [ast.unparse(ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        "open(path)",
        "path.open('rb')",
        "os.open(path, os.O_RDONLY | os.O_NOFOLLOW)",
        "tarfile.open(shard, 'r:')",
        "tarfile.TarFile(fileobj=file, mode='w')",
        "zipfile.ZipFile(path)",
        "webbrowser.open(address)",
        "text.replace('a', 'b')",
        "replace(config, seed=1)",
        "dataclasses.replace(config, seed=1)",
        "tempfile.TemporaryFile(prefix='a')",
        "np.memmap(path, np.uint8, 'r')",
        "np.memmap(file, mode='r+')",
        "os.truncate(file.fileno(), 0)",
        "cv2.VideoWriter(str(self._new.temporary), code, fps, size)",
        "av.open(_Target(self._new), mode='w', format='mp4')",
        "av.open(file, mode='r')",
        "cv2.VideoWriter.fourcc(*'mp4v')",
        "buffer = io.BytesIO(); torch.save(state, buffer)",
        "shutil.copyfileobj(one, other)",
    ],
)
def test_it_passes(source: str) -> None:
    assert writes_in(source) == []


def test_torch_saves_to_memory_alone() -> None:
    assert writes_in("def save(buffer):\n    torch.save(state, buffer)")
