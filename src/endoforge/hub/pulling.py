"""The `pull` command."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from endoforge.core.errors import UserError
from endoforge.core.files import NewFile
from endoforge.core.folders import make_folder, make_folder_of, new_folder
from endoforge.core.outputs import check_output_file, check_output_folder
from endoforge.core.progress import progress
from endoforge.core.reading import MEGABYTE
from endoforge.core.text import counted, printable
from endoforge.data.shards import SHARD_SUFFIX
from endoforge.detect.packaged import MOST_WEIGHTS_BYTES
from endoforge.detect.weights import load_weights
from endoforge.hub.address import HubAddress
from endoforge.hub.config import PullConfig
from endoforge.hub.contents import WEIGHTS_THERE, copy_checked, frames_of, sha256_of
from endoforge.hub.repository import HubFile, HubListing, Repository
from endoforge.roots.places import is_plain_name

log = logging.getLogger(__name__)

Checked = TypeVar("Checked")


@dataclass(frozen=True)
class PullResult:
    """What came, from which commit, and where it lies."""

    address: HubAddress
    """With the commit."""
    path: Path
    what: str

    def lines(self) -> list[str]:
        """The result for people, a line each."""
        return [f"pulled {self.address}", f"{self.path}: {self.what}"]


def run_pull(config: PullConfig) -> PullResult:
    """Bring weights or shards; what can't be used, or isn't what the Hub lists, never gets a name.

    Raises UserError for that, for a repository that can't be had, and for something in the way.
    """
    place = Path(config.place)
    repository = Repository(config.address)
    if config.address.kind == "model":
        check_output_file("--output", place)
        listing = repository.listing()
        what = _pull_weights(repository, listing, place)
    else:
        check_output_folder("--output", place)
        if place.is_dir() and any(place.iterdir()):
            raise _in_the_way(place)
        listing = repository.listing()
        what = _pull_shards(repository, listing, place)
    return PullResult(replace(config.address, revision=listing.commit), place, what)


def _in_the_way(place: Path) -> UserError:
    return UserError(f"--output {place}: is there already, and isn't replaced; name another")


def _pull_weights(repository: Repository, listing: HubListing, place: Path) -> str:
    listed = _listed_weights(repository.address, listing)
    if os.path.lexists(place):
        if sha256_of(place) != listed.sha256:
            raise _in_the_way(place)
        return f"is there already, the same, SHA-256 {listed.sha256}"
    make_folder_of(place)
    _keep_checked(repository, listing.commit, WEIGHTS_THERE, listed, place, load_weights)
    return f"weights, {listed.num_bytes / MEGABYTE:.1f} MB, SHA-256 {listed.sha256}"


def _listed_weights(address: HubAddress, listing: HubListing) -> HubFile:
    listed = listing.files.get(WEIGHTS_THERE)
    if listed is None:
        there = ", ".join(map(printable, sorted(listing.files)[:8])) or "nothing"
        raise UserError(
            f"{address}: has no {WEIGHTS_THERE}, as `endoforge push` puts it there, but {there}"
        )
    if listed.num_bytes > MOST_WEIGHTS_BYTES:
        raise UserError(f"{address}: {WEIGHTS_THERE} is larger than weights are; name another")
    return listed


def _pull_shards(repository: Repository, listing: HubListing, place: Path) -> str:
    shards = {
        name: one for name, one in sorted(listing.files.items()) if name.endswith(SHARD_SUFFIX)
    }
    if not shards:
        raise UserError(f"{repository.address}: has no shard (*.tar); name another")
    for name in shards:
        if not is_plain_name(name):
            raise UserError(f"{repository.address}: {printable(name)} is no plain name; not pulled")
    num_bytes = sum(one.num_bytes for one in shards.values())
    log.info("%s, %.1f MB", counted(len(shards), "shard"), num_bytes / MEGABYTE)
    num_frames = 0
    with new_folder(place) as partial, progress("pulling", len(shards), "shards") as advance:
        for name, listed in shards.items():
            path = partial / name
            make_folder(path.parent, within=partial)
            num_frames += _keep_checked(repository, listing.commit, name, listed, path, frames_of)
            advance()
    if left := len(listing.files) - len(shards):
        log.info("left %s there, no shards of the set", counted(left, "file"))
    return f"{counted(num_frames, 'frame')} in {counted(len(shards), 'shard')}"


def _keep_checked(
    repository: Repository,
    commit: str,
    name: str,
    listed: HubFile,
    path: Path,
    check: Callable[[Path], Checked],
) -> Checked:
    """Make the file `path` of one there, once it is what the Hub lists and `check` takes it."""
    fetched = repository.fetch(name, commit)
    new = NewFile(path)
    try:
        copy_checked(fetched, listed, new)
        checked = check(new.temporary)
        new.sync()
        new.keep()
    except UserError as error:
        new.discard()
        why = str(error).removeprefix(f"{new.temporary}: ").partition("; name ")[0]
        raise UserError(f"{repository.address}: {name} there: {why}; name another") from error
    except BaseException:
        new.discard()
        raise
    return checked
