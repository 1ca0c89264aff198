"""Packages that come with an extra: if they aren't installed, one line says what installs them."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from endoforge.core.errors import UserError


@contextmanager
def packages_of(extra: str, user: str) -> Iterator[None]:
    """While packages of `extra` are imported: an ImportError becomes a UserError.

    It begins with `user`, the flag or the command that needs them.
    """
    try:
        yield
    except ImportError as error:
        raise _not_installed(extra, user, str(error)) from error


def check_packages(extra: str, user: str, names: Sequence[str]) -> None:
    """Raise UserError, which begins with `user`, unless the packages `names` of `extra` are here.

    Nothing is imported for that.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise _not_installed(extra, user, ", ".join(missing))


def _not_installed(extra: str, user: str, what: str) -> UserError:
    return UserError(
        f'{user} needs what isn\'t installed ({what}): pip install "endoforge[{extra}]"'
    )
