"""What pages of the docs print to type, and the same with less to do."""

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALLER = {"--runs": "4", "--max-frames": "8", "--epochs": "2", "--run-range": "1:2"}
TRAIN = {"--target-size": "96x64", "--device": "cpu", "--val-ratio": "0.5"}
ADDED = {
    "datagen": {"--max-frames": "8", "--resolution": "96x64", "--renderer": "cpu"},
    "train": TRAIN,
    "train-hp": TRAIN,
}
FIRST_WORD = re.compile(
    r"(endoforge|make|source|torchrun|pip|python|ssh|ray|sbatch|docker|kubectl|"
    r"\S+/bin/\w+|[A-Z_]+=\S+) "
)
"""How a block begins that is typed into a shell."""


def blocks(page: Path, language: str) -> list[str]:
    """What stands between fences of a language; "" are those that name none."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def commands(page: Path) -> list[str]:
    """The lines typed into a shell: whole, without comments, with the values of variables."""
    return [line for block in blocks(page, "") for line in _typed(block)]


def _typed(block: str) -> list[str]:
    """The lines of a block that is typed; none of one that a command printed."""
    values: dict[str, str] = {}
    lines = []
    for line in block.replace("\\\n", " ").splitlines():
        line = " ".join(re.split(r"  #|\s+# ", line)[0].split())
        if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
            values[assigned[1]] = assigned[2]
            continue
        for name, value in values.items():
            line = line.replace(f"${name}", value)
        if line:
            lines.append(line)
    return lines if lines and FIRST_WORD.match(lines[0]) else []


def small(line: str, smaller: Mapping[str, str] = SMALLER) -> str:
    """The same command with less to do."""
    for flag, value in smaller.items():
        line = re.sub(rf"{flag} \S+", f"{flag} {value}", line)
    command = line.split(" ")[1]
    for flag, value in ADDED.get(command, {}).items():
        if flag not in line and not ("--simulate" in line and flag == "--val-ratio"):
            line = line.replace(command, f"{command} {flag} {value}", 1)
    return line
