"""A repository of the Hugging Face Hub, with what it holds; faults of any kind in one line."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endoforge.core.errors import UserError
from endoforge.core.packages import packages_of
from endoforge.core.progress import on_terminal
from endoforge.core.text import printable, shortened
from endoforge.hub.address import HubAddress

MOST_SAID = 300
"""Characters of what the library says of a fault."""
LOG_IN = "log in (hf auth login, or set HF_TOKEN)"


@dataclass(frozen=True)
class HubFile:
    """A file as the Hub lists it; `sha256` is None of small texts, of which it keeps none."""

    num_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class HubListing:
    """What a repository holds at one commit."""

    commit: str
    is_private: bool
    files: dict[str, HubFile]


class Repository:
    """A repository by its address. All methods raise UserError, which begins with that."""

    def __init__(self, address: HubAddress) -> None:
        self.address = address
        self._hub = _import_hub()
        self._api = self._hub.HfApi()
        self._which = {"repo_id": address.repository, "repo_type": address.kind}

    def make(self, *, private: bool) -> None:
        """Make the repository if it isn't there; one that is stays as it is."""
        with self._faults():
            if self._hub.get_token() is None:
                raise UserError(f"{self.address}: you aren't logged in; {LOG_IN}")
            self._api.create_repo(**self._which, private=private, exist_ok=True)

    def listing(self, commit: str | None = None) -> HubListing:
        """What it holds at `commit`, or at the address's revision."""
        revision = commit or self.address.revision
        with self._faults():
            found = self._api.repo_info(**self._which, revision=revision, files_metadata=True)
            files = {one.rfilename: _hub_file(one) for one in found.siblings or ()}
            return HubListing(str(found.sha), bool(found.private), files)

    def put(self, files: Mapping[str, Path | bytes], message: str) -> str:
        """Put files by their names there, all in one commit; which one."""
        with self._faults():
            added = [
                self._hub.CommitOperationAdd(
                    path_in_repo=name, path_or_fileobj=one if isinstance(one, bytes) else str(one)
                )
                for name, one in files.items()
            ]
            made = self._api.create_commit(**self._which, operations=added, commit_message=message)
            return str(made.oid)

    def fetch(self, name: str, commit: str) -> Path:
        """A file of the library's cache, fetched if it isn't there; nothing of it is checked."""
        with self._faults():
            found = self._api.hf_hub_download(**self._which, filename=name, revision=commit)
            return Path(found).resolve()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            words = self._words(error)
            if words is None:
                raise
            raise UserError(f"{self.address}: {words}") from error

    def _words(self, error: BaseException) -> str | None:
        """What is wrong and the mend; None of what isn't the Hub's."""
        kinds = self._hub.errors
        chain = list(_chain(error))
        for one in chain:
            if isinstance(one, kinds.GatedRepoError):
                return f"its owner lets in whom they know; ask on its page, then {LOG_IN}"
            if isinstance(one, kinds.RepositoryNotFoundError):
                return f"no such repository that you may see; name another, or {LOG_IN}"
            if isinstance(one, kinds.RevisionNotFoundError):
                return "no such revision; name another, or leave it out for the newest"
            if isinstance(one, kinds.OfflineModeIsEnabled):
                return "HF_HUB_OFFLINE is set; unset it"
            if isinstance(one, kinds.HfHubHTTPError):
                said = printable(one.server_message or "") or _in_one_line(chain[0])
                return _of_status(one.response.status_code, said)
        for one in chain:
            if isinstance(one, kinds.HTTPError | ConnectionError | kinds.LocalEntryNotFoundError):
                said = _in_one_line(chain[-1])
                return f"can't be reached ({said}); look at the network, and at HF_ENDPOINT"
            if isinstance(one, kinds.FileMetadataError | ValueError):
                return f"the Hub doesn't take or give that ({_in_one_line(one)})"
        return None


def _of_status(status: int, said: str) -> str:
    if status == 401:
        return f"you aren't logged in, or with a token that isn't taken; {LOG_IN}"
    if status == 403:
        return f"this token may not do that ({said}); make one that may write, then {LOG_IN}"
    if status == 429 or status >= 500:
        return f"the Hub can't do it now ({said}); run the same command again later"
    return f"the Hub refuses it ({said})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _in_one_line(error: BaseException) -> str:
    return shortened(" ".join(str(error).split()) or type(error).__name__, MOST_SAID)


def _hub_file(listed: Any) -> HubFile:
    sha256 = None if listed.lfs is None else str(listed.lfs.sha256)
    return HubFile(int(listed.size or 0), sha256)


def _import_hub() -> Any:
    # The library would tell its makers what it is used for.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with packages_of("hub", "the Hub"):
        import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars

    if not on_terminal():
        disable_progress_bars()
    # What it tries again is said once, at the end, by the error.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return huggingface_hub
