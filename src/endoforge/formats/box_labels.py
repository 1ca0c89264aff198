"""Boxes of other tools as the polyps of labels: their classes, and whether they can be used."""

from dataclasses import replace

from endoforge.captures.label_boxes import usable_box
from endoforge.captures.schema import Corners, PolypLabel
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import NamedBox, Source, SourceFrame, Track

UNKNOWN_PLACE = (0.0, 0.0, 0.0)
"""A picture doesn't say where in space its polyps are, and the format wants a place."""


def renamed(config: ImportConfig, source: Source, tally: Tally) -> list[SourceFrame]:
    """The frames with the classes of `--class-map`, each box once, with tracks that are names."""
    new_names = config.renamed
    named = {*source.class_names, *(box.name for frame in source.frames for box in frame.boxes)}
    if unknown := sorted(new_names.keys() - named):
        there = ", ".join(sorted(named)) or "none"
        raise UserError(f"--class-map: no class is named {unknown[0]!r}; there are: {there}")
    frames = []
    for frame in source.frames:
        boxes = []
        for box in frame.boxes:
            name = new_names.get(box.name, box.name)
            if not name:
                tally.count(f"box: of {box.name}, left out by --class-map", frame.name)
                continue
            is_named = box.track is None or _is_name(box.track)
            if not is_named:
                tally.count(f"track: {box.track!r} names no polyp (its box came in)", frame.name)
            boxes.append(replace(box, name=name, track=box.track if is_named else None))
        frames.append(replace(frame, boxes=_once(boxes, frame.name, tally)))
    return frames


def _is_name(track: Track) -> bool:
    """Not -1 and its like, which trackers write of what they don't follow, nor a blank."""
    return track >= 0 if isinstance(track, int) else bool(track.strip())


def _once(boxes: list[NamedBox], name: str, tally: Tally) -> tuple[NamedBox, ...]:
    """The boxes of the picture `name` without those that it has twice, which are counted."""
    unique = tuple(dict.fromkeys(boxes))
    if again := len(boxes) - len(unique):
        tally.count("box: there twice, with the same class and corners", name, again)
    return unique


def judged(frame: SourceFrame) -> SourceFrame:
    """With a fault if a box can't be used, as far as its label says the picture's size."""
    size = (1, 1) if frame.normalised else frame.size
    if frame.fault is not None or size is None or min(size) < 1:
        return frame
    try:
        for box in frame.boxes:
            _usable(frame, box, size)
    except Unusable as unusable:
        return replace(frame, fault=unusable)
    return frame


def in_pixels(frame: SourceFrame, box: NamedBox, size: tuple[int, int]) -> Corners:
    width, height = size if frame.normalised else (1, 1)
    x0, y0, x1, y1 = box.corners
    return x0 * width, y0 * height, x1 * width, y1 * height


def _usable(frame: SourceFrame, box: NamedBox, size: tuple[int, int]) -> Corners:
    """xyxy in 0..1 within the picture; raises Unusable if that is no box."""
    width, height = (1, 1) if frame.normalised else size
    x0, y0, x1, y1 = box.corners
    try:
        return usable_box((x0 / width, y0 / height, x1 / width, y1 / height))
    except Unusable as unusable:
        raise Unusable(unusable.reason, unusable.detail or box.name) from unusable


def polyp_label(frame: SourceFrame, box: NamedBox, size: tuple[int, int]) -> PolypLabel:
    """Its label, in pixels and in 0..1; raises Unusable if it is no box in the picture."""
    norm = _usable(frame, box, size)
    x0, y0, x1, y1 = in_pixels(frame, box, size)
    width, height = size
    assert not isinstance(box.track, str)  # a number since the run is known
    said = PolypLabel(center_world=UNKNOWN_PLACE) if box.polyp is None else box.polyp
    return said.model_copy(
        update={
            "bbox_px": (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))),
            "bbox_norm": norm,
            "label": box.name,
            "polyp_id": box.track,
        }
    )


def reaches_out(corners: Corners, size: tuple[int, int]) -> bool:
    """Whether a box reaches a pixel or more out of its picture."""
    x0, y0, x1, y1 = corners
    return min(x0, y0) <= -1 or x1 >= size[0] + 1 or y1 >= size[1] + 1
