"""One browser and one server for all tests of the page."""

from collections.abc import Iterator

import pytest

from tests.view.browser.page import (
    CHROMIUM,
    QUIET,
    Browser,
    Page,
    expect,
    hud,
    open_page,
    playwright,
)
from tests.view.browser.viewer import (
    CHECKPOINT,
    Viewer,
    write_checkpoint,
    write_run,
    write_training,
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=180_000)
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """A server with a checkpoint, the files of a training and a run."""
    folder = tmp_path_factory.mktemp("viewer")
    write_checkpoint(folder / CHECKPOINT)
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
