"""The numbers that pictures and categories have in COCO's results."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.formats.coco import Id, read_dataset
from endoforge.inference.material import InputPicture, Material
from endoforge.inference.picture_names import Called, Names, match_names


class CocoIds:
    """Numbers images and categories: counts them, or takes those that a COCO file has for names."""

    def __init__(
        self, classes: tuple[str, ...], annotations: Path | None, material: Material
    ) -> None:
        """Match names to numbers; raises UserError for a file that can't be read, that has none of
        the classes or of the pictures, or that doesn't say what is whose."""
        self.categories: dict[str, Id] = {name: n for n, name in enumerate(classes, 1)}
        self._counted = 0
        self._of_pictures: dict[str, Id] | None = None
        self._of_frames: dict[tuple[str, int], Id] = {}
        if annotations is None:
            return
        flag = f"--annotations {annotations}"
        dataset = read_dataset(annotations)
        self.categories = _categories(flag, classes, [(c.name, c.id) for c in dataset.categories])
        _refuse_twice(flag, "images", [one.id for one in dataset.images])
        names = [one.file_name for one in dataset.images]
        ids = [one.id for one in dataset.images]
        self._of_pictures = {
            name: ids[place] for name, place in _matched(flag, names, material).items()
        }
        self._match_videos(names, ids, material)
        if not self._of_pictures and not self._of_frames:
            example = next(iter((*material.pictures, *material.videos, *material.live)))
            raise UserError(
                f"{flag}: none of its {counted(len(names), 'image')} is one of those to look at: "
                f"it names "
                f"{names[0] if names else 'none'}, here is {example}; name the folder that its "
                "names are of, or leave it out"
            )

    def image(self, picture: InputPicture) -> Id | None:
        """Give a picture its number; None where the file doesn't surely have it."""
        if self._of_pictures is None:
            self._counted += 1
            return self._counted
        if picture.in_video is None:
            return self._of_pictures.get(picture.file)
        return self._of_frames.get((picture.file, picture.in_video.frame))

    def _match_videos(self, names: Sequence[str], ids: Sequence[Id], material: Material) -> None:
        """Match frames of videos, which such a file names as `clip.mp4#12`."""
        numbers: dict[str, dict[int, Id]] = {}
        for name, number in zip(names, ids, strict=True):
            video, _, frame = name.rpartition("#")
            if video and frame.isdecimal():
                numbers.setdefault(video, {})[int(frame)] = number
        videos = {name: Called((name,), Path(name).name) for name in material.videos}
        named = list(numbers)
        for video, place in match_names(named, videos).items():
            for place_in_video, number in numbers[named[place]].items():
                self._of_frames[video, place_in_video] = number


def _categories(flag: str, classes: tuple[str, ...], there: list[tuple[str, Id]]) -> dict[str, Id]:
    known = [(name, number) for name, number in there if name in classes]
    if not known:
        names = ", ".join(name for name, _ in there) or "no category"
        raise UserError(
            f"{flag}: names {names}, the detector {', '.join(classes)}: rename the categories, or "
            "leave it out"
        )
    _refuse_twice(flag, "categories", [number for _, number in there])
    for name, count in Counter(name for name, _ in known).items():
        if count > 1:
            raise UserError(f"{flag}: {count} categories are named {name}; join them")
    return dict(known)


def _refuse_twice(flag: str, what: str, ids: list[Id]) -> None:
    number, count = next(iter(Counter(ids).most_common(1)), (None, 0))
    if count > 1:
        raise UserError(f"{flag}: {count} {what} have the id {number}; fix the file")


def _matched(flag: str, names: Sequence[str], material: Material) -> dict[str, int]:
    """Find the place in `names` of each picture that is surely there."""
    naming = Names()
    called = {name: naming.of(name, path) for name, path in material.pictures.items()}
    found = match_names(names, called)
    named = {one.run for name, one in called.items() if name in found or not one.nameless}
    for name, one in called.items():
        if one.run not in named:
            raise UserError(
                f"{flag}: {one.run} was imported, and doesn't say what its pictures were called, "
                f"such as {name}; import them again, or name what `convert` writes of the run"
            )
    return found
