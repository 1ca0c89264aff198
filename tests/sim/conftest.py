import pytest

from endoforge.sim.engine import Engine, start_engine


@pytest.fixture(scope="session")
def cpu() -> Engine:
    return start_engine("cpu")
