"""Batches straight from the simulator. Small ones: runs of 12 views, three at a time, 64 x 64."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from endoforge.core.noticeboard import Noticeboard
from endoforge.data.loader import Batch, Shard
from endoforge.sim import stage as stage_module
from endoforge.sim.bakery import LOOKS, Recipe
from endoforge.sim.dressing import dressed
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.flight import Flight, plan_flight
from endoforge.sim.footage import Footage
from endoforge.sim.labels import MIN_VISIBLE_PX, polyp_views, visible_boxes
from endoforge.sim.polyps import KINDS, MAX_POLYPS
from endoforge.sim.randomization import Randomization
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.simulator import FrameTruth, Simulator
from endoforge.sim.stage import FootageStage
from endoforge.sim.streams import run_seed, training_seed, validation_seed
from endoforge.train import simulated_validation as validation_module
from endoforge.train.simulated_batches import SimulatedLoader, simulated_classes, with_boxes
from endoforge.train.simulated_validation import (
    VALIDATION_FRAMES,
    VALIDATION_RUNS,
    simulated_validation,
)
from tests.plain_ranges import PLAIN

SIZE = (64, 64)
RUNS_AT_ONCE, VIEWS = 3, 12


@pytest.fixture(scope="module")
def cpu() -> Engine:
    return start_engine("cpu")


@cache
def made(seed: int, run: int) -> Footage:
    return of_colon(seed, run // LOOKS)[run % LOOKS]


@cache
def of_colon(seed: int, colon: int) -> list[Footage]:
    return list(Recipe(seed, PLAIN, SIZE, VIEWS).make(colon))


@cache
def scene_of(seed: int, run: int) -> tuple[Scene, Flight]:
    """The scene of a run, in its own look, and the flight through its colon."""
    colon = make_scene(training_seed(seed, run - run % LOOKS), PLAIN)
    scene = dressed(colon, training_seed(seed, run)) if run % LOOKS else colon
    return scene, plan_flight(colon)


class BakeryHere:
    """Makes runs in this process, each once."""

    def __init__(self, recipe: Recipe, _workers: int, _board: Noticeboard | None) -> None:
        self.seed = recipe.base_seed
        self.asked: list[int] = []

    def runs(self, first: int) -> Iterator[Footage]:
        while True:
            self.asked.append(first)
            yield made(self.seed, first)
            first += 1

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(autouse=True)
def _bakery_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "Bakery", BakeryHere)


class InArrays(SimulatedLoader):
    """Batches of NumPy's arrays, which are easier to compare."""

    def batches(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Any]:
        names = ("images", "boxes", "classes", "num_boxes")
        for batch in super().batches(epoch, start, stride):
            yield replace(batch, **{name: getattr(batch, name).numpy() for name in names})


def loader(seed: int = 1, **others: Any) -> InArrays:
    fields: dict[str, Any] = {
        "batch_size": 5,
        "batches_an_epoch": 4,
        "max_boxes": 32,
        "class_names": ("polyp",),
        "workers": 1,
        "runs_at_once": RUNS_AT_ONCE,
    }
    recipe = Recipe(seed, PLAIN, SIZE, VIEWS)
    return InArrays(start_engine("cpu"), recipe, **(fields | others))


def same(one: Batch, other: Batch) -> bool:
    names = ("images", "boxes", "num_boxes", "indices")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_shapes_and_types_are_those_of_every_loader() -> None:
    batches = list(loader().batches(0))
    assert len(batches) == len(loader()) == 4
    for batch in batches:
        assert (batch.images.shape, batch.images.dtype) == ((5, 64, 64, 3), np.uint8)
        assert (batch.boxes.shape, batch.boxes.dtype) == ((5, MAX_POLYPS, 4), np.float32)
        assert (batch.num_boxes.shape, batch.num_boxes.dtype) == ((5,), np.int64)
        assert (batch.rows, batch.num_all) == (slice(0, 5), 5)
        for boxes, count in zip(batch.boxes, batch.num_boxes, strict=True):
            assert not boxes[count:].any()
            assert (boxes[:count, 2:] > boxes[:count, :2]).all()
            assert (boxes >= 0).all()
            assert (boxes <= 1).all()
    assert sum(batch.num_boxes.sum() for batch in batches) > 0


def test_the_same_seed_gives_the_same_batches_and_another_does_not() -> None:
    one, again, other = (list(loader(seed).batches(0)) for seed in (1, 1, 2))
    assert all(map(same, one, again))
    assert not any(map(same, one, other))


def test_epochs_follow_each_other_in_one_sequence_that_does_not_repeat() -> None:
    """Eight epochs of 20 frames are 13 beats and a bit."""
    simulated = loader()
    batches = [batch for epoch in range(8) for batch in simulated.batches(epoch)]
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(160))
    pictures = Counter(image.tobytes() for batch in batches for image in batch.images)
    assert set(pictures.values()) == {1}
    assert cast(BakeryHere, simulated.stage._bakery).asked == list(range(13 + RUNS_AT_ONCE))


def test_processes_of_a_machine_ask_for_the_same_runs_in_each_batch() -> None:
    """They make them for each other: one that asked for less would keep the others waiting."""
    both = [loader(batch_size=40, shard=Shard(number, 2)) for number in range(2)]
    asked = [cast(BakeryHere, one.stage._bakery).asked for one in both]
    for first, second in zip(*(one.batches(0) for one in both), strict=True):
        assert first.indices[-1] + 1 == second.indices[0], "they share a batch out"
        assert asked[0] == asked[1]
    assert asked[0] == list(range(4 * 40 // VIEWS + RUNS_AT_ONCE))


def test_no_moment_of_a_run_comes_twice() -> None:
    timetable = loader().stage.timetable
    moments = Counter(
        (run, made(1, run).steps[view])
        for beat in range(5)
        for run, view in zip(*(column.tolist() for column in timetable.order(beat)), strict=True)
    )
    assert set(moments.values()) == {1}


@pytest.mark.parametrize(("epoch", "start", "stride"), [(0, 1, 1), (1, 3, 1), (2, 0, 2), (0, 0, 1)])
def test_batches_are_the_same_whatever_was_asked_before(
    epoch: int, start: int, stride: int
) -> None:
    simulated, fresh = loader(), loader()
    whole = [list(simulated.batches(epoch)) for epoch in range(3)]
    asked = list(fresh.batches(epoch, start, stride))
    assert all(map(same, asked, whole[epoch][start::stride]))
    assert len(asked) == len(range(start, 4, stride))
    assert all(map(same, simulated.batches(epoch, start, stride), asked))


def test_shards_are_parts_of_the_whole_batches() -> None:
    whole = list(loader(batches_an_epoch=3).batches(0))
    parts = [
        list(loader(batches_an_epoch=3, shard=Shard(number, 3)).batches(0)) for number in range(3)
    ]
    for number, batch in enumerate(whole):
        of_all = [part[number] for part in parts]
        assert [part.rows for part in of_all] == [slice(0, 1), slice(1, 3), slice(3, 5)]
        for name in ("images", "boxes", "num_boxes", "indices"):
            together = np.concatenate([getattr(part, name) for part in of_all])
            assert np.array_equal(together, getattr(batch, name))


def test_a_process_may_have_no_part_of_a_batch() -> None:
    empty = next(loader(batch_size=1, shard=Shard(0, 2)).batches(0))
    assert (empty.images.shape, len(empty.boxes), empty.num_all) == ((0, 64, 64, 3), 0, 1)


def test_how_many_are_rendered_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(loader().batches(0))
    for pixels in (64 * 64, 7 * 64 * 64):
        monkeypatch.setattr(stage_module, "PIXELS_AT_ONCE_CPU", pixels)
        assert all(map(same, loader().batches(0), expected))


def shown(stage: FootageStage, positions: range) -> tuple[NDArray[np.uint8], list[int]]:
    """The pictures at these positions, and how many were rendered in each go."""
    counts: list[int] = []
    render = stage.renderer.render_rows

    def noted(cameras: torch.Tensor, *others: Any, **more: Any) -> Any:
        counts.append(len(cameras))
        return render(cameras, *others, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.renderer, "render_rows", noted)
        return stage.show(np.array(positions)).rgb.numpy(), counts


def test_frames_of_several_beats_are_rendered_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as spare runs allow: with two of them, those of three beats of twelve frames."""
    monkeypatch.setattr(stage_module, "SPARE_RUNS", 0)
    expected, counts = shown(loader().stage, range(4, 50))
    assert counts == [8, 12, 12, 12, 2]
    monkeypatch.setattr(stage_module, "SPARE_RUNS", 2)
    ours, counts = shown(loader().stage, range(4, 50))
    assert counts == [32, 14]
    assert np.array_equal(ours, expected)


def test_to_go_back_by_a_few_beats_makes_no_run_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "SPARE_RUNS", 2)
    stage = loader().stage
    expected, _ = shown(stage, range(30))
    asked = cast("Any", stage._bakery).asked
    assert asked == [0, 1, 2, 3, 4]
    assert np.array_equal(shown(stage, range(30))[0], expected), "back by two beats"
    assert asked == [0, 1, 2, 3, 4]
    shown(stage, range(36, 40))
    assert np.array_equal(shown(stage, range(30))[0], expected), "back by three"
    assert asked == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4]
    shown(stage, range(240, 250))
    before = len(asked)
    shown(stage, range(228, 250))
    assert asked[before:] == [19, 20, 21, 22], "runs of before a jump were never there"


def test_frames_and_boxes_are_those_of_the_renderer_and_its_labels(cpu: Engine) -> None:
    """Each frame again, alone: from its run's seed and moment by the way that `datagen` goes."""
    simulated = loader()
    [batch] = islice(simulated.batches(1), 1)
    renderer = Renderer(*SIZE, cpu, 1)
    for row, position in enumerate(batch.indices.tolist()):
        beat, place = divmod(position, VIEWS)
        run, view = (column[place] for column in simulated.stage.timetable.order(beat))
        footage = made(1, int(run))
        scene, flight = scene_of(1, int(run))
        [state] = flight.states([int(footage.steps[view])])
        noise_seed = int(footage.arrays["cameras"][view, 2, 3])
        renderer.load([scene])
        frames = renderer.render([CameraShot(state, 0, noise_seed)])
        assert np.array_equal(frames.rgb[0].numpy(), batch.images[row])
        views = polyp_views(scene, state, frames.stats[0].numpy())
        expected = [np.array(view.box_px) / 64 for view in views if view.box_px is not None]
        count = int(batch.num_boxes[row])
        assert np.array_equal(
            batch.boxes[row][:count], np.array(expected, np.float32).reshape(-1, 4)
        )


def brute_boxes(stats: np.ndarray, max_boxes: int) -> list[tuple[int, list[int]]]:
    """Place and corners of each box of one picture, one polyp at a time."""
    found = [
        (place, row[2:].tolist()) for place, row in enumerate(stats) if row[0] >= MIN_VISIBLE_PX
    ]
    by_area = sorted(found, key=lambda one: -(one[1][2] - one[1][0]) * (one[1][3] - one[1][1]))
    return [one for one in found if one in by_area[:max_boxes]]


@pytest.mark.parametrize("max_boxes", [1, 3, 32])
def test_boxes_on_the_device_are_those_found_one_by_one(max_boxes: int) -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 30, (40, MAX_POLYPS, 2))
    sides = rng.integers(1, 30, (40, MAX_POLYPS, 2))
    visible = rng.choice([0, 5, MIN_VISIBLE_PX - 1, MIN_VISIBLE_PX, 900], (40, MAX_POLYPS))
    visible[0] = 0
    stats = np.concatenate(
        [visible[..., None], visible[..., None] + 7, corners, corners + sides], axis=2
    )
    boxes = visible_boxes(torch.from_numpy(stats).int(), max_boxes)
    assert boxes.px.shape == (40, min(max_boxes, MAX_POLYPS), 4)
    for row in range(40):
        expected = brute_boxes(stats[row], max_boxes)
        count = int(boxes.number[row])
        assert boxes.px[row, :count].tolist() == [box for _, box in expected]
        assert boxes.polyps[row, :count].tolist() == [place for place, _ in expected]
        assert not boxes.px[row, count:].any()
        assert boxes.left_out[row] == (visible[row] >= MIN_VISIBLE_PX).sum() - count


def test_kinds_are_those_of_the_polyps_that_have_the_boxes() -> None:
    simulated = loader()
    positions = np.arange(VIEWS)
    frames = with_boxes(simulated.stage.show(positions), 32)
    runs, _ = simulated.stage.timetable.order(0)
    seen = 0
    for row, run in enumerate(runs.tolist()):
        of_run = [KINDS.index(polyp.paris) for polyp in scene_of(1, run)[0].polyps]
        places = visible_boxes(simulated.stage.show(positions[[row]]).stats, 32).polyps[0]
        for column in range(int(frames.num_boxes[row])):
            assert frames.kinds[row, column] == of_run[int(places[column])]
            seen += 1
    assert seen > 5


def test_what_is_hidden_of_polyps_is_not_looked_for() -> None:
    stats = loader().stage.show(np.arange(VIEWS)).stats
    assert (stats[..., 0] > 0).any()
    assert torch.equal(stats[..., 1], stats[..., 0])


def test_the_end_of_an_epoch_tells_what_was_shown(caplog: pytest.LogCaptureFixture) -> None:
    simulated = loader(3, max_boxes=1, batches_an_epoch=60)
    with caplog.at_level("INFO"):
        batches = list(simulated.batches(0))
    with_box = sum(int((batch.num_boxes > 0).sum()) for batch in batches)
    assert f"simulated 300 frames in this process, {with_box / 3:.1f} % with boxes" in caplog.text
    more = [batch.num_boxes.sum() for batch in loader(3, batches_an_epoch=60).batches(0)]
    left_out = sum(more) - sum(batch.num_boxes.sum() for batch in batches)
    assert left_out > 0
    assert f"left out {left_out} boxes over --max-boxes" in caplog.text
    assert "no box in these frames" not in caplog.text


def test_frames_without_a_polyp_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bare = replace(PLAIN, polyps=replace(PLAIN.polyps, count=(0, 0)))

    class BareBakery(BakeryHere):
        def runs(self, first: int) -> Iterator[Footage]:
            for colon in range(first // LOOKS, RUNS_AT_ONCE):
                yield from Recipe(self.seed, bare, SIZE, VIEWS).make(colon)

    monkeypatch.setattr(stage_module, "Bakery", BareBakery)
    assert not any(batch.num_boxes.any() for batch in loader().batches(0))
    assert "no box in these frames: a detector that is shown no polyp" in caplog.text


def test_seeds_of_training_validation_and_recording_are_all_different() -> None:
    seeds = [
        *(training_seed(seed, run) for seed in range(40) for run in range(250)),
        *(run_seed(seed, run) for seed in range(40) for run in range(250)),
        *(validation_seed(run) for run in range(250)),
    ]
    assert len(set(seeds)) == len(seeds)


def test_the_seeds_of_runs_stay_what_they_are() -> None:
    """They are part of what --seed means."""
    assert training_seed(42, 0) == 16602594785676215480
    assert training_seed(2**63, 5) == 7905656779979180121
    assert validation_seed(0) == 17794728303100841390


def test_the_validation_set_is_what_datagen_would_record(
    cpu: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("endoforge.train.simulated_validation.VALIDATION_RUNS", 2)
    monkeypatch.setattr("endoforge.train.simulated_validation.VALIDATION_FRAMES", 6)
    named: list[tuple[str, bytes]] = []
    identity = validation_module._identity

    def spy(truth: FrameTruth, ranges: Randomization, size: tuple[int, int]) -> tuple[str, bytes]:
        named.append(identity(truth, ranges, size))
        return named[-1]

    monkeypatch.setattr(validation_module, "_identity", spy)
    validation = simulated_validation(cpu, PLAIN, SIZE, 32, ("polyp",))
    pack = validation.inputs
    assert (len(pack), pack.images.shape) == (12, (12, 64, 64, 3))
    frames: list[tuple[NDArray[np.uint8], NDArray[np.float32]]] = []
    for run in range(2):
        simulator = Simulator(
            validation_seed(run), randomization=PLAIN, size=SIZE, max_frames=6, renderer="cpu"
        )
        for batch in simulator:
            told = [truth.boxes for truth in batch.labels]
            frames += zip(batch.rgb.numpy().copy(), told, strict=True)
    for image, boxes, (expected, box_px) in zip(pack.images[:], pack.boxes, frames, strict=True):
        assert np.array_equal(image, expected)
        assert np.array_equal(boxes, (box_px / 64).astype(np.float32))
    assert len({name for name, _ in named}) == 12
    assert len({content for _, content in named}) == 12
    assert validation.num_runs == 2
    assert validation.fingerprint.startswith("3dd0c588eb70e424ea4c"), "states that are kept say so"
    assert (VALIDATION_RUNS, VALIDATION_FRAMES) == (12, 50)


def test_paris_kinds_are_classes_by_name(cpu: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("endoforge.train.simulated_validation.VALIDATION_RUNS", 1)
    monkeypatch.setattr("endoforge.train.simulated_validation.VALIDATION_FRAMES", 40)
    names = simulated_classes("paris")
    assert names == tuple(sorted(KINDS))
    assert simulated_classes("label") == ("polyp",)
    pack = simulated_validation(cpu, PLAIN, SIZE, 32, names).inputs
    simulator = Simulator(
        validation_seed(0), randomization=PLAIN, size=SIZE, max_frames=40, renderer="cpu"
    )
    told = [truth.kinds for batch in simulator for truth in batch.labels]
    assert [[names[place] for place in own] for own in pack.classes] == told
    assert len({kind for own in told for kind in own}) > 1

    plain, kinds = (list(loader(class_names=own).batches(0)) for own in (("polyp",), names))
    for one, other in zip(plain, kinds, strict=True):
        assert not one.classes.any()
        assert np.array_equal(one.boxes, other.boxes)
    [first] = [with_boxes(made_frames, 32) for made_frames in [shown_first()]]
    expected = [names.index(KINDS[kind]) for kind in first.kinds[first.num_boxes > 0][:, 0]]
    batch = kinds[0]
    assert batch.classes[batch.num_boxes > 0][:, 0].tolist() == expected


def shown_first() -> Any:
    """The frames of the first batch."""
    return loader().stage.show(np.arange(5))
