"""One browser for the tests of reports."""

from tests.chromium import browser

__all__ = ["browser"]
