"""Benchmarks that users are told to run say what is wrong in a line, as the commands do."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from tests.view.labelling.runs import write_run


def benchmark(name: str) -> Any:
    path = Path(__file__).parents[2] / f"benchmarks/{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("real", ["empty", "packaged"], "no capture runs in .*empty"),
        ("real", ["runs", "absent.safetensors"], r"absent\.safetensors: no such checkpoint"),
        ("labels_saved", ["empty", "runs"], "no capture runs in .*empty"),
        ("labels_saved", ["runs", "empty"], "no capture runs in .*empty"),
        ("labels_saved", ["runs", "runs", "--labels", "0", "3"], "--labels: runs has 2 frames"),
        ("labels_saved", ["runs", "runs", "--labels", "-1"], "--labels: runs has 2 frames"),
    ],
)
def test_a_fault_is_a_line_and_exit_code_2(
    name: str,
    arguments: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "runs", [[], []])
    monkeypatch.setattr("sys.argv", [f"{name}.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        benchmark(name).main()
    assert ended.value.code == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"{name}.py: error: ")
    assert re.search(line, last), last
