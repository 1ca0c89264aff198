"""The documentation site: built strictly, whole, searchable, and with nothing from another host."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import endoforge
from tests.chromium import NEEDS_BROWSER, Browser, expect

from .pages import ROOT

REQUESTS = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)="(https?:)?//""")
FROM_STYLES = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")


def on_chromium(test: Callable[..., None]) -> Callable[..., None]:
    """Marked as a test that needs it."""
    for mark in NEEDS_BROWSER:
        test = mark(test)
    return test


def build(source: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """What `make site` does."""
    command = ["-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-d", f"{to}.trees"]
    return subprocess.run(
        [sys.executable, *command, "-c", "docs/site", ".", str(to)],
        cwd=source, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the documents as they are."""
    folder = tmp_path_factory.mktemp("site") / "html"
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_page_of_each_document_and_a_first_page(site: Path) -> None:
    documents = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert {page.stem for page in (site / "docs").glob("*.html")} == documents
    first = (site / "index.html").read_text(encoding="utf-8")
    assert "needs no labelled video" in first
    assert re.search(r"make\W*demo", re.sub(r"<[^>]+>", "", first))
    assert 'href="notebooks/README.html"' in first


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    page = (site / "docs/site/reference.html").read_text(encoding="utf-8")
    described = set(re.findall(r'id="endoforge\.(\w+)"', page))
    assert described == {name for name in endoforge.__all__ if name != "__version__"}


@pytest.mark.slow
@on_chromium
def test_the_search_works_from_files_alone(site: Path, browser: Browser) -> None:
    """In pages that are opened from a disk, where no server answers."""
    page = browser.new_page()
    for words, found in (("torchrun", "Training and measuring"), ("load_detector", "Reference")):
        page.goto(f"{(site / 'search.html').as_uri()}?q={words}")
        expect(page.locator("#search-results ul.search")).to_contain_text(found)
    page.close()


@pytest.mark.slow
def test_nothing_comes_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not REQUESTS.search(page.read_text(encoding="utf-8")), page
    for style in site.rglob("*.css"):
        assert not FROM_STYLES.search(style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_a_broken_link_ends_the_build(tmp_path: Path) -> None:
    """Of two pages, with the settings of the site."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs/site", source / "docs/site")
    (source / "docs/site/reference.md").unlink()
    settings = (ROOT / "docs/site/conf.py").read_text(encoding="utf-8")
    two_pages = re.sub(r"(?s)\nCONTENTS = \{.*?\n\}", '\nCONTENTS = {"A": ["docs/b"]}', settings)
    (source / "docs/site/conf.py").write_text(two_pages, encoding="utf-8")
    (source / "docs/b.md").write_text("# B\n\n## A heading\n", encoding="utf-8")
    good = "# A\n\n[page](docs/b.md), [heading](docs/b.md#a-heading)\n"
    (source / "README.md").write_text(good, encoding="utf-8")
    assert build(source, tmp_path / "good").returncode == 0
    broken = "[one](docs/b.md#no-heading), [two](docs/no-page.md), [three](#no-place)\n"
    (source / "README.md").write_text(good + broken, encoding="utf-8")
    done = build(source, tmp_path / "broken")
    assert done.returncode != 0
    assert all(name in done.stderr for name in ("no-heading", "no-page", "no-place"))
