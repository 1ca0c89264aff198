"""The page's files: complete, and of this host alone."""

import re
from pathlib import Path

import pytest

import endoforge

STATIC = Path(endoforge.__file__).parent / "view" / "static"
PAGE = STATIC / "index.html"
MODULES = sorted(STATIC.glob("js/**/*.js"))
TEXTS = [PAGE, *MODULES, *sorted(STATIC.glob("css/*.css")), *sorted(STATIC.glob("*.svg"))]
NAMESPACES = ("http://www.w3.org/2000/svg",)
"""Names, which nothing fetches."""


def imported_by(module: Path) -> list[Path]:
    names = re.findall(r'from "(\.{1,2}/[^"]+)"', module.read_text())
    return [(module.parent / name).resolve() for name in names]


def test_what_the_page_loads_is_there():
    loaded = re.findall(r'(?:src|href)="/static/([^"]+)"', PAGE.read_text())

    assert "js/main.js" in loaded
    assert [name for name in loaded if not (STATIC / name).is_file()] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_what_a_module_imports_is_there(module):
    text = module.read_text()

    assert [path for path in imported_by(module) if not path.is_file()] == []
    assert len(imported_by(module)) == len(re.findall(r"^import\b|^} from", text, re.MULTILINE))
    for names, source in re.findall(r'import \{([^}]+)\} from "(\.{1,2}/[^"]+)"', text):
        exported = (module.parent / source).read_text()
        for name in (name.strip() for name in names.split(",") if name.strip()):
            assert re.search(rf"export (async )?(function|class|const) {name}\b", exported), name


def test_every_module_is_used():
    used = {path for module in MODULES for path in imported_by(module)}

    assert {path for path in MODULES if path.stem != "main"} == used


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_file_names_another_host(path):
    text = path.read_text()
    for namespace in NAMESPACES:
        text = text.replace(namespace, "")

    assert not re.search(r"(https?|wss?)://(?!\$\{location)|[\"'(]//\w", text)


def test_the_page_has_nothing_inline_that_its_policy_forbids():
    text = PAGE.read_text()

    assert not re.search(r"<style|\sstyle=|\son\w+=", text)
    assert re.findall(r"<script([^>]*)>", text) == [' type="module" src="/static/js/main.js"']
    scripts = "".join(module.read_text() for module in MODULES)
    assert not re.search(r"innerHTML|\beval\(|new Function|setAttribute\(\"style", scripts)


def test_every_element_that_a_module_asks_for_is_on_the_page():
    page = PAGE.read_text()
    scripts = "".join(module.read_text() for module in MODULES)

    asked = set(re.findall(r'byId\("([^"]+)"\)', scripts))
    written = set(re.findall(r'#(?:write|error)\("([^"]+)"', scripts))
    assert {name for name in asked if f'id="{name}"' not in page} == set()
    assert {name for name in written if f'data-hud="{name}"' not in page} == set()


def test_every_control_has_an_action_and_a_name():
    page = PAGE.read_text()
    actions = (STATIC / "js/actions.js").read_text()
    controls = re.findall(r"<button[^>]*data-do=\"([^\"]+)\"[^>]*>(.*?)</button>", page)

    assert len(controls) > 15
    for action, _ in controls:
        assert re.search(rf'^    "?{action}"?: ', actions, re.MULTILINE), action


def test_a_stepper_says_more_than_its_keys():
    """Its key alone, as "[", doesn't tell whether it is up or down."""
    page = PAGE.read_text()
    steppers = re.findall(r'<div class="stepper".*?</div>', page, re.DOTALL)
    assert len(steppers) == 3
    for stepper in steppers:
        signs = re.findall(
            r'<button[^>]* aria-label="[^"]+"[^>]*><i aria-hidden="true">(.)<', stepper
        )
        assert signs == ["\N{MINUS SIGN}", "+"]
