"""What pages of the docs print to type, and the same with less to do."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALLER = {"--runs": "4", "--max-frames": "8", "--epochs": "2", "--run-range": "1:2"}
ADDED = {
    "datagen": {"--max-frames": "8", "--resolution": "96x64", "--renderer": "cpu"},
    "train": {"--target-size": "96x64", "--device": "cpu", "--val-ratio": "0.5"},
}
NOT_HERE = ("make", "source", "torchrun", "pip")
"""What sets up a machine, or takes several GPUs."""


def blocks(page: Path, language: str) -> list[str]:
    """What stands between fences of a language; "" are those that name none."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def commands(page: Path) -> list[str]:
    """The command lines, without their comments."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    typed = [line.partition("  #")[0].strip() for line in lines]
    return [line for line in typed if line.split(" ")[0] in ("endoforge", *NOT_HERE)]


def small(line: str) -> str:
    """The same command with less to do."""
    for flag, value in SMALLER.items():
        line = re.sub(rf"{flag} \S+", f"{flag} {value}", line)
    command = line.split(" ")[1]
    for flag, value in ADDED.get(command, {}).items():
        if flag not in line:
            line = line.replace(command, f"{command} {flag} {value}", 1)
    return line
