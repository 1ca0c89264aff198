"""Addresses of the Hub's repositories, such as hf://user/name; nothing heavy is imported here."""

import re
from dataclasses import dataclass
from typing import Literal

from endoforge.core.errors import UserError
from endoforge.core.text import printable

SCHEME, DATASETS = "hf://", "datasets/"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_ADDRESS = re.compile(
    rf"hf://(datasets/)?(?!datasets/|spaces/)({_PART})/({_PART})(?:@([\w.][\w./-]*))?/?"
)


@dataclass(frozen=True, kw_only=True)
class HubAddress:
    """A repository of weights (`model`) or of shards (`dataset`), at a revision or its newest."""

    kind: Literal["model", "dataset"]
    owner: str
    name: str
    revision: str | None = None
    """A commit, a branch or a tag; None is the newest of the branch main."""

    def __str__(self) -> str:
        folder = DATASETS if self.kind == "dataset" else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{folder}{self.repository}{revision}"

    @property
    def repository(self) -> str:
        """As the Hub names it: `owner/name`."""
        return f"{self.owner}/{self.name}"


def parse_address(text: str) -> HubAddress:
    """The repository that `text` names; raises UserError if it can't be one's address."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise UserError(
            f"{printable(text) or 'no address'}: must be hf://USER/NAME of weights or "
            "hf://datasets/USER/NAME of shards, with @REVISION or without"
        )
    datasets, owner, name, revision = found.groups()
    kind: Literal["model", "dataset"] = "dataset" if datasets else "model"
    return HubAddress(kind=kind, owner=owner, name=name, revision=revision)
