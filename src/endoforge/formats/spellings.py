"""Files named by other programs and systems: `É.PNG` for `é.png`, `a%20b` for `a b`.

Names are compared as they are, then by their characters (URL escapes undone, composed as NFC), then
without upper and lower case too. What fits in an earlier way goes before what fits in a later one.
"""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePath, PurePosixPath
from urllib.parse import unquote

from endoforge.captures.tally import Unusable


def _as_it_is(name: str) -> str:
    return name


def canonical(name: str) -> str:
    """Without URL escapes, and composed: `e` with an accent of its own is `é`."""
    return unicodedata.normalize("NFC", unquote(name))


def caseless(name: str) -> str:
    """The canonical name, without the difference of upper and lower case."""
    return unicodedata.normalize("NFC", canonical(name).casefold())


SPELLINGS: tuple[Callable[[str], str], ...] = (_as_it_is, canonical, caseless)
"""From the strictest way to compare names to the loosest."""


class Paths:
    """Relative paths with forward slashes, found by paths that others wrote."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = list(paths)
        self._whole: list[dict[str, list[str]]] = []
        self._last: list[dict[str, list[str]]] = []
        for spelling in SPELLINGS:
            whole, last = defaultdict(list), defaultdict(list)
            for path in self._paths:
                whole[spelling(path)].append(path)
                last[spelling(PurePosixPath(path).name)].append(path)
            self._whole.append(whole)
            self._last.append(last)

    def find(self, named: str) -> str:
        """The path that is `named`, or else the one that ends most as it does.

        Backslashes are slashes. Raises Unusable if none has that file name, or if several fit as
        well.
        """
        if named in self._whole[0]:
            return named
        plain = PurePosixPath(named.replace("\\", "/"))
        unclear: list[str] = []
        if len(plain.parts) > 1:
            for spelling, whole in zip(SPELLINGS, self._whole, strict=True):
                if len(same := whole.get(spelling(plain.as_posix()), [])) == 1:
                    return same[0]
        for spelling, whole, last in zip(SPELLINGS, self._whole, self._last, strict=True):
            same = whole.get(spelling(plain.as_posix()), [])
            alike = same or _best(plain, last.get(spelling(plain.name), []), spelling)
            if len(alike) == 1:
                return alike[0]
            unclear = unclear or alike
        if unclear:
            raise Unusable("several have the file name", f"{unclear[0]}, {unclear[1]}")
        near = nearest(plain.name, (PurePosixPath(path).name for path in self._paths))
        raise Unusable("missing", f"there is {near}" if near else "")

    def fitting(self, named: str) -> set[str]:
        """All paths of that file name in any spelling: those that `named` may mean."""
        plain = PurePosixPath(named.replace("\\", "/"))
        return set(self._last[-1].get(SPELLINGS[-1](plain.name), []))


def is_in_its_folder(named: str, path: PurePath) -> bool:
    """Whether the file at the absolute `path` lies in a folder of the name that `named` says."""
    plain = PurePosixPath(named.replace("\\", "/"))
    return len(plain.parts) < 2 or _common_end(plain, path, caseless) > 1


def _best(named: PurePosixPath, paths: list[str], spelling: Callable[[str], str]) -> list[str]:
    """Those of the paths that have the most last parts in common with `named`."""
    if len(paths) < 2:
        return paths
    common = [_common_end(named, PurePosixPath(path), spelling) for path in paths]
    return [path for path, number in zip(paths, common, strict=True) if number == max(common)]


def _common_end(one: PurePosixPath, other: PurePath, spelling: Callable[[str], str]) -> int:
    number = 0
    for a, b in zip(reversed(one.parts), reversed(other.parts), strict=False):
        if spelling(a) != spelling(b):
            break
        number += 1
    return number


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of the names that has the same numbers in it; None if none is like it."""
    numbers = _numbers(name)
    by_spelling = {caseless(other): other for other in names if _numbers(other) == numbers}
    close = difflib.get_close_matches(caseless(name), by_spelling, n=1)
    return by_spelling[close[0]] if close else None


def _numbers(name: str) -> list[str]:
    """Without leading zeros; they may be of any length."""
    return [digits.lstrip("0") for digits in re.findall(r"\d+", name)]
