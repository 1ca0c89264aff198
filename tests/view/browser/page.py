"""What the browser's tests have in common: Chromium, and ways to look at the page."""

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.view.browser.viewer import Viewer

try:
    import playwright.sync_api as playwright
    from playwright.sync_api import Browser, Page, expect
except ImportError:  # the tests are skipped, and say so
    if not TYPE_CHECKING:
        playwright = expect = None
        Browser = Page = object

__all__ = ["Browser", "Page", "expect", "playwright"]
"""What the tests get from here, since it may be missing."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
NEEDS_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(playwright is None, reason="no playwright: `make env` installs it"),
    pytest.mark.skipif(
        CHROMIUM is None,
        reason=f"no Chromium: install the package chromium, or put {' or '.join(NAMES)} on PATH",
    ),
]
A_NUMBER = re.compile(r"^[\d,]+(\.\d+)?$")
DESKTOP, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
FIRST_PICTURE_MS = 600_000
"""Kernels may have to be compiled first, by a busy machine."""


def open_page(browser: Browser, viewer: Viewer, size=DESKTOP, tab: str = "") -> Page:
    """The live tab once it shows a picture, or another tab."""
    page = browser.new_page(viewport=size)
    page.goto(f"{viewer.address}/{tab}")
    expect(page.locator("#link")).to_have_attribute("data-state", "open")
    if not tab:
        wait_for_a_picture(page)
    return page


def wait_for_a_picture(page: Page) -> None:
    view = page.locator("#view")
    expect(view).to_have_attribute("data-frame", A_NUMBER, timeout=FIRST_PICTURE_MS)


def hud(page: Page, name: str):
    """A reading."""
    return page.locator(f'[data-hud="{name}"]').first


def button(page: Page, action: str):
    """The button of an action."""
    return page.locator(f'[data-do="{action}"]').first


def picture(page: Page) -> str:
    """The canvas as it is, as text."""
    text: str = page.locator("#view").evaluate("(view) => view.toDataURL()")
    return text
