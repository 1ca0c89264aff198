"""What isn't ours isn't traced; what comes after it is, be it that it failed."""

import sys

import pytest

from tests.untraced import untraced


@pytest.fixture
def tracer():
    """A tracer of this thread, which does nothing."""
    before = sys.gettrace()

    def trace(*_):
        return None

    sys.settrace(trace)
    yield trace
    sys.settrace(before)


def test_it_is_not_traced_and_gives_what_it_gave(tracer):
    assert untraced(lambda number, *, more: (number + more, sys.gettrace()))(1, more=2) == (3, None)
    assert sys.gettrace() is tracer


def test_tracing_goes_on_after_an_error(tracer):
    with pytest.raises(ZeroDivisionError):
        untraced(lambda: 1 / 0)()
    assert sys.gettrace() is tracer
