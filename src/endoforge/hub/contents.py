"""What goes to the Hub and comes from there, checked either way as any file from somebody else."""

import hashlib
from pathlib import Path

from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.files import NewFile
from endoforge.core.reading import MEGABYTE, open_regular
from endoforge.data.shards import read_shard
from endoforge.hub.repository import HubFile

WEIGHTS_THERE = "model.safetensors"
"""The name of weights in a repository, by the Hub's custom."""


def sha256_of(path: Path) -> str:
    """Of a regular file, in hexadecimal digits; raises OSError for anything else."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(MEGABYTE):
            digest.update(part)
    return digest.hexdigest()


def frames_of(shard: Path) -> int:
    """The frames of a shard with their labels; raises UserError for one that isn't whole."""
    try:
        content = read_shard(shard, Tally())
    except OSError as error:
        raise UserError(f"{shard}: can't be read ({error.strerror or error})") from error
    if content.damage:
        raise UserError(f"{shard}: not a whole tar file ({content.damage[0]})")
    return sum(picture.fault is None for _, picture, _ in content.pairs())


def copy_checked(source: Path, listed: HubFile, new: NewFile) -> None:
    """Copy a fetched file into `new`; raises UserError if it isn't the one that the Hub lists."""
    if listed.sha256 is None:
        raise UserError("the Hub lists no SHA-256 of it: push it anew, as a large file")
    digest = hashlib.sha256()
    with open_regular(source) as file:
        while part := file.read(MEGABYTE):
            digest.update(part)
            new.write(part)
    new.file.flush()
    if digest.hexdigest() != listed.sha256:
        raise UserError(f"{source}: not what the Hub lists, by its SHA-256; remove it, pull again")
