"""Which runs can be asked about lesions, and what they say of their polyps."""

from pathlib import Path

import numpy as np
import pytest

from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.data.images import Images
from endoforge.data.pack import Pack
from endoforge.evaluate.lesion_runs import LesionRuns, lesion_runs
from endoforge.evaluate.lesion_sequences import PolypFacts
from tests.evaluate.lesion_cases import LEFT, boxes_of

Polyp = tuple[int | None, float | None, str | None]
"""Its name, diameter and Paris kind, as a label says them."""


def record(run: str, seconds: float, *polyps: Polyp) -> FrameRecord:
    """A frame in which all polyps are LEFT."""
    return FrameRecord(
        run=run,
        run_path=Path(run),
        frame_id=0,
        label="",
        image="",
        digest=b"",
        image_bytes=0,
        classes=("polyp",) * len(polyps),
        boxes=boxes_of([LEFT] * len(polyps)),
        polyp_ids=tuple(polyp_id for polyp_id, _, _ in polyps),
        kinds=tuple(kind for _, _, kind in polyps),
        diameters_mm=tuple(diameter for _, diameter, _ in polyps),
        seconds=seconds,
    )


def runs_of(*frames: FrameRecord) -> LesionRuns:
    pack = Pack(
        images=Images([np.zeros((1, 8, 8, 3), np.uint8)], [0] * len(frames), [0] * len(frames)),
        boxes=[frame.boxes for frame in frames],
        classes=[np.zeros(len(frame.boxes), np.int64) for frame in frames],
        class_names=("polyp",),
        frames=list(frames),
        tally=Tally(),
    )
    return lesion_runs(pack)


def test_frames_go_in_order_of_time_and_each_run_by_itself():
    chosen = runs_of(
        record("b", 0.1),
        record("a", 0.3, (2, None, None)),
        record("a", 0.1, (1, None, None), (2, None, None)),
        record("b", 0.0),
        record("a", 0.2),
    )
    first, second = chosen.runs
    assert (first.sequence.name, second.sequence.name) == ("a", "b")
    assert (first.places.tolist(), second.places.tolist()) == ([2, 4, 1], [3, 0])
    assert first.sequence.seconds.tolist() == [0.1, 0.2, 0.3]
    assert [ids.tolist() for ids in first.sequence.polyp_ids] == [[1, 2], [], [2]]
    assert [len(truth) for truth in first.sequence.truths] == [2, 0, 1]
    assert (chosen.num_frames, chosen.left_out, chosen.notes()) == (5, [], [])


def test_what_one_label_says_of_a_polyp_goes_for_all():
    chosen = runs_of(
        record("a", 0.1, (1, None, None), (2, 7.0, "Ip")),
        record("a", 0.2, (1, 4.0, None)),
        record("a", 0.3, (1, None, "Is")),
    )
    assert chosen.runs[0].sequence.facts == {1: PolypFacts(4.0, "Is"), 2: PolypFacts(7.0, "Ip")}


def test_runs_of_no_use_are_counted_by_reason_and_named():
    chosen = runs_of(
        record("good", 0.0),
        record("good", 0.2),
        record("lone", 0.0),
        record("nameless", 0.0, (1, None, None)),
        record("nameless", 0.1, (1, None, None), (None, None, None)),
        record("still", 0.0),
        record("still", 0.0),
    )
    assert [run.sequence.name for run in chosen.runs] == ["good"]
    assert chosen.left_out == [
        "1 x run: it has a single frame, and no time passes, such as lone",
        "1 x run: a polyp without polyp_id, such as nameless",
        "1 x run: frames less than 1 ms apart (sim_time in their labels), such as still",
    ]


@pytest.mark.parametrize(
    ("step", "is_of_use"), [(0.0, False), (1e-12, False), (0.0005, False), (0.001, True)]
)
@pytest.mark.parametrize("start", [0.0, 3600.1])
def test_moments_are_a_millisecond_apart_at_the_least(start, step, is_of_use):
    frames = [record("run", start + place * step) for place in range(2)]
    assert [one.sequence.name for one in runs_of(record("a", 0), record("a", 1), *frames).runs] == [
        "a",
        *(["run"] * is_of_use),
    ]


def test_no_run_of_use_is_an_error_with_the_reasons_and_the_mend():
    frames = [record("old", 0.1 * number, (None, None, None)) for number in range(2)]
    message = (
        r"^--lesions: no run can be asked about lesions \(1 x run: a polyp without polyp_id, such "
        r"as old\): .*`endoforge datagen --fps 25`, or leave out --lesions$"
    )
    with pytest.raises(UserError, match=message):
        runs_of(*frames)


def test_few_frames_a_second_are_noted():
    slow = [record("slow", 0.25 * number) for number in range(3)]
    fast = [record("fast", 0.2 * number) for number in range(3)]
    (note,) = runs_of(*slow, *fast).notes()
    assert note.startswith("fewer than 5 frames a second in 1 of 2 runs (a step of 0.25 s): ")
    assert runs_of(*fast).notes() == []


def test_a_video_that_lacks_frames_is_noted():
    whole = [record("whole", number / 25) for number in range(50)]
    pruned = [record("pruned", number / 25) for number in range(50) if number % 10 < 6]
    captures = [record("captures", 0.25 * number) for number in range(0, 50, 3)]
    (note,) = runs_of(*whole, *pruned).notes()
    assert note.startswith("frames in between are lacking (pruned or left out) in 1 of 2 runs: ")
    assert runs_of(*whole).notes() == []
    assert len(runs_of(*captures).notes()) == 1, "they are slow, and nothing is lacking"
