"""What the browser's tests of the live view have in common: ways to look at its page."""

import re

from tests.chromium import Browser, Page, expect
from tests.view.browser.viewer import Viewer

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


def wait_for_another_picture(page: Page) -> None:
    """Wait for one that is shown after this call."""
    view = page.locator("#view")
    shown = view.get_attribute("data-frame")
    expect(view).not_to_have_attribute("data-frame", shown or "", timeout=FIRST_PICTURE_MS)


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
