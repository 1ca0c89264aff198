from endoforge.train.state import TrainState


def gone_through(mean_ious, min_delta=0.0):
    """The state after these validations, and which of them were the best so far."""
    state, bests = TrainState(), []
    for mean_iou in mean_ious:
        bests.append(state.note_validation(mean_iou, min_delta))
        state.next_epoch()
    return state, bests


def test_the_best_validation_is_remembered():
    state, bests = gone_through([0.1, 0.4, 0.3, 0.4, 0.5])
    assert bests == [True, True, False, False, True]
    assert (state.best_mean_iou, state.best_epoch) == (0.5, 4)


def test_patience_counts_epochs_without_gain():
    state, _ = gone_through([0.4, 0.3, 0.4])
    assert state.epochs_without_gain == 2
    assert [state.out_of_patience(patience) for patience in (0, 1, 2, 3)] == [
        False,
        True,
        True,
        False,
    ]
    state.note_validation(0.41, 0.0)
    assert not state.out_of_patience(1)


def test_small_gains_improve_the_best_but_use_patience_up():
    state, bests = gone_through([0.40, 0.41, 0.42, 0.46], min_delta=0.05)
    assert bests == [True] * 4
    assert state.epochs_without_gain == 0
    state, _ = gone_through([0.40, 0.41, 0.42], min_delta=0.05)
    assert state.epochs_without_gain == 2


def test_a_validation_of_nothing_counts_as_the_first():
    state, bests = gone_through([0.0, 0.0])
    assert bests == [True, False]
    assert state.best_epoch == 0
