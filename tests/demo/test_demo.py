"""The demo, made tiny: the same steps and files."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from endoforge import cli
from endoforge.core.errors import UserError
from endoforge.demo import demo as demo_run
from endoforge.demo import lessons
from endoforge.demo.config import DemoConfig
from endoforge.demo.demo import run_demo
from endoforge.demo.demo_page import AS_IT_COMES, FRAMES_FOLLOWED
from endoforge.demo.lessons import FROM_NOTHING, FURTHER, LESSONS
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights


@pytest.mark.slow
def test_the_demo_leaves_its_report_and_metrics_and_can_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packaged: Path
) -> None:
    packaged.parent.mkdir()
    model = build_tinydet(TinyDetConfig(), seed=0)
    metadata = WeightsMetadata(model=model.config, input_size=(320, 256), resize_mode="letterbox")
    save_weights(packaged, model.state_dict(), metadata)
    for name, value in (("TRAIN_RUNS", 3), ("UNSEEN_RUNS", 1), ("FRAMES_A_RUN", 6)):
        monkeypatch.setattr(demo_run, name, value)
    monkeypatch.setattr(demo_run, "LESSONS", [replace(one, epochs=2) for one in LESSONS])
    monkeypatch.setattr(lessons, "BATCH_SIZE", 2)
    root = tmp_path / "demo"
    result = run_demo(DemoConfig(output_root=str(root), seed=1))
    assert result.evaluation.metrics.images == 6

    record = json.loads((root / "metrics.jsonl").read_text())
    assert record["images"] == 6
    assert record["ap50"] == result.evaluation.metrics.ap50
    said = "\n".join(result.lines())
    for text in ("report.html", "metrics.jsonl", "AP50", "mean IoU", "precision", "recall"):
        assert text in said
    for name in (FROM_NOTHING, AS_IT_COMES, FURTHER):
        assert name in said

    # The pictures of a validation are drawn with the frames of `eval`: the same, in one order.
    nothing, further = result.findings.learned
    assert [len(one.found) for one in (nothing, further)] == [2, 2]
    assert further.metrics[-1].ap50 == result.evaluation.metrics.ap50
    for then, now in zip(further.found[-1], result.evaluation.detections, strict=True):
        np.testing.assert_array_equal(then.boxes, now.boxes)
    for line in result.findings.commands:
        program, command, *args = shlex.split(line)
        assert program == "endoforge"
        cli.parse(command, args)

    page = (root / "report.html").read_text()
    assert page.count("<svg") == 6
    assert 6 <= page.count("data:image/jpeg;base64,") - FRAMES_FOLLOWED * 5 <= 18
    for shown in (f"{FROM_NOTHING}, epoch 1:", f"{FURTHER}, epoch 2:", f"{AS_IT_COMES}:"):
        assert page.count(f"<figcaption>{shown}") == FRAMES_FOLLOWED
    assert "Simulated frames only" in page
    assert not re.search(r"\$\w", page), "a placeholder was left"
    assert not re.search(r'(src|href)="(?!data:|#)', page), "the page must need nothing beside it"
    for run_dir in [*(root / "captures").iterdir(), *(root / "unseen").iterdir()]:
        assert json.loads((run_dir / "run_manifest.json").read_text())["endoforge"]["complete"]

    stray = root / "stray.txt"
    stray.write_text("of the first demo")
    run_demo(DemoConfig(output_root=str(root), seed=1))
    assert not stray.exists()
    assert len((root / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="no demo made"):
        run_demo(DemoConfig(output_root=str(tmp_path)))
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_that_only_bears_the_name_of_the_mark_is_none(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"slides": 3}')
    with pytest.raises(UserError, match="holds files that no demo made"):
        run_demo(DemoConfig(output_root=str(tmp_path)))
    assert (tmp_path / "demo.json").exists()


def test_a_place_that_is_no_folder_is_named_by_its_flag(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "demo"):
        with pytest.raises(UserError, match=r"^--output-root .*is no folder"):
            run_demo(DemoConfig(output_root=str(place)))


def test_a_seed_out_of_range_is_named() -> None:
    with pytest.raises(UserError, match="--seed -1"):
        DemoConfig(seed=-1)
