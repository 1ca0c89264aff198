"""Which classes there are: their names decide, and give each its place."""

from collections import Counter
from collections.abc import Iterable

from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.schema import DEFAULT_CLASS
from endoforge.data.pack import LabelledInputs

Classes = tuple[str, ...]
"""Class names, each in its place."""


def class_names(frames: Iterable[FrameRecord]) -> tuple[str, ...]:
    """The classes of the boxes of `frames`, sorted by name; polyp alone where there is no box."""
    return with_others((), frames) or (DEFAULT_CLASS,)


def with_others(known: tuple[str, ...], frames: Iterable[FrameRecord]) -> tuple[str, ...]:
    """The `known` classes in their places, then those of `frames` that aren't among them."""
    found = {name for frame in frames for name in frame.classes}
    return (*known, *sorted(found - set(known)))


def boxes_by_class(inputs: LabelledInputs) -> Counter[str]:
    """How many boxes of each class `inputs` have, by name."""
    return Counter(inputs.class_names[number] for each in inputs.classes for number in each)


def unknown_classes(inputs: LabelledInputs, known: tuple[str, ...]) -> str | None:
    """A line on the boxes of `inputs` whose class a detector of the `known` ones can't name.

    None where there is no such box.
    """
    unknown = {name: n for name, n in boxes_by_class(inputs).items() if name not in known}
    if not unknown:
        return None
    counts = ", ".join(f"{number} of {name}" for name, number in sorted(unknown.items()))
    return (
        f"boxes of classes that the detector doesn't learn count as missed: {counts} "
        f"(it learns {', '.join(known)})"
    )
