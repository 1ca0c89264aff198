"""Which masks are of which picture, by the namings of public data sets and of tools."""

import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath

from endoforge.captures.pictures import PICTURE_SUFFIXES
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.formats.pairing import Pairing
from endoforge.formats.searching import search
from endoforge.formats.source import Pictures, refuse_unreadable, stem_of

_MASK = (
    r"(?:masks?|gts?|ground[ _-]?truths?|labels?|annotations?|annot?s?|seg|segm|segmented"
    r"|segmentations?|polyps?|lesions?|rois?|binary|manual|corrected)"
)
_PICTURE = r"(?:images?|imgs?|im|pictures?|pics?|photos?|frames?|originals?|orig|rgb)"
_GAP = r"[ _.-]*"
NAMINGS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(.+)",
        rf"(.+){_MASK}(?:{_GAP}\d+)?",  # 1_mask, 1_mask_0
        rf"(.+?)(?:{_GAP}{_MASK})+(?:{_GAP}\d+)?",  # 1_gt_mask
        rf"{_MASK}{_GAP}(.+)",  # mask_1
        r"p(\d.*)",  # p1, of ETIS and CVC-ColonDB
    )
)
"""What a mask's name is of its picture's, without endings; an earlier one goes before."""
PICTURE_NAMINGS = tuple(
    re.compile(pattern, re.IGNORECASE) for pattern in (rf"(.+){_PICTURE}", rf"{_PICTURE}{_GAP}(.+)")
)
"""What a picture's name may have too, where masks are named by the rest: image_1, mask_1."""
KNOWN = "1, 1_mask, 1_mask_0, mask_1, p1, 1_gt, 1_label, 1_annotation, 1_seg"

Stems = dict[str, str]
"""Of pictures, by their names: paths without endings."""


def mask_files(pictures: Pictures, folder: Path, pattern: str | None) -> dict[str, list[Path]]:
    """Of each picture its masks below `folder`, if it has any; by their paths, else by names alone.

    A mask is named as its picture, with a word before or after; or, with `pattern`, as the first
    group of what that finds in the mask's name without ending. All masks named in one way belong to
    the picture; one that has masks named in two ways is unclear. Raises UserError if no picture has
    a mask.
    """
    found = search(folder, PICTURE_SUFFIXES)
    refuse_unreadable(found)
    masks = _Assignment(folder, _without(found.files, pictures.folder))
    stems = {name: stem_of(name) for name in pictures}
    for naming in NAMINGS if pattern is None else (re.compile(pattern),):
        masks.assign(stems, naming)
    for of_picture in PICTURE_NAMINGS if pattern is None else ():
        for naming in NAMINGS:
            waiting = {name: stem for name, stem in stems.items() if name not in masks.found}
            masks.assign(_bare(waiting, of_picture), naming)
    doubts = {name: masks.found.pop(name) for name, ways in masks.ways.items() if len(ways) > 1}
    for name in stems.keys() - masks.found.keys() - doubts.keys():
        if alike := masks.alike(name):
            doubts[name] = alike
    pictures.note(doubts, masks.left, folder)
    if not masks.found:
        raise UserError(_none_found(pictures, folder, list(masks.left), pattern))
    return dict(masks.found)


def _without(files: list[Path], images: Path) -> list[Path]:
    """The files that don't lie in the folder of pictures, which may lie in that of the masks."""
    outer = images.resolve()
    return [path for path in files if not path.resolve().is_relative_to(outer)]


class _Assignment:
    """Masks given to pictures, one way of naming after the other."""

    def __init__(self, folder: Path, files: list[Path]) -> None:
        self.left = {path: stem_of(path.relative_to(folder)) for path in files}
        self.found: dict[str, list[Path]] = defaultdict(list)
        self.ways: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """How the masks of a picture are named: what is beside its name, and the ending."""
        self._matchings: list[Pairing] = []

    def assign(self, stems: Stems, naming: re.Pattern[str]) -> None:
        """Give masks that are left, and named so, to their pictures."""
        if not stems:
            return
        named: dict[Path, str] = {}
        ways: dict[Path, tuple[str, str]] = {}
        known = naming in NAMINGS
        for path, stem in self.left.items():
            whole = PurePosixPath(stem)
            match = naming.fullmatch(whole.name) if known else naming.search(whole.name)
            name = (match[1] or "").strip(" _.-") if match else ""
            if match and name:
                beside = whole.name[: match.start(1)] + whole.name[match.end(1) :] if known else ""
                named[path] = whole.with_name(name).as_posix()
                ways[path] = beside.rstrip("0123456789 _.-").lower(), path.suffix.lower()
        if not named:
            return
        matching = Pairing(stems, named, "masks")
        self._matchings.append(matching)
        for name, paths in matching.found.items():
            self.found[name] += paths
            self.ways[name] |= {ways[path] for path in paths}
        for path in named.keys() - matching.left.keys():
            del self.left[path]

    def alike(self, name: str) -> list[Path]:
        """Masks that no picture has, but that may belong to this one by their names."""
        found = (path for one in self._matchings for path in one.alike(name))
        return [path for path in dict.fromkeys(found) if path in self.left]


def _bare(stems: Stems, naming: re.Pattern[str]) -> Stems:
    """The pictures that are named so, by what is left of their names if no two have the same."""
    bare: Stems = {}
    for name, stem in stems.items():
        path = PurePosixPath(stem)
        match = naming.fullmatch(path.name)
        if match and (rest := match[1].strip(" _.-")):
            bare[name] = path.with_name(rest).as_posix()
    counts = Counter(bare.values())
    return {name: stem for name, stem in bare.items() if counts[stem] == 1}


def _none_found(pictures: Pictures, folder: Path, files: list[Path], pattern: str | None) -> str:
    head = f"--annotations {folder}: no mask for any of the "
    f"{counted(len(pictures.paths), 'picture')} in "
    head += str(pictures.folder)
    if not files:
        return f"{head}: no picture in it"
    if pictures.unclear:
        name, why = next(iter(pictures.unclear.items()))
        return f"{head}; {name}: {why.reason} ({why.detail})"
    first = next(iter(pictures))
    there = f"there is {files[0].relative_to(folder).as_posix()}, and the first picture is {first}"
    if pattern is not None:
        return f"{head}: {there}; the first group of --mask-pattern must find the picture's name"
    return (
        f"{head}: for a picture 1, names such as {KNOWN} are known; {there}; name the part that is "
        "the picture's name by --mask-pattern, such as '^(.+)_tumour$'"
    )
