from endoforge.train.state import TrainState


def gone_through(scores, min_delta=0.0):
    """The state after these validations, and which of them were the best so far."""
    state, bests = TrainState(), []
    for score in scores:
        watched = score if score is None or isinstance(score, tuple) else (score,)
        bests.append(state.note_validation(watched, min_delta))
        state.next_epoch()
    return state, bests


def test_the_best_validation_is_remembered():
    state, bests = gone_through([0.1, 0.4, 0.3, 0.4, 0.5])
    assert bests == [True, True, False, False, True]
    assert (state.best_score, state.best_epoch) == ((0.5,), 4)


def test_what_follows_decides_a_tie_and_then_the_first_is_best():
    state, bests = gone_through([(0.4, 0.1), (0.4, 0.2), (0.3, 0.9), (0.4, 0.2)])
    assert bests == [True, True, False, False]
    assert (state.best_score, state.best_epoch) == ((0.4, 0.2), 1)


def test_patience_counts_epochs_without_gain():
    state, _ = gone_through([0.4, 0.3, 0.4])
    assert state.epochs_without_gain == 2
    assert [state.out_of_patience(patience) for patience in (0, 1, 2, 3)] == [
        False,
        True,
        True,
        False,
    ]
    state.note_validation((0.41,), 0.0)
    assert not state.out_of_patience(1)


def test_a_tie_that_is_the_best_is_no_gain():
    state, bests = gone_through([(0.4, 0.1), (0.4, 0.2)])
    assert bests == [True, True]
    assert state.epochs_without_gain == 1


def test_small_gains_improve_the_best_but_use_patience_up():
    state, bests = gone_through([0.40, 0.41, 0.42, 0.46], min_delta=0.05)
    assert bests == [True] * 4
    assert state.epochs_without_gain == 0
    state, _ = gone_through([0.40, 0.41, 0.42], min_delta=0.05)
    assert state.epochs_without_gain == 2


def test_patience_begins_with_the_first_find():
    state, bests = gone_through([0.0] * 5)
    assert bests == [True, False, False, False, False]
    assert state.best_epoch == 0
    assert state.epochs_without_gain == 0
    state, _ = gone_through([0.0, 0.0, 0.02, 0.02, 0.0], min_delta=0.05)
    assert state.epochs_without_gain == 2


def test_where_there_is_nothing_to_find_the_last_is_the_best():
    state, bests = gone_through([None, None, None])
    assert bests == [True] * 3
    assert (state.best_score, state.best_epoch) == (None, 2)
    assert not state.out_of_patience(1)


def test_a_best_that_is_forgotten_leaves_the_next_as_the_best():
    state, _ = gone_through([0.4, 0.3])
    state.forget_best()
    assert (state.best_score, state.best_epoch, state.best_validation) == (None, None, None)
    assert state.note_validation((0.1,), 0.0)
    assert state.epochs_without_gain == 2
