"""The documentation site, built by Sphinx from the Markdown of the repository: `make site`.

The repository is the source folder, so that the links by which a code host leads from page to page
lead here too. Nothing in a page serves the site alone: what it needs beyond them stands in here.
"""

import re
import shutil
from dataclasses import is_dataclass
from pathlib import Path

from docutils.nodes import literal_block
from sphinx.application import Sphinx
from sphinx.util.docutils import nodes

import endoforge

project = "EndoForge"
version = release = endoforge.__version__
project_copyright = "EndoForge's authors, Apache-2.0"
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("docs/*.md", "docs/cards/*.md", "docs/site/*.md", "deploy/README.md", "benchmarks/README.md"),
    "notebooks/README.md",
]
# Not even looked into: an environment has thousands of folders.
exclude_patterns = [".*", "site", "src", "tests", "assets", "demo", "checkpoints"]
needs_sphinx = "8.2"

myst_heading_anchors = 6
# Blocks of the pages name no language where they are typed into a shell, or were printed by it.
highlight_language = "text"
TYPED = re.compile(
    r"(endoforge|make|pip|python|source|torchrun|ssh|ray|sbatch|docker|\S+/bin/\w+|\w+=\S+) "
)

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
toc_object_entries_show_parents = "hide"
smartquotes = False  # they would make a dash of the two before a flag

html_theme = "furo"
html_title = f"EndoForge {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/mark.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_logo": "mark.svg",
    "dark_logo": "mark.svg",
    "light_css_variables": {
        "color-brand-primary": "#a8324a",
        "color-brand-content": "#a8324a",
        "color-brand-visited": "#7d3a56",
    },
    "dark_css_variables": {
        "color-brand-primary": "#f08a9b",
        "color-brand-content": "#f08a9b",
        "color-brand-visited": "#d79aad",
    },
}
copybutton_exclude = ".linenos, .gp, .go, .c1"

CONTENTS = {
    "Begin": ["docs/installing", "docs/your-footage", "notebooks/README", "docs/gallery"],
    "Simulate": ["docs/simulator", "docs/datasets", "docs/sim-view"],
    "Label": ["docs/labelling", "docs/formats", "docs/tables", "docs/depth"],
    "Train": ["docs/training", "docs/gpus", "docs/scale", "deploy/README", "docs/hub"],
    "Use": ["docs/inference", "docs/api", "docs/site/reference"],
    "How well": [
        *("docs/sim2real", "docs/cards/packaged", "docs/cards/simulated-data", "docs/performance"),
        *("benchmarks/README", "docs/log"),
    ],
    "The project": [
        *("docs/architecture", "CONTRIBUTING", "CODE_OF_CONDUCT", "SECURITY", "CHANGELOG"),
    ],
}
"""The pages in the sidebar. One that is in no list is a warning, which ends a strict build."""


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """The first page is the README, which has the sidebar's lists behind it."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"
            source[0] += "\n".join(f"/{page}" for page in pages) + "\n```\n"


def colour_commands(_app: Sphinx, doctree: nodes.document) -> None:
    """What is typed into a shell is coloured as such."""
    for block in doctree.findall(literal_block):
        if block.get("language", "default") in ("default", "text") and TYPED.match(block.astext()):
            block["language"] = "bash"


def keep_words(
    _app: Sphinx, _what: str, _name: str, _of: object, _options: object, lines: list[str]
) -> None:
    """Docstrings are sentences with `names` in them, of no other markup than lists and examples."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            words = re.split(r"`([^`]+)`", line)
            words[::2] = [re.sub(r"[*_|]", r"\\\g<0>", text) for text in words[::2]]
            words[1::2] = [f"``{name}``\\ " for name in words[1::2]]
            lines[number] = "".join(words)


def leave_fields_out(
    _app: Sphinx, _what: str, _name: str, of: object, _options: object, *_signature: str | None
) -> tuple[str, None] | None:
    """A dataclass lists its fields below itself: they aren't repeated as arguments."""
    return ("", None) if is_dataclass(of) else None


def put_first_page(app: Sphinx, error: Exception | None) -> None:
    """The README is also the page that a server or a browser shows for the folder."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("doctree-read", colour_commands)
    app.connect("autodoc-process-docstring", keep_words)
    app.connect("autodoc-process-signature", leave_fields_out)
    app.connect("build-finished", put_first_page)
