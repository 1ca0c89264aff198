"""One browser, and one page of a lively detector, for the tests of the page that detects."""

from pathlib import Path

import pytest

from endoforge.detect.neural import NeuralDetector
from endoforge.export.web_page import build_page
from tests.chromium import browser
from tests.export.browser.opened import Opened

__all__ = ["browser"]


@pytest.fixture(scope="package")
def detector(lively):
    """What the page must find the same as."""
    return NeuralDetector(lively)


@pytest.fixture(scope="package")
def page_file(detector, graphs, tmp_path_factory) -> Path:
    """The page, as `export` writes it but for the comparison."""
    path: Path = tmp_path_factory.mktemp("web") / "detector.html"
    path.write_bytes(build_page(graphs[True].SerializeToString(), detector))
    return path


@pytest.fixture
def opened(browser, page_file):
    """The page, opened from disk and ready; it must have asked for nothing else."""
    view = Opened(browser, page_file.as_uri())
    yield view
    view.close()
