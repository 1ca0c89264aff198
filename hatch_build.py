"""What a package index shows: the README with links that lead somewhere, and addresses.

The README's links are relative, for a checkout. In a package they lead into the repository that
pyproject.toml names, at the tag of the version; while it names none, they are left out.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^]]*)\]\(([^)\s]+)\)")
_ABSOLUTE = re.compile(r"[a-z]+:")


class PackagePage(MetadataHookInterface):
    """Makes the fields `readme` and `urls` of the package's metadata."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        repository = str(self.config["repository"]).rstrip("/")
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = package_page(readme, repository, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = project_urls(repository)


def package_page(readme: str, repository: str, version: str) -> str:
    """`readme` with links and pictures that are right outside the checkout of `repository`.

    Without a repository, relative links become their words, and pictures go.
    """

    def absolute(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        if _ABSOLUTE.match(target):
            return link[0]
        if not repository:
            return "" if picture else words
        if target.startswith("#"):
            return link[0]
        view = "raw" if picture else "blob"
        return f"{picture}[{words}]({repository}/{view}/v{version}/{target})"

    return _LINK.sub(absolute, readme)


def project_urls(repository: str) -> dict[str, str]:
    """The addresses that a package index shows beside the page; none without a repository."""
    if not repository:
        return {}
    return {
        "Homepage": repository,
        "Documentation": f"{repository}/tree/main/docs",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Security": f"{repository}/security/policy",
    }
