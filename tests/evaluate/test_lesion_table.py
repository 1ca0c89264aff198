"""What the table of lesions says where there is nothing to say, and of many runs."""

from endoforge.evaluate.lesion_outcomes import follow
from endoforge.evaluate.lesion_result import LesionResult, LesionScore
from endoforge.evaluate.lesion_table import lesion_lines
from endoforge.evaluate.lesions import sum_up
from tests.evaluate.lesion_cases import sequence_of, shown_of


def test_without_polyps_what_is_of_them_is_undefined_and_notes_come_last():
    sequence = sequence_of((0.0, 60.0), [{}, {}])
    outcome = follow(sequence, shown_of([{}, {}]))
    score = LesionScore(metrics=sum_up([outcome, outcome]), froc=())
    result = LesionResult(runs=[], single=score, tracks=score, left_out=[], notes=["slow"])
    lines = lesion_lines(result)
    assert lines[0] == "lesions: 0 polyps in 2 runs, 4.0 minutes"
    assert lines[2].split() == ["polyps", "found", *["0", "of", "0,", "undefined"] * 2]
    assert lines[-1] == "note: slow"
    assert sum("undefined" in line for line in lines) == 6
