"""What hosts and hooks read in the repository is as they want it, and names what is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
SCHEMAS = {
    "workflows/ci.yml": "vendor.github-workflows",
    "ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    "ISSUE_TEMPLATE/idea.yml": "vendor.github-issue-forms",
    "ISSUE_TEMPLATE/machine.yml": "vendor.github-issue-forms",
    "ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
}


def hooks() -> list[dict[str, Any]]:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    return [hook for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]]


def check(schema: str, *files: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    return subprocess.run([*words, *map(str, files)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("schema", sorted(set(SCHEMAS.values())))
def test_what_the_host_reads_is_as_it_wants_it(schema: str) -> None:
    checked = check(schema, *(GITHUB / name for name, one in SCHEMAS.items() if one == schema))
    assert checked.returncode == 0, checked.stdout


def test_a_broken_form_would_be_seen(tmp_path: Path) -> None:
    form = tmp_path / "bug.yml"
    form.write_text((GITHUB / "ISSUE_TEMPLATE/bug.yml").read_text().replace("textarea", "text"))
    assert check("vendor.github-issue-forms", form).returncode == 1


def test_every_file_for_the_host_has_a_schema_here() -> None:
    there = {str(path.relative_to(GITHUB)) for path in GITHUB.rglob("*.yml")}
    assert there == set(SCHEMAS)


def test_the_host_runs_what_ci_runs_and_nothing_else() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows/ci.yml").read_text(encoding="utf-8"))
    [job] = workflow["jobs"].values()
    *_, last = job["steps"]
    assert last["run"] == ".ci/run"
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)
    assert workflow["permissions"] == {"contents": "read"}


def test_hooks_are_local_and_call_what_is_there() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert {repo["repo"] for repo in yaml.safe_load(text)["repos"]} == {"local"}
    for hook in hooks():
        tool, *words = shlex.split(hook["entry"])
        assert hook["language"] == "system"
        assert Path(tool).parent == Path(".venv/bin")
        assert (Path(sys.executable).parent / Path(tool).name).exists(), tool
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))
