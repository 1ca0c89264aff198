"""Messages on stderr, and how many of them."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from endoforge.core.errors import UserError
from endoforge.core.text import shortened

LogLevel = Literal["debug", "info", "warning", "error"]


def level_of(environment: Mapping[str, str]) -> LogLevel:
    """What ENDOFORGE_LOG says, "info" if it isn't there; UserError if it is no level."""
    level = environment.get("ENDOFORGE_LOG", "info").lower()
    if level not in get_args(LogLevel):
        raise UserError(f"ENDOFORGE_LOG={level}: must be one of {', '.join(get_args(LogLevel))}")
    return cast(LogLevel, level)


def start_logging(level: LogLevel) -> None:
    """Messages on stderr as they are; warnings and errors say that they are."""
    handler = _Handler()
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Plugins found, fonts found, credentials found, requests made.
    for name in ("alembic", "matplotlib", "botocore", "aiobotocore", "httpx2", "wandb"):
        logging.getLogger(name).setLevel("WARNING")


class _Handler(logging.StreamHandler[Any]):
    """Writes to what stderr is now: while a bar is shown, rich puts lines above it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """A message is one line, whatever names of files are in it."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shortened(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return "\n".join(map(shortened, super().formatException(ei).splitlines()))
