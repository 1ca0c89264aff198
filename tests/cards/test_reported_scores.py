"""Scores in a card are of its weights alone, and what is left out is counted."""

from pathlib import Path

import pytest

from endoforge.cards.reported_scores import found_table, score_table, scores_of
from endoforge.core.errors import UserError
from endoforge.detect.packaged import weights_digest

REAL_LINE = {
    "benchmark": "real",
    "of": "centre | one",
    "frames": 10,
    "boxes": 12,
    "ap50": 0.8214,
    "ap": 0.5,
    "ap75": 0.25,
    "recall_at_1_fp_a_frame": 0.75,
    "found_by_share": {"0.01": [4, 0.25], "1.0": [8, 1.0]},
}


def test_a_line_of_eval_becomes_a_row(weights, eval_line, report_of):
    [scores], left_out = scores_of(report_of(eval_line), weights_digest(weights))
    assert not left_out.counts
    assert score_table([scores]).splitlines()[2] == (
        "| every frame of real | 8 | 5 | 0.500 | 0.250 | unknown | unknown "
        "| 3, 2, 1 (score 0.3, IoU 0.5) |"
    )
    assert found_table([scores]) == ""


def test_a_line_of_a_split_says_so(weights, eval_line, report_of):
    line = eval_line | {"split_manifest": "split.json"}
    [scores], _ = scores_of(report_of(line), weights_digest(weights))
    assert scores.of == "held-out frames of real"


def test_a_line_of_real_frames_tells_what_is_found_by_size(weights, eval_line, report_of):
    line = REAL_LINE | {"weights_sha256": eval_line["weights_sha256"]}
    scores, _ = scores_of(report_of(eval_line, line), weights_digest(weights))
    assert score_table(scores).splitlines()[3] == (
        r"| centre \| one | 10 | 12 | 0.821 | 0.500 | 0.250 | 0.750 | unknown |"
    )
    assert found_table(scores).splitlines() == [
        "| found of the boxes of | up to 1 % | up to 100 % |",
        "| --- | --- | --- |",
        r"| centre \| one | 25% of 4 | 100% of 8 |",
    ]


def test_what_is_of_other_weights_or_no_measurement_is_counted(weights, eval_line, report_of):
    other = eval_line | {"weights_sha256": "0" * 64}
    old = {name: value for name, value in eval_line.items() if name != "weights_sha256"}
    impossible = eval_line | {"ap": 1.5}
    not_finite = eval_line | {"ap": float("nan")}
    lines = [other, old, impossible, not_finite, {"benchmark": "train"}, "[1]", "no JSON", ""]
    scores, left_out = scores_of(report_of(*lines, eval_line), weights_digest(weights))
    assert len(scores) == 1
    assert left_out.counts == {
        "measurement: of other weights": 1,
        "measurement: doesn't say of which weights": 1,
        "measurement: not as EndoForge writes it": 2,
        "line: no measurement by `eval` or benchmarks/real.py": 3,
    }
    assert left_out.examples["measurement: of other weights"] == ["line 1"]


def test_a_report_that_tells_nothing_of_the_weights_is_an_error(weights, eval_line, report_of):
    report = report_of(eval_line | {"weights_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"--report .*metrics.jsonl: tells nothing .*1 x measu"):
        scores_of(report, weights_digest(weights))
    with pytest.raises(UserError, match="it is empty"):
        scores_of(report_of(), weights_digest(weights))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"\xff\xfe\xff", "is no text"), ("folder", "[Dd]irectory|regular")],
)
def test_a_report_that_cannot_be_read_is_an_error(tmp_path: Path, content, said):
    report = tmp_path / "report"
    if content == "folder":
        report.mkdir()
    elif content is not None:
        report.write_bytes(content)
    with pytest.raises(UserError, match=rf"--report .*report: .*({said}).*--metrics-out"):
        scores_of(report, "0" * 64)
