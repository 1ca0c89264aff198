"""What a package index shows: the README with links that lead somewhere, or none."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import endoforge

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = "https://host.example/owner/endoforge"
LINK = re.compile(r"!?\[[^]]*\]\(([^)]*)\)")


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_lead_to_the_tag_and_pictures_to_their_bytes(page: ModuleType) -> None:
    inside = f"{REPOSITORY}/blob/v1.2.3"
    text = (
        "![seen](docs/a.jpg), [why](docs/b.md#c), [here](#d), [there](https://e.example/f), `[g]`\n"
        "[words\nin two lines](docs/h.md)"
    )
    assert page.package_page(text, REPOSITORY, "1.2.3") == (
        f"![seen]({REPOSITORY}/raw/v1.2.3/docs/a.jpg), [why]({inside}/docs/b.md#c), "
        "[here](#d), [there](https://e.example/f), `[g]`\n"
        f"[words\nin two lines]({inside}/docs/h.md)"
    )


def test_without_a_repository_words_stay_and_pictures_go(page: ModuleType) -> None:
    text = "![seen](docs/a.jpg)[why](docs/b.md#c), [there](https://e.example/f)"
    assert page.package_page(text, "", "1.2.3") == "why, [there](https://e.example/f)"
    assert page.project_urls("") == {}


def test_the_readme_has_no_link_that_an_index_could_not_follow(page: ModuleType) -> None:
    for repository in (REPOSITORY, ""):
        shown = page.package_page(README, repository, "1.2.3")
        links = [link for link in LINK.findall(shown) if not link.startswith("#")]
        assert links
        assert all(link.startswith("https://") for link in links), repository
    assert all(url.startswith(REPOSITORY) for url in page.project_urls(REPOSITORY).values())


def test_what_the_readme_links_to_is_there() -> None:
    for link in LINK.findall(README):
        if not link.startswith(("https://", "#")):
            assert (ROOT / link.partition("#")[0]).exists(), link


def test_the_changelog_begins_with_the_version_that_is_released_next() -> None:
    [first, *_] = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert re.fullmatch(
        rf"{re.escape(endoforge.__version__)} — (unreleased|\d{{4}}-\d\d-\d\d)", first
    )
