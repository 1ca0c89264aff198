"""The `push` command."""

from dataclasses import dataclass
from pathlib import Path

from endoforge.cards.model_card import known_weights, model_card
from endoforge.core.errors import UserError
from endoforge.core.reading import MEGABYTE, read_regular
from endoforge.core.text import counted, decode_text
from endoforge.data.shards import SHARD_SUFFIX
from endoforge.detect.packaged import weights_file
from endoforge.formats.source import files_below
from endoforge.hub.address import HubAddress
from endoforge.hub.config import PushConfig
from endoforge.hub.contents import WEIGHTS_THERE, frames_of, sha256_of
from endoforge.hub.readme import shards_readme, weights_readme
from endoforge.hub.repository import HubListing, Repository
from endoforge.roots.places import refuse_cloud

README = "README.md"


@dataclass(frozen=True)
class PushResult:
    """What was put, and at which commit it can be had from now on."""

    address: HubAddress
    commit: str
    digests: dict[str, str]
    is_private: bool

    def lines(self) -> list[str]:
        """The result for people, a line each."""
        seen = "you alone (and those you let in)" if self.is_private else "everybody"
        return [
            *(f"{name}: SHA-256 {digest}" for name, digest in self.digests.items()),
            f"pushed {self.address}@{self.commit}, seen by {seen}",
        ]


def run_push(config: PushConfig) -> PushResult:
    """Put what `config` names into its repository, in one commit, and look that it is there.

    Raises UserError, with nothing put, for weights or shards that can't be used, and for a
    repository that can't be had or that everybody sees without --public.
    """
    refuse_cloud("WEIGHTS|SHARDS", config.what, "fetch it first: push puts what is on this disk")
    if config.address.kind == "model":
        files, readme = _weights(config)
    else:
        files, readme = _shards(config)
    digests = {name: sha256_of(path) for name, path in files.items()}
    repository = Repository(config.address)
    repository.make(private=not config.public)
    before = repository.listing()
    if not before.is_private and not config.public:
        raise UserError(f"{config.address}: everybody sees it; give --public if they may")
    with_readme = config.card is not None or README not in before.files
    texts = {README: readme.encode()} if with_readme else {}
    commit = repository.put({**files, **texts}, f"Push {', '.join(list(files)[:3])} with EndoForge")
    _check_there(config.address, repository.listing(commit), digests)
    return PushResult(config.address, commit, digests, before.is_private)


def _weights(config: PushConfig) -> tuple[dict[str, Path], str]:
    """The file by its name there, and the text of README.md."""
    path = weights_file(config.what)
    if path.is_dir():
        raise UserError(f"{path}: a folder; shards go to hf://datasets/{config.address.repository}")
    notes = f"Licence: {config.license}, as who pushed it says." if config.license else ""
    card = model_card(known_weights(path), [], notes)
    readme = _card(config) or weights_readme(card, str(config.address), config.license)
    return {WEIGHTS_THERE: path}, readme


def _shards(config: PushConfig) -> tuple[dict[str, Path], str]:
    """The files by their names there, and the text of README.md."""
    folder = Path(config.what)
    shards = files_below(folder, [SHARD_SUFFIX]) if folder.is_dir() else []
    if not shards:
        raise UserError(
            f"{folder}: no folder with shards (*.tar); `endoforge convert --format webdataset` "
            f"makes one of runs, and weights go to hf://{config.address.repository}"
        )
    num_frames = sum(map(frames_of, shards))
    if not num_frames:
        raise UserError(f"{folder}: no picture with a label in its {counted(len(shards), 'shard')}")
    files = {shard.relative_to(folder).as_posix(): shard for shard in shards}
    readme = _card(config) or shards_readme(
        num_frames, len(shards), str(config.address), config.license
    )
    return files, readme


def _card(config: PushConfig) -> str | None:
    if config.card is None:
        return None
    try:
        return decode_text(read_regular(config.card, MEGABYTE))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise UserError(f"--card {config.card}: can't be read ({why}); name another") from error


def _check_there(address: HubAddress, there: HubListing, digests: dict[str, str]) -> None:
    """The Hub may leave out what the repository's own .gitignore names."""
    for name, digest in digests.items():
        found = there.files.get(name)
        if found is None or found.sha256 != digest:
            raise UserError(
                f"{address}@{there.commit}: lacks {name}, or has another; look at its .gitignore "
                "and .gitattributes there, then push again"
            )
