"""What `make test-lowest` installs: each lower bound of pyproject.toml, and the pinned tools."""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def lines(*words: str) -> list[str]:
    tool = [sys.executable, str(ROOT / "tools" / "lowest_versions.py"), *words]
    return subprocess.run(tool, check=True, capture_output=True, text=True).stdout.splitlines()


def promised() -> list[Requirement]:
    """What users may have: all but the tools of the extra `dev`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *(one for name in extras for one in extras[name])]
    return [Requirement(text) for text in texts if text not in extras["dev"]]


def test_every_package_is_held_to_its_lower_bound():
    held = {one.name: next(iter(one.specifier)) for one in map(Requirement, lines())}
    for requirement in promised():
        [bound] = [one.version for one in requirement.specifier if one.operator == ">="]
        assert (held[requirement.name].operator, held[requirement.name].version) == ("==", bound)
    assert "pytest" in held


def test_torch_can_be_another():
    assert "torch==2.13.0" in lines("2.13.0")
    assert len(lines("2.13.0")) == len(lines())


def test_what_is_tested_with_is_within_the_bounds():
    pins = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    for requirement in promised():
        mine = [one for one in pins if one.name.lower() == requirement.name]
        assert mine, f"{requirement.name} isn't pinned"
        for pin in mine:
            [version] = [one.version for one in pin.specifier]
            assert requirement.specifier.contains(version), f"{pin} is out of {requirement}"
