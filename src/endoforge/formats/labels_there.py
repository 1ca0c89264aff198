"""Labels that a run has already: what is written beside them fits to them, and changes none.

Predictions that nobody has looked at are no such labels: what a person says takes their place.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from endoforge.captures.run_frames import LABEL_PATTERN
from endoforge.captures.schema import MOST_POLYP_ID, FrameLabel, PolypLabel, label_name
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.formats.source import Track

SAME_PX = 0.01
"""Pixels that a box may differ by, written twice."""

Tracked = tuple[Track | None, PolypLabel]
"""A polyp to write, and the object that another tool says it is."""


class LabelsThere:
    """The labels of a run, and the `polyp_id`s in them."""

    def __init__(self, run_dir: Path) -> None:
        """Read them all; raises UserError for one that can't be read."""
        self.run_dir = run_dir
        self.known: dict[Track, int] = {}
        """The `polyp_id` of each track of which labels that are there tell."""
        self._tracks: dict[int, Track] = {}
        self._labels: dict[int, FrameLabel] = {}
        self._predictions: set[int] = set()
        for path in sorted((run_dir / "labels").glob("*.json")):
            if match := LABEL_PATTERN.fullmatch(path.name):
                self._add(int(match[1]), _read(path))

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._labels

    def _add(self, frame_id: int, label: FrameLabel) -> None:
        if label.awaits_review:
            self._predictions.add(frame_id)
        else:
            self._labels[frame_id] = label

    def is_predicted(self, frame_id: int) -> bool:
        """Whether a frame has a prediction that nobody has looked at."""
        return frame_id in self._predictions

    def ids_elsewhere(self, frame_ids: Iterable[int]) -> set[int]:
        """The `polyp_id`s in the labels of all other frames; predictions tell of none."""
        others = self._labels.keys() - set(frame_ids)
        polyps = (polyp for frame_id in others for polyp in self._labels[frame_id].polyp_labels)
        return {polyp.name for polyp in polyps if polyp.name is not None}

    def learn(self, frame_id: int, polyps: Sequence[Tracked]) -> None:
        """Take the names of the polyps on a frame whose label is there and says the same.

        Raises UserError if it says anything else of what is seen, for no label is written over.
        """
        left = list(self._labels[frame_id].seen_polyps)
        for track, polyp in polyps:
            same = next((one for one in left if _is_same(one, polyp)), None)
            if same is None or not self._is_named_so(track, same.name):
                raise self._other(frame_id)
            left.remove(same)
        if left:
            raise self._other(frame_id)

    def refuse_new(self, frame_id: int) -> None:
        """Raises UserError if a frame has a label by now that it hadn't when these were read."""
        path = self.run_dir / label_name(frame_id)
        if path.exists() and not (frame_id in self._predictions and _read(path).awaits_review):
            raise self._other(frame_id)

    def _is_named_so(self, track: Track | None, name: int | None) -> bool:
        """Whether a track has this name and no other track has it, as far as labels say."""
        if track is None or name is None:
            return track is None and name is None
        owner = self._tracks.setdefault(name, track)
        return owner == track and self.known.setdefault(track, name) == name

    def _other(self, frame_id: int) -> UserError:
        return UserError(
            f"{self.run_dir / label_name(frame_id)}: is there and says something else; no label is "
            "written over: remove it, or import the video to another --output-root"
        )


def _read(path: Path) -> FrameLabel:
    try:
        return FrameLabel.model_validate_json(as_utf8(read_regular(path, MOST_LABEL_BYTES)))
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: a label that can't be read; fix or remove it") from error


def _is_same(one: PolypLabel, other: PolypLabel) -> bool:
    if one.bbox_px is None or other.bbox_px is None or one.class_name != other.class_name:
        return False
    return all(abs(a - b) <= SAME_PX for a, b in zip(one.bbox_px, other.bbox_px, strict=True))


def name_tracks(
    tracks: Iterable[Track], known: dict[Track, int], elsewhere: set[int]
) -> dict[Track, int]:
    """The `polyp_id` of each track, in the order in which they appear.

    Those that are `known` keep theirs. Else numbers from 1 on stay as they are if all are such and
    none is that of a polyp `elsewhere`; if not, tracks are numbered on from the highest that is
    taken.
    """
    ordered = list(dict.fromkeys(tracks))
    own = {one for one in ordered if isinstance(one, int) and 1 <= one <= MOST_POLYP_ID}
    keep = len(own) == len(ordered) and not own & elsewhere
    names = dict(known)
    taken = elsewhere | set(known.values())
    free = itertools.count(max(taken | (own if keep else set()), default=0) + 1)
    for track in ordered:
        if track not in names:
            stays = keep and isinstance(track, int) and track not in taken
            names[track] = int(track) if stays else next(free)
    return names
