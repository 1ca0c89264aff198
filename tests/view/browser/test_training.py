"""The training tab in a real Chromium, against the real server."""

import re
from collections.abc import Iterator

import pytest

from tests.chromium import NEEDS_BROWSER, Browser, expect
from tests.view.browser.page import button, open_page
from tests.view.browser.viewer import Viewer, wait_until

pytestmark = NEEDS_BROWSER


@pytest.fixture(autouse=True, scope="module")
def _time_stands_still(browser: Browser, viewer: Viewer) -> Iterator[None]:
    """Nothing is rendered and detected on meanwhile, 60 times a second."""
    page = open_page(browser, viewer)
    for pressed in ("true", "false"):
        page.keyboard.press("k")
        expect(button(page, "pause")).to_have_attribute("aria-pressed", pressed)
        if pressed == "true":
            yield
    page.close()


def test_the_training_tab_shows_status_and_curves(browser, viewer):
    page = open_page(browser, viewer, tab="#training")
    tiles = page.locator("#tiles div")
    shown = {"status": "Running", "epoch": "3 / 8", "loss": "0.750", "images/s": "123"}
    for name, value in shown.items():
        tile = tiles.filter(has=page.locator(f"dt:text-is('{name}')"))
        expect(tile.locator("dd")).to_have_text(value)
    for chart, last in (("loss", "1.000"), ("iou", "0.600"), ("ap", "0.500")):
        expect(page.locator(f"#chart-{chart} .chart-legend")).to_contain_text(last)
        assert page.locator(f"#chart-{chart} path.curve").count() >= 1
    page.locator("#chart-ap .plot").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#chart-ap .chart-where")).to_have_text("epoch 1")
    expect(page.locator("#chart-ap .chart-legend")).to_contain_text("0.250")
    page.close()


def test_runs_are_shown_and_paged_through(browser, viewer):
    page = open_page(browser, viewer, tab="#training")
    card = page.locator(".run").last
    expect(card).to_contain_text("3 frames · 3 boxes")
    card.click()
    dialog, picture = page.locator("#frames"), page.locator("#frames .frame")
    expect(dialog.locator(".where")).to_have_text("1 / 3")
    page.keyboard.press("ArrowRight")
    expect(dialog.locator(".where")).to_have_text("2 / 3")
    expect(picture).to_have_attribute("src", re.compile(r"/frames/1\.jpg\?overlay=1"))
    wait_until(lambda: picture.evaluate("(image) => image.complete && image.naturalWidth > 0"))
    dialog.get_by_label("Boxes").uncheck()
    expect(picture).to_have_attribute("src", re.compile("overlay=0"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.close()


def test_datagen_is_started_from_the_page(browser, viewer):
    page = open_page(browser, viewer, tab="#training")
    job = page.locator("#job-datagen")
    runs = page.locator(".run").count()
    job.get_by_label("Runs").fill("1")
    job.get_by_label("Frames a run").fill("2")
    job.get_by_role("button", name="Start").click()
    expect(job.locator(".command")).to_contain_text("endoforge datagen")
    expect(job.locator(".badge")).to_have_text("done", timeout=600_000)
    expect(job.locator(".tail")).to_contain_text("frames")
    expect(page.locator(".run").first).to_contain_text("2 frames")
    assert page.locator(".run").count() > runs
    page.close()
