"""Follows lesions through the frames of one video, as they come."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou
from endoforge.tracking.association import best_pairs, likeness
from endoforge.tracking.box_filter import BoxFilter
from endoforge.tracking.camera_motion import CameraFollower

LOW_SHARE = 1 / 3
"""Detections of at least this part of the threshold continue tracks, and never begin any: those
that blur or a fold has weakened are still where the lesion was (ByteTrack)."""
ALIKE_HIGH, ALIKE_LOW = 0.2, 0.4
"""How alike a detection must be to where a track is expected; a weak one more, for it may be of
anything. ByteTrack has 0.2 and 0.5, of boxes that aren't enlarged."""
FEWEST_FINDS = 2
"""Of a track that is shown, whatever their scores: what is there for one frame may be anything, and
so may what is there again when the same frame is looked at again."""
EVIDENCE_NEEDED, EVIDENCE_FADES_S = 1.4, 0.25
"""A track is shown once its evidence is so much. Every detection above the threshold adds the share
that its score has of the way from the threshold to 1, 25 times a second; what was added falls to
1 / e in this time. So a score of 0.9 is believed in the second frame, one of 0.6 in a fifth of a
second, and one that hardly passes the threshold never: most false alarms are weak, and gone in a
tenth of a second (`benchmarks/video.py`)."""
EVIDENCE_HZ, LONGEST_STEP_S = 25.0, 0.2
"""The rate of frames that evidence is counted at; a longer step than this counts as so long."""
UNCONFIRMED_GAP_S = 0.13
"""An unconfirmed track ends if it isn't found for longer: three frames at 25 a second."""
SHOWN_GAP_S = 0.5
"""A track is shown for so long without a detection: a glint or a blurred sweep lasts less."""
KEPT_GAP_S = 1.0
"""A track that isn't found for longer has ended: where it would be now, nobody knows."""
ENDS_SHARE = 0.7
"""A track ends when its smoothed score is below this part of the threshold: a lesion that was left,
or a fold that looked like one for a moment."""
SMOOTHED_S = 0.3
"""Time constant of the smoothed score."""
BEGUN_IOU = 0.3
"""A detection that overlaps one that has a track by more is another box of the same lesion."""
DOUBLE_IOU = 0.6
"""Two tracks that overlap more are of one lesion."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """The tracks that are shown of one frame.

    `ids` (N,) int64 from 1, rising; `boxes` (N, 4) float32 xyxy in 0..1, cut to the picture;
    `scores` (N,) float32, smoothed; `classes` (N,) int64, places among the detector's class names;
    `matched` (N,) bool says which were found in this frame, and not carried through a gap.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    matched: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(eq=False)
class _Track:
    """What is known of a track beside its box."""

    found: float
    """When it was found last, in seconds."""
    score: float
    evidence: float = 0.0
    votes: dict[int, float] = field(default_factory=dict)
    """The sum of the scores that each class has had."""
    finds: int = 0
    """How many times it had a detection above the threshold; two at one time are one."""
    number: int = 0
    """From 1 when it is confirmed."""
    serial: int = 0
    """From 1 when it begins."""

    @property
    def likeliest(self) -> int:
        """The class that it is of, by all that was found of it."""
        return max(self.votes, key=lambda name: self.votes[name])


class Tracker:
    """Follows lesions through one video, live: of a frame it uses the past alone.

    High scores are associated first, then low ones continue what is left (ByteTrack, Zhang et al.
    2022, "ByteTrack: multi-object tracking by associating every detection box"); between frames,
    boxes move on by themselves and with the camera. Times are in seconds, so that 10 and 50
    frames a second give like results.
    """

    def __init__(
        self, *, threshold: float = 0.3, first: int = 1, camera: CameraFollower | None = None
    ) -> None:
        """`threshold` is the score, 0..1, from which a detection counts as high, which may be set
        anew between two frames; `first` is the id of the first track; `camera` may be shared with
        other trackers of the same frames."""
        self.threshold = threshold
        self._camera = camera or CameraFollower()
        self._image: NDArray[np.uint8] | None = None
        self._filter = BoxFilter()
        self._tracks: list[_Track] = []
        self._seconds: float | None = None
        self._fresh, self._weight = 0.0, 1.0
        self.last = first - 1
        """The id of the last track that was confirmed."""
        self.begun = 0
        """How many tracks have begun, confirmed or not."""
        self._takers: list[_Track | None] = []

    @property
    def owners(self) -> NDArray[np.int64]:
        """Of each detection of the last frame the id of its track, which is shown; 0: of none."""
        # A track may have ended with its last detection.
        numbers = [
            track.number if track is not None and track in self._tracks else 0
            for track in self._takers
        ]
        return np.array(numbers, np.int64)

    @property
    def serials(self) -> NDArray[np.int64]:
        """Of each detection of the last frame the serial number of its track, which it has from its
        first detection on, confirmed or not; 0: of none. These are no ids."""
        return np.array([0 if one is None else one.serial for one in self._takers], np.int64)

    def update(
        self, found: Detections, seconds: float, image: NDArray[np.uint8] | None = None
    ) -> Tracked:
        """Go on to the next frame, and give the tracks that are to be shown of it.

        `found` are all detections of the frame, weak ones too; `seconds` is its time, and `image`
        its pixels, (H, W, 3) uint8 RGB, by which the camera's motion is told: without them, boxes
        are expected where they would be if it hadn't moved. Raises ValueError if time goes back.
        """
        self._pass_time(seconds)
        # A frame that is looked at again has not moved since.
        if image is not None and image is not self._image:
            self._image = image
            motion = self._camera.follow(image, wanted=bool(self._tracks))
            if motion is not None:
                self._filter.follow(motion)
        self._take(found, self._associate(found), seconds)
        self._begin(found, seconds)
        self._drop(seconds)
        self._confirm()
        return self._shown(seconds)

    def _pass_time(self, seconds: float) -> None:
        # The first frame counts as one of a video at the usual rate; another one of the same time
        # shows nothing new.
        step, self._weight = 0.0, 1.0
        if self._seconds is not None:
            step = seconds - self._seconds
            self._weight = min(step, LONGEST_STEP_S) * EVIDENCE_HZ
        if not step >= 0:
            raise ValueError(f"a frame at {seconds} s can't follow one at {self._seconds} s")
        self._seconds = seconds
        self._keep([seconds - track.found <= KEPT_GAP_S for track in self._tracks])
        self._filter.predict(min(step, KEPT_GAP_S))  # after more there are no tracks
        self._fresh = 1 - math.exp(-step / SMOOTHED_S)
        for track in self._tracks:
            track.score *= 1 - self._fresh  # as of a frame without it; `_take` adds what it has
            track.evidence *= math.exp(-step / EVIDENCE_FADES_S)

    def _associate(self, found: Detections) -> dict[int, int]:
        """Find the detection of each track that has one, as places among both."""
        alike = likeness(self._filter.boxes, found.boxes)
        high = found.scores >= self.threshold
        low = ~high & (found.scores >= LOW_SHARE * self.threshold)
        confirmed = np.array([track.number > 0 for track in self._tracks], np.bool_)
        taken: dict[int, int] = {}
        for tracks, detections, least in (
            (confirmed, high, ALIKE_HIGH),
            (confirmed, low, ALIKE_LOW),
            (~confirmed, high, ALIKE_HIGH),
        ):
            wanted = np.outer(tracks, detections)
            wanted[list(taken)] = False
            wanted[:, list(taken.values())] = False
            taken.update(best_pairs(np.where(wanted, alike, 0.0), least))
        return taken

    def _take(self, found: Detections, taken: dict[int, int], seconds: float) -> None:
        """Let each track have its detection."""
        self._takers = [None] * len(found)
        places = list(taken.values())
        self._filter.correct(np.array(list(taken), np.intp), found.boxes[places])
        for row, place in taken.items():
            track = self._tracks[row]
            track.score += self._fresh * float(found.scores[place])
            self._note(track, found, place, seconds)

    def _begin(self, found: Detections, seconds: float) -> None:
        """Begin tracks of high detections that no track has, unless they are another box of one."""
        near = pairwise_iou(found.boxes, found.boxes) > BEGUN_IOU
        for place, score in enumerate(found.above(self.threshold).scores.tolist()):
            followed = np.array([taker is not None for taker in self._takers], np.bool_)
            if self._takers[place] is None and not near[place, followed].any():
                self._filter.add(found.boxes[place, None])
                self.begun += 1
                track = _Track(found=seconds, score=score, serial=self.begun)
                self._tracks.append(track)
                self._note(track, found, place, seconds)

    def _note(self, track: _Track, found: Detections, place: int, seconds: float) -> None:
        score = float(found.scores[place])
        self._takers[place] = track
        if score >= self.threshold and (not track.finds or seconds > track.found):
            track.finds += 1
        track.found = seconds
        above = max(0.0, score - self.threshold)
        track.evidence += self._weight * above / max(1.0 - self.threshold, 1e-6)
        name = int(found.classes[place])
        track.votes[name] = track.votes.get(name, 0.0) + score

    def _drop(self, seconds: float) -> None:
        """End tracks that were soon lost, have left the picture, or are another one's double."""
        boxes = self._filter.boxes
        kept = [x1 > 0 and y1 > 0 and x0 < 1 and y0 < 1 for x0, y0, x1, y1 in boxes.tolist()]
        for row, track in enumerate(self._tracks):
            if track.number:
                ended = track.score < ENDS_SHARE * self.threshold
            else:
                ended = seconds - track.found > UNCONFIRMED_GAP_S
            if ended:
                kept[row] = False
        alike = pairwise_iou(boxes, boxes) > DOUBLE_IOU
        for row, other in np.argwhere(np.triu(alike, 1)).tolist():
            # The older stays, unless the younger alone is found here.
            first, second = self._tracks[row], self._tracks[other]
            kept[row if second.found > first.found and second.number else other] = False
        self._keep(kept)

    def _keep(self, kept: list[bool]) -> None:
        if not all(kept):
            self._filter.keep(np.array(kept, np.bool_))
            self._tracks = [track for track, stays in zip(self._tracks, kept, strict=True) if stays]

    def _confirm(self) -> None:
        for track in self._tracks:
            convincing = track.finds >= FEWEST_FINDS and track.evidence >= EVIDENCE_NEEDED
            if convincing and not track.number:
                self.last += 1
                track.number = self.last

    def _shown(self, seconds: float) -> Tracked:
        shown = {
            track.number: row
            for row, track in enumerate(self._tracks)
            if track.number and seconds - track.found <= SHOWN_GAP_S
        }
        rows = [shown[number] for number in sorted(shown)]
        tracks = [self._tracks[row] for row in rows]
        return Tracked(
            ids=np.array([track.number for track in tracks], np.int64),
            boxes=self._filter.boxes[rows].clip(0, 1).astype(np.float32),
            scores=np.array([track.score for track in tracks], np.float32),
            classes=np.array([track.likeliest for track in tracks], np.int64),
            matched=np.array([track.found == seconds for track in tracks], np.bool_),
        )
