"""The event files, read back as TensorBoard reads them."""

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator as PluginEventAccumulator,
)
from tensorboard.plugins.pr_curve import metadata as pr_metadata
from tensorboard.summary.writer import event_file_writer
from tensorboard.util.tensor_util import make_ndarray

from endoforge.backends.base import StepResult
from endoforge.core.errors import UserError
from endoforge.data.images import Images
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure
from endoforge.evaluate.validate import Validation
from endoforge.train.loop import train
from endoforge.train.reports import EpochReport, Plan, StepReport
from endoforge.train.tensorboard import SCORES, TensorBoard
from tests.train.sessions import train_in_sessions

STEP_TAGS = {"train/loss", "train/mean_iou", "train/learning_rate", "train/images_per_s"}
VALIDATION_TAGS = {
    f"validation/{name}" for name in ("AP50", "AP", "AP75", "mean_iou", "precision", "recall")
}
CURVE = "validation/precision_over_recall"
EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0}


@pytest.fixture(autouse=True)
def _files_sort_as_they_were_written(monkeypatch):
    """A number a process counts up ends their names: of one second, the 10th sorts before the 9th.

    Sessions of a training are processes of their own; here they aren't.
    """
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "events"


def read(folder):
    events = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    return events.Reload()


def steps_of(events, tag):
    return [event.step for event in events.Scalars(tag)]


def values_of(events, tag):
    return [event.value for event in events.Scalars(tag)]


def picture_of(event):
    encoded = np.frombuffer(event.encoded_image_string, np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


def test_a_training_leaves_its_scalars_curves_and_pictures(small_config, recorder, folder):
    train(small_config(tensorboard=str(folder)))
    events = read(folder)
    assert set(events.Tags()["scalars"]) == {*STEP_TAGS, *VALIDATION_TAGS, "epoch/mean_loss"}

    assert steps_of(events, "train/loss") == list(range(1, 11))
    expected = [float(report.result.loss) for report in recorder.steps]
    assert values_of(events, "train/loss") == pytest.approx(expected)
    expected = [report.lr for report in recorder.steps]
    assert values_of(events, "train/learning_rate") == pytest.approx(expected)

    for tag in (*VALIDATION_TAGS, "epoch/mean_loss"):
        assert steps_of(events, tag) == [5, 10]
    metrics = [report.validation.metrics for report in recorder.epochs]
    assert values_of(events, "validation/AP50") == pytest.approx([one.ap50 for one in metrics])
    expected = [one.at_iou[0].recall for one in metrics]
    assert values_of(events, "validation/recall") == pytest.approx(expected)
    expected = [report.loss for report in recorder.epochs]
    assert values_of(events, "epoch/mean_loss") == pytest.approx(expected)

    assert [event.step for event in events.Tensors(CURVE)] == [5, 10]
    assert len(events.Tags()["images"]) == 5
    for tag in events.Tags()["images"]:
        assert [event.step for event in events.Images(tag)] == [5, 10]
        assert picture_of(events.Images(tag)[0]).shape == (32, 64, 3)


@pytest.mark.parametrize(("every", "expected"), [(2, [2, 4, 7, 9]), (0, [])])
def test_steps_come_as_often_as_lines_of_the_log(every, expected, small_config, folder):
    train(small_config(tensorboard=str(folder), log_every=every))
    events = read(folder)
    if expected:
        assert steps_of(events, "train/loss") == expected
    else:
        assert not STEP_TAGS & set(events.Tags()["scalars"])
    assert steps_of(events, "validation/AP") == [5, 10]


def test_a_step_that_is_not_written_is_not_read_from_the_device(folder):
    class Unread:
        def __float__(self) -> float:
            raise AssertionError("this waits for the device")

    sink = TensorBoard(folder, every_steps=2)
    sink.start(plan(steps_done=0))

    result = StepResult(Unread(), Unread())
    report = StepReport(epoch=1, step=1, lr=1e-3, result=result, images_per_s=9.0, eta_s=1.0)
    sink.step(report)
    with pytest.raises(AssertionError, match="waits"):
        sink.step(replace(report, step=2))
    sink.finish("done", None)


def test_resumed_curves_do_not_overlap(small_config, recorder, folder):
    config = small_config(tensorboard=str(folder), ckpt_every_steps=3, epochs=3)
    began_after_and_last = [
        (recorder.plan.steps_done, steps_of(read(folder), "train/loss")[-1])
        for _ in train_in_sessions(config, recorder)
    ]
    assert began_after_and_last == [(0, 8), (6, 7), (7, 15)]
    events = read(folder)
    assert steps_of(events, "train/loss") == list(range(1, 16))
    assert steps_of(events, "validation/AP50") == [5, 10, 15]
    assert [event.step for event in events.Tensors(CURVE)] == [5, 10, 15]
    tag = events.Tags()["images"][0]
    assert [event.step for event in events.Images(tag)] == [5, 10, 15]


def test_epochs_that_come_again_are_there_once(small_config, recorder, folder):
    config = small_config(tensorboard=str(folder), ckpt_every_epochs=0, ckpt_every_steps=7)

    def crash(report):
        if report.epoch == 2:  # of 10 steps 7 are saved
            raise RuntimeError("the power went")

    recorder.after_epoch = crash
    with pytest.raises(RuntimeError):
        train(config)
    assert steps_of(read(folder), "validation/AP50") == [5, 10]
    recorder.after_epoch = lambda _: None
    train(config)
    events = read(folder)
    assert steps_of(events, "train/loss") == list(range(1, 11))
    assert steps_of(events, "validation/AP50") == [5, 10]


def test_a_validation_that_comes_again_is_there_once(small_config, recorder, folder):
    config = small_config(tensorboard=str(folder), ckpt_every_epochs=0, ckpt_every_steps=5)

    def crash(_):
        raise RuntimeError("the power went")  # the epoch's last step is saved, its end isn't

    recorder.after_epoch = crash
    with pytest.raises(RuntimeError):
        train(config)
    recorder.after_epoch = lambda _: None
    train(config)
    events = read(folder)
    assert steps_of(events, "validation/AP50") == [5, 10]
    assert [event.step for event in events.Images("validation/00000")] == [5, 10]
    assert steps_of(events, "train/loss") == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    # EventAccumulator forgets to take back tensors; TensorBoard's own reader doesn't.
    as_shown = PluginEventAccumulator(str(folder))
    as_shown.Reload()
    assert [event.step for event in as_shown.Tensors(CURVE)] == [5, 10]


TRUTH = Truth(np.array([[0.125, 0.25, 0.5, 0.75]], np.float32), np.zeros(1, np.int64))
NO_TRUTH = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def found(*rows):
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, 1:], table[:, 0], np.zeros(len(table), np.int64))


def validation(detections, truths, mirrored=None):
    """Of dark pictures with one bright corner."""
    images = np.full((len(truths), 32, 64, 3), 20, np.uint8)
    images[:, :4, :4] = 200
    return Validation(
        metrics=measure(
            detections, truths, class_names=["polyp"], obj_thresh=0.3, iou_threshs=[0.5]
        ),
        images=Images([images], np.zeros(len(truths), np.int64), np.arange(len(truths))),
        mirrored=np.zeros(len(truths), bool) if mirrored is None else np.array(mirrored),
        detections=detections,
        truths=truths,
        class_names=("polyp",),
        batches=1,
    )


def plan(steps_done=0):
    return Plan(
        epochs=9,
        steps_per_epoch=4,
        seed=0,
        device="cpu",
        training_id="x",
        epochs_done=steps_done // 4,
        steps_done=steps_done,
    )


def report(epoch, validated):
    return EpochReport(
        epoch=epoch, lr=1e-3, loss=0.5, validation=validated, is_best=True, seconds=1.0
    )


def written(folder, *validations):
    sink = TensorBoard(folder, every_steps=1)
    sink.start(plan())
    for epoch, one in enumerate(validations, 1):
        sink.epoch(report(epoch, one))
    sink.finish("done", None)
    return read(folder)


def test_the_curve_has_the_counts_of_the_metrics_at_the_scores_that_tensorboard_names(folder):
    elsewhere = (0.6, 0.0, 0.9, 0.3)
    detections = [
        found((0.9, *TRUTH.boxes[0]), (0.52, *elsewhere), (0.02, *elsewhere)),
        found((0.35, *TRUTH.boxes[0]), (0.3, *elsewhere)),
        found((1.0, *elsewhere)),
    ]
    one = validation(detections, [TRUTH, TRUTH, NO_TRUTH])
    [event] = written(folder, one).Tensors(CURVE)
    assert event.step == 4
    values = make_ndarray(event.tensor_proto)
    assert np.linspace(0, 1, values.shape[1]) == pytest.approx(SCORES)  # so the plugin has it
    sweep = one.metrics.pr_curve
    for row, name in (
        (pr_metadata.PRECISION_INDEX, "precision"),
        (pr_metadata.RECALL_INDEX, "recall"),
        (pr_metadata.TRUE_POSITIVES_INDEX, "true_positives"),
        (pr_metadata.FALSE_POSITIVES_INDEX, "false_positives"),
        (pr_metadata.FALSE_NEGATIVES_INDEX, "false_negatives"),
    ):
        assert values[row, 1:-1] == pytest.approx([getattr(point, name) for point in sweep])
    counts = [pr_metadata.TRUE_POSITIVES_INDEX, pr_metadata.FALSE_POSITIVES_INDEX]
    assert values[counts, 0].tolist() == [2, 4]
    assert values[counts, -1].tolist() == [0, 1]


def test_several_classes_have_a_scalar_each(folder):
    one = validation([found((0.9, *TRUTH.boxes[0]))], [TRUTH])
    names, truth = ("Is", "Ip"), replace(TRUTH, classes=np.array([1]))
    detections = [replace(one.detections[0], classes=np.array([1]))]
    metrics = measure(detections, [truth], class_names=names, obj_thresh=0.3, iou_threshs=[0.5])
    several = replace(
        one, metrics=metrics, detections=detections, truths=[truth], class_names=names
    )
    events = written(folder, several)
    assert events.Scalars("validation_AP50/Ip")[0].value == pytest.approx(1)
    assert "validation_AP50/Is" not in events.Tags()["scalars"]  # it has no truth


def test_pictures_show_truth_hits_and_false_detections(folder):
    elsewhere = (0.6, 0.25, 0.9, 0.75)
    detections = [found((0.9, *TRUTH.boxes[0]), (0.8, *elsewhere), (0.1, 0.95, 0, 1, 1)), found()]
    events = written(folder, validation(detections, [TRUTH, TRUTH]))
    both, missed = (picture_of(events.Images(f"validation/0000{n}")[0]) for n in (0, 1))
    assert missed[16, 8].tolist() == [79, 209, 165], "the truth's left edge, in green"
    assert both[16, 8].tolist() == [122, 183, 255], "where it was found, in blue"
    assert both[16, 38].tolist() == [242, 176, 94], "a false one, in amber"
    assert both[30, 61].tolist() == [20, 20, 20], "none below the score threshold"


def test_pictures_are_as_the_detector_saw_them(folder):
    one = validation([found(), found()], [NO_TRUTH, NO_TRUTH], mirrored=[False, True])
    events = written(folder, one)
    plain, mirrored = (picture_of(events.Images(f"validation/0000{n}")[0]) for n in (0, 1))
    assert (plain[0, 0, 0], plain[0, -1, 0]) == (200, 20)
    assert (mirrored[0, 0, 0], mirrored[0, -1, 0]) == (20, 200)


def test_of_many_pictures_the_same_eight_are_shown_each_epoch(folder):
    one = validation([found()] * 71, [NO_TRUTH] * 71)
    events = written(folder, one, one)
    assert events.Tags()["images"] == [f"validation/{place:05d}" for place in range(0, 71, 10)]
    for tag in events.Tags()["images"]:
        assert [event.step for event in events.Images(tag)] == [4, 8]


def test_what_is_not_defined_is_left_out(folder):
    events = written(folder, validation([found((0.9, *TRUTH.boxes[0]))], [NO_TRUTH]))
    tags = set(events.Tags()["scalars"])
    assert not {"validation/AP", "validation/AP50", "validation/AP75"} & tags
    assert values_of(events, "validation/precision") == [0]


def test_a_training_that_fails_early_closes_it(small_config, folder, caplog):
    with caplog.at_level(logging.INFO), pytest.raises(UserError, match="nowhere"):
        train(small_config(tensorboard=str(folder), input_root="nowhere"))
