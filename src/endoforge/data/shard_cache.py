"""What is known of shards, kept in the user's cache folder: a start reads no shard twice.

A file for each shard and field of its labels. A cache that can't be used costs time, never an
error.
"""

import hashlib
import json
import logging
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.numpy import load, save

from endoforge import __version__
from endoforge.captures.tally import Tally
from endoforge.core.choices import LabelField
from endoforge.core.files import write_atomic
from endoforge.core.folders import is_link, make_folder, remove_files, remove_unfinished
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.data.blocks import KEPT_DAYS
from endoforge.data.decode_pictures import State, file_state
from endoforge.data.frame_cache import SETTLED_S
from endoforge.data.shard_index import ShardIndex, index_shard

log = logging.getLogger(__name__)

FORMAT = 1
_FILE = re.compile(r"[0-9a-f]{32}\.index")
_ARRAYS = ("places", "sizes", "run_of", "keys", "ends", "boxes", "classes")


@dataclass
class ShardCache:
    """The indexes of shards by one field of their labels, read once and kept.

    None are read or written if the folder is a link, or the one around it.
    """

    label_field: LabelField
    strict: bool = False
    path: Path = field(
        default_factory=lambda: user_cache_path("endoforge", appauthor=False) / "shards"
    )
    _warned: bool = False

    def index(self, shard: Path) -> ShardIndex:
        """The index of a shard as it is now: from the cache, else read and put there.

        Raises UserError, if `strict`, at the first thing that is left out.
        """
        state = file_state(shard)
        key = {
            "shard": str(shard.resolve()),
            "state": state,
            "label_field": self.label_field,
            "format": FORMAT,
            "version": __version__,
        }
        name = hashlib.sha256(json.dumps(key).encode(errors="surrogateescape")).hexdigest()[:32]
        path = self.path / f"{name}.index"
        kept = None if self._is_link() else _read(path)
        # Only reading it again raises what a strict tally would.
        if kept is not None and not (self.strict and kept.tally.counts):
            return kept
        index = index_shard(shard, self.label_field, strict=self.strict)
        if kept is None and is_settled(state) and not self._is_link():
            self._keep(path, index)
        return index

    def tidy(self) -> None:
        """Remove what no training has used for KEPT_DAYS, and what a killed process left."""
        if self._is_link():
            return
        oldest = time.time() - KEPT_DAYS * 24 * 3600
        with suppress(OSError):
            stale = [
                path.name
                for path in self.path.iterdir()
                if _FILE.fullmatch(path.name) and path.stat().st_mtime < oldest
            ]
            remove_files(self.path, stale)
            remove_unfinished(self.path, "*")

    def _is_link(self) -> bool:
        return is_link(self.path) or is_link(self.path.parent)

    def _keep(self, path: Path, index: ShardIndex) -> None:
        try:
            make_folder(self.path, within=self.path.parent)
            write_atomic(path, _to_bytes(index))
        except OSError as error:
            if not self._warned:
                log.warning(
                    "what is in shards can't be kept in %s, so it is read again whenever it is "
                    "needed: make room there, or set XDG_CACHE_HOME to another folder (%s)",
                    self.path,
                    error,
                )
            self._warned = True


def is_settled(state: State | None) -> bool:
    """Whether a change from now on would show in the file's state."""
    return state is not None and max(state[1:]) < time.time_ns() - SETTLED_S * 1e9


def _to_bytes(index: ShardIndex) -> bytes:
    told = {
        "runs": index.runs,
        "class_names": index.class_names,
        "digest": index.digest.hex(),
        "counts": index.tally.counts,
        "examples": index.tally.examples,
        "by_run": [[reason, run, n] for (reason, run), n in index.tally.by_run.items()],
    }
    arrays = {name: getattr(index, name) for name in _ARRAYS}
    arrays["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    body = save(arrays)
    return hashlib.sha256(body).digest() + body


def _read(path: Path) -> ShardIndex | None:
    """The index in a file, which counts as used; None if there is none, or it is damaged."""
    try:
        data = read_regular(path, MOST_LIST_BYTES)
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            log.debug("%s is damaged", path)
            return None
        arrays = load(data[32:])
        told: dict[str, Any] = json.loads(arrays.pop("told").tobytes())
        tally = Tally(examples=told["examples"])
        tally.counts.update(told["counts"])
        tally.by_run.update({(reason, run): n for reason, run, n in told["by_run"]})
        with suppress(OSError):
            os.utime(path)
        return ShardIndex(
            **arrays,
            runs=tuple(told["runs"]),
            class_names=tuple(told["class_names"]),
            digest=bytes.fromhex(told["digest"]),
            tally=tally,
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        log.debug("no index in %s: %s", path, error)
        return None
