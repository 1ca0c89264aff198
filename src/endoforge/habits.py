"""What people type by habit: from the tool before this one, from cargo and other Rust programs."""

import difflib
from collections.abc import Collection, Mapping, Sequence

from endoforge.core.errors import UserError


def without_separator(args: Sequence[str], flags: Collection[str]) -> list[str]:
    """`args` without the first `--`, if it stands before any of `flags`: cargo wants it there.

    Before anything else it stays: what follows it is no flag then, though it may begin with `-`.
    """
    words = list(args)
    if "--" in words:
        place = words.index("--")
        after = [word.partition("=")[0].replace("_", "-") for word in words[place + 1 :]]
        if not after or any(word in flags for word in after):
            del words[place]
    return words


def command_named(typed: str, known: Collection[str]) -> str:
    """The one of `known` that is meant: underscores stand for hyphens.

    Raises UserError, with the nearest of them, if it is none.
    """
    name = typed.replace("_", "-")
    if name in known:
        return name
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    perhaps = f"; perhaps you meant {near[0]}" if near else ""
    raise UserError(
        f"no command {typed!r}{perhaps}; choose from {', '.join(known)} (endoforge --help)"
    )


def unread_log_level(args: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """A line for those who set RUST_LOG and nothing that is read here; else None."""
    said = "ENDOFORGE_LOG" in environment or any(
        word.replace("_", "-").startswith("--log-level") for word in args
    )
    if said or not environment.get("RUST_LOG"):
        return None
    return (
        "RUST_LOG isn't read here: --log-level, or ENDOFORGE_LOG, says how much to log "
        "(debug, info, warning or error)"
    )
