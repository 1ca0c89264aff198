"""Chromium for the tests of pages, which are skipped where it is missing."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

try:
    import playwright.sync_api as playwright
    from playwright.sync_api import Browser, Page, expect
except ImportError:  # the tests are skipped, and say so
    if not TYPE_CHECKING:
        playwright = expect = None
        Browser = Page = object

__all__ = ["Browser", "Page", "expect"]
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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a package."""
    expect.set_options(timeout=180_000)
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()
