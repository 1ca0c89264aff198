"""What `push` and `pull` can be told; nothing heavy is imported here."""

import re
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from endoforge.core.errors import UserError
from endoforge.hub.address import SCHEME, HubAddress, parse_address


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Put weights, or a folder of shards, into a repository of the Hugging Face Hub.

    A repository that isn't there is made, for you alone unless --public is given. Needs one more
    package, pip install "endoforge[hub]", and to be logged in: hf auth login, or HF_TOKEN.
    """

    what: Positional[Annotated[str, arg(metavar="WEIGHTS|SHARDS")]] = ""
    """Weights, as `train` writes them (packaged: those that come with EndoForge); or a folder of
    shards, as `convert --format webdataset` writes it."""

    to: Positional[Annotated[str, arg(metavar="hf://USER/NAME")]] = ""
    """The repository: hf://USER/NAME of weights, hf://datasets/USER/NAME of shards."""

    public: bool = False
    """Let everybody see it. Without it, a repository that everybody sees is refused."""

    card: Annotated[str | None, arg(metavar="FILE")] = None
    """The README.md to put with it, in Markdown. Without it, weights get the card that
    `endoforge card` writes, and shards a few lines, unless the repository has one."""

    license: Annotated[str | None, arg(metavar="NAME")] = None
    """The licence that the README.md names if there is no --card, such as apache-2.0, as the Hub
    writes them. Without it, none is named."""

    def __post_init__(self) -> None:
        if not self.what.strip():
            raise UserError("WEIGHTS|SHARDS: name a file of weights, or a folder of shards")
        if self.what.startswith(SCHEME):
            raise UserError(f"{self.what}: comes second; first what is to be put there")
        if self.address.revision is not None:
            raise UserError(f"{self.to}: a push makes a new revision; leave @ and what follows out")
        if self.license is not None:
            self._check_license(self.license)

    def _check_license(self, name: str) -> None:
        if self.card is not None:
            raise UserError("--license: the README.md of --card says it; leave one of the two out")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
            raise UserError(f"--license {name!r}: must be a short name; try apache-2.0")

    @property
    def address(self) -> HubAddress:
        """The repository to put to."""
        return parse_address(self.to)


@dataclass(frozen=True, kw_only=True)
class PullConfig:
    """Bring weights, or shards, from a repository of the Hugging Face Hub, and check them.

    Needs one more package: pip install "endoforge[hub]". For what isn't public, be logged in: hf
    auth login, or HF_TOKEN.
    """

    repository: Positional[Annotated[str, arg(metavar="hf://USER/NAME")]] = ""
    """The repository: hf://USER/NAME of weights, hf://datasets/USER/NAME of shards. @REVISION, a
    commit, holds it still."""

    output: Annotated[str | None, arg(metavar="FILE|FOLDER")] = None
    """The file of weights, or the folder of shards, to make; what is there is never replaced.
    Default: NAME.safetensors, or the folder NAME, here."""

    def __post_init__(self) -> None:
        if self.output is not None and not self.output.strip():
            raise UserError("--output: expected the name of a file or folder, got nothing")
        parse_address(self.repository)

    @property
    def address(self) -> HubAddress:
        """The repository to bring from."""
        return parse_address(self.repository)

    @property
    def place(self) -> str:
        """The file or folder to make, of --output or by the repository's name."""
        ending = ".safetensors" if self.address.kind == "model" else ""
        return self.output or f"{self.address.name}{ending}"
