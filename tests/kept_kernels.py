"""The renderer's kernels and textures, made once for the sources as they are, and kept."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from endoforge.sim import engine

COMPILING = """
import sys
from endoforge import cli

for place, saved in enumerate((["--save", "instance,depth,normals,pose"], [])):
    words = ["datagen", "--seed", "3", "--runs", "1", "--max-frames", "1", "--resolution", "96x64"]
    words += ["--renderer", "cpu", "--output-root", f"{sys.argv[1]}/{place}"]
    assert cli.run([*words, *saved]) == 0
"""
"""Records a frame with everything, and one with the picture alone: without normals, another kernel
draws. Of one process, for all other kernels are the same."""

KEPT_BY_PYTEST = Path(__file__).parents[1] / ".pytest_cache/d/kernels"
"""What its cache calls `kernels`."""
PLACE = "quadrants"
"""Where they lie in a folder of caches."""


def bring_kernels(kept: Path, cache: Path, *, compiles: bool) -> None:
    """Copy the kernels of these sources from the folder `kept` to the folder of caches `cache`.

    The textures that lie beside them come too. What `kept` lacks is put there first, if `compiles`;
    else there are none.
    """
    if compiles:
        keep_kernels(kept)
    with FileLock(kept / "lock"):
        if (there := kept / _name()).exists():
            shutil.copytree(there, cache, dirs_exist_ok=True)


def keep_kernels(kept: Path) -> None:
    """Compile the kernels of these sources into `kept` if they aren't there; those of others go.

    It takes a core most of a minute.
    """
    with FileLock(kept / "lock"):
        if (kept / _name()).exists():
            return
        for older in kept.glob("*-*"):
            shutil.rmtree(older)
        _compile(kept / "unfinished")
        (kept / "unfinished").rename(kept / _name())


def _name() -> str:
    return f"{engine.fingerprint(Path(engine.__file__).parent)}-{version('quadrants')}"


def _compile(folder: Path) -> None:
    """Compile all kernels into `folder`; a process keeps those that it compiles when it ends."""
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-c", COMPILING, str(folder / "runs")],
        env=os.environ | {"XDG_CACHE_HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    shutil.rmtree(folder / "runs")


if __name__ == "__main__":
    keep_kernels(KEPT_BY_PYTEST)
