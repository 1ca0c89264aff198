"""Print constraints that hold what EndoForge needs to the lower bounds of pyproject.toml.

    python tools/lowest_versions.py [TORCH]

The tools of the extra `dev`, of which nothing is promised, stay at what constraints.txt pins. TORCH
is a version of torch to take in place of its lower bound. `make test-lowest` installs with it.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(torch: str = "") -> None:
    """Print a line a package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    dev = {name_of(one) for one in extras.pop("dev")}
    bounded = [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    tools = dev - set(map(name_of, bounded))
    for requirement in bounded:
        print(lowest(requirement, torch if name_of(requirement) == "torch" else ""))
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if name_of(line) in tools:
            print(line)


def name_of(requirement: str) -> str:
    """The package of a line such as `numpy>=2.0`; "" of a comment."""
    found = re.match(r"[\w.-]+", requirement)
    return found[0].lower() if found else ""


def lowest(requirement: str, instead: str) -> str:
    """`numpy>=2.0,<3` as `numpy==2.0`, or as the version `instead`."""
    [bound] = re.findall(r">=([\w.]+)", requirement)
    return f"{name_of(requirement)}=={instead or bound}"


if __name__ == "__main__":
    main(*sys.argv[1:])
