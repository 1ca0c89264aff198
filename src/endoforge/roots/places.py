"""What a root is: a folder, or an address such as s3://bucket/captures, and where it is worked on.

An address stays the text that the user gave, in configurations, files and messages: a `Path` would
make one slash of its two. Nothing heavy is imported here, and nothing is looked up.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from platformdirs import user_cache_path
from tyro.conf import arg

from endoforge.core.errors import UserError
from endoforge.core.text import printable

ROOT, FILE, RUNS_AND_OUT = "FOLDER|ADDRESS", "FILE|ADDRESS", "RUNS|ADDRESS... OUT|ADDRESS"
"""How the help shows flags that take either; of all others an address is refused."""
RootFlag = Annotated[str, arg(metavar=ROOT)]
OptionalRootFlag = Annotated[str | None, arg(metavar=ROOT)]

SCHEMES = ("s3", "gs", "az")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?")
_PROBLEM = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True)
class CloudRoot:
    """A place in object storage: `scheme`://`bucket`/`prefix`; the prefix may be empty."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return "/".join(part for part in (f"{self.scheme}://{self.bucket}", self.prefix) if part)

    @property
    def mirror(self) -> Path:
        """The folder that holds what was fetched from here; the bucket has all of it."""
        return self._in("roots")

    @property
    def outgoing(self) -> Path:
        """The folder in which is made what is to lie here; the bucket may lack some of it."""
        return self._in("outgoing")

    def _in(self, tree: str) -> Path:
        # Laid out as the bucket is: of two roots one lies in the other here if it does there.
        top = user_cache_path("endoforge", appauthor=False) / tree / self.scheme / self.bucket
        return top / self.prefix if self.prefix else top


def cloud_root(given: str | Path) -> CloudRoot | None:
    """The place in object storage that `given` names; None if it is the path of a folder.

    Raises UserError for an address that can't be a root.
    """
    text = str(given)
    if (found := _ADDRESS.match(text)) is None:
        return None
    scheme, shown = found[1].lower(), printable(text)
    if scheme not in SCHEMES:
        if not text.startswith(f"{found[1]}://"):
            return None  # a folder's name with a colon in it
        kinds = ", ".join(f"{one}://" for one in SCHEMES)
        raise UserError(f"{shown}: no known kind of root; there are {kinds} and folders")
    bucket, _, prefix = text[found.end() :].rstrip("/").partition("/")
    if not bucket:
        raise UserError(f"{shown}: names no bucket; try {scheme}://BUCKET/captures")
    if not is_plain_name(bucket) or (prefix and not is_plain_name(prefix)):
        raise UserError(f"{shown}: has an empty part, or one of dots; leave it out")
    return CloudRoot(scheme, bucket, prefix)


def is_plain_name(name: str) -> bool:
    """Whether an object's name can be a file's path in a folder, and leads nowhere else."""
    return not _PROBLEM.search(name) and all(
        part not in ("", ".", "..") for part in name.split("/")
    )


def read_from(given: str | Path) -> Path:
    """The folder in which what a root holds is read: itself, or what `fetch` fills."""
    root = cloud_root(given)
    return Path(given) if root is None else root.mirror


def written_to(given: str | Path) -> Path:
    """The folder in which what a root shall hold is made: itself, or what is put from there."""
    root = cloud_root(given)
    return Path(given) if root is None else root.outgoing


def check_flags(config: type[Any], parsed: Any) -> None:
    """Raises UserError for an address that can't be one, or of which its flag can make nothing.

    `parsed` is a command line as the fields of `config`.
    """
    for name, hint in get_type_hints(config, include_extras=True).items():
        notes = getattr(hint, "__metadata__", ())
        shown = next((note.metavar for note in notes if getattr(note, "metavar", None)), None)
        named = next((note.name for note in notes if getattr(note, "name", None)), name)
        value = getattr(parsed, name)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                _check(f"--{named.replace('_', '-')}", text, shown)


def _check(flag: str, text: str, metavar: str | None) -> None:
    if metavar in (ROOT, FILE, RUNS_AND_OUT):
        cloud_root(text)
    elif text.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        raise UserError(
            f"{flag} {printable(text)}: is for folders and files of this machine; the flags that "
            "take addresses have the word ADDRESS in --help"
        )


def refuse_cloud(flag: str, given: str | Path, why: str) -> None:
    """Raises UserError if `given` is an address; `why` says why not, and the mend."""
    if cloud_root(given) is not None:
        raise UserError(f"{flag} {given}: {why}")
