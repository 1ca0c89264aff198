import math

import pytest

from endoforge.train.schedule import learning_rate


def rates(scheduler, num_steps):
    return [
        learning_rate(step, num_steps, scheduler=scheduler, start=1.0, end=0.2)
        for step in range(num_steps)
    ]


def test_linear_by_hand():
    assert rates("linear", 5) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_by_hand():
    high = 0.6 + 0.4 * math.sqrt(0.5)
    assert rates("cosine", 5) == pytest.approx([1.0, high, 0.6, 1.2 - high, 0.2])


@pytest.mark.parametrize("scheduler", ["linear", "cosine"])
def test_a_lone_step_has_the_first_rate(scheduler):
    assert rates(scheduler, 1) == [1.0]


def test_the_first_tenth_of_a_short_training_warms_up():
    expected = [0.25, 0.5, 0.75, 1.0, 1.0]
    linear = [1 - 0.8 * step / 39 for step in range(5)]
    found = rates("linear", 40)[:5]
    assert found == pytest.approx([a * b for a, b in zip(expected, linear, strict=True)])


def test_a_long_training_warms_up_for_two_hundred_steps():
    found = rates("cosine", 10_000)
    assert found[0] == pytest.approx(1 / 200)
    assert found[99] == pytest.approx(0.5, rel=1e-3)
    assert max(found) == found[199]
