"""The charts of a report, as text."""

import math

from endoforge.report.charts import LearningCurve, ap50_by_epoch, loss_by_epoch


def test_each_training_has_its_curve_and_its_name() -> None:
    curves = [LearningCurve("one", [2.0, 1.0], [0.1, 0.5]), LearningCurve("other", [3.0], [0.7])]
    for chart in (ap50_by_epoch(curves, ("level", 0.6)), loss_by_epoch(curves)):
        assert "one" in chart.svg
        assert "other" in chart.svg
    assert "level" in ap50_by_epoch(curves, ("level", 0.6)).svg


def test_a_validation_without_polyps_leaves_a_gap() -> None:
    curve = LearningCurve("one", [2.0, math.nan, 1.0], [None, None, 0.5])
    assert "<svg" in ap50_by_epoch([curve], ("level", None)).svg
    assert "<svg" in loss_by_epoch([curve]).svg
