"""One browser and one server for all tests of the page."""

from collections.abc import Iterator

import pytest

from tests.chromium import Browser, Page, browser, expect
from tests.view.browser.page import hud, open_page
from tests.view.browser.viewer import (
    BEST,
    CHECKPOINT,
    Viewer,
    write_checkpoint,
    write_run,
    write_training,
)

__all__ = ["browser"]


@pytest.fixture(scope="package")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """A server with a checkpoint, the files of a training and a run."""
    folder = tmp_path_factory.mktemp("viewer")
    write_checkpoint(folder / CHECKPOINT)
    write_checkpoint(folder / BEST)
    write_training(folder)
    write_run(folder / "assets/datasets/captures")
    server = Viewer(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def live(browser: Browser, viewer: Viewer) -> Iterator[Page]:
    """A page that shows frames, with the neural detector; tests leave it as they found it."""
    page = open_page(browser, viewer)
    expect(hud(page, "mode")).to_have_text("Neural")
    yield page
    page.close()
