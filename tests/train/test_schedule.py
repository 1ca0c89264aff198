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
