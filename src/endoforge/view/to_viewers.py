"""What viewers get over the live view's socket, a class a message.

Each is made JSON by `encoded`; a frame is a binary message, whose header is a `FrameHeader`.
"""

import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from endoforge.core.choices import DetectorKind
from endoforge.view.ab_loop import Loop

CameraName = Literal["endoscope", "free"]
Level = Literal["info", "warning", "error"]
MarkKind = Literal["found", "missed", "false"]


@dataclass(frozen=True)
class Hello:
    """What a viewer gets first: (width, height) in pixels of the frames to come, and whether it may
    do nothing but watch.
    """

    type: ClassVar = "hello"
    resolution: tuple[int, int]
    watches_only: bool


@dataclass(frozen=True)
class LiveEvent:
    """Something happened that people should know, in a line."""

    type: ClassVar = "event"
    level: Level
    text: str


@dataclass(frozen=True)
class WorldState:
    """The world's clock, and the place of the camera that is shown.

    The defaults are those of a world whose first colon isn't there yet.
    """

    seed: str
    """A text, since JavaScript's numbers don't have 64 bits."""
    paused: bool = False
    speed: float = 1.0
    time_s: float = 0.0
    """Of the flight; where the scope is steered by hand, of the world."""
    duration_s: float = 0.0
    """Of the autopilot's flight."""
    place_s: float = 0.0
    """Of the flight, or the file; where the scope is steered by hand, where the autopilot was."""
    loop: Loop | None = None
    autopilot: bool = True
    camera: CameraName = "endoscope"
    segment: str = ""
    depth_cm: float = 0.0
    length_cm: float = 0.0


@dataclass(frozen=True)
class SourceState:
    """The file, camera or stream that is shown in the place of a simulated world."""

    name: str
    """Without what is secret in an address."""
    is_live: bool
    """Whether it can only be watched as it comes: no going back, no other speed."""
    duration_s: float
    """0 if that isn't known."""
    is_over: bool
    """Whether a file has come to its end."""
    dropped: int
    """Pictures of a live source that were too late to be shown."""


@dataclass(frozen=True)
class DetectorState:
    """The detector at work; milliseconds are None until something was detected lately."""

    mode: DetectorKind
    weights: str | None
    """Which ones the neural detector has: the file, and the first digits of its SHA-256."""
    fallback: str | None
    """Why it isn't the one that was asked for, in a line."""
    objectness: float
    iou: float
    ms_median: float | None
    ms_p95: float | None
    hz: float
    count: int
    """Detections on the newest frame that was looked at."""
    error: str | None
    chosen: str
    """Which of the choices of weights it is."""
    choices: tuple[str, ...]
    second: "SecondState | None"


@dataclass(frozen=True)
class SecondState:
    """The second detector, which is compared with the first one; `name` is that of its choice.

    Both have counts of the same frames: since the second was chosen, or a threshold was moved.
    """

    name: str
    at_work: str
    objectness: float
    iou: float
    ms_median: float | None
    count: int
    error: str | None
    since_reset: "HitCounts"


@dataclass(frozen=True)
class RecorderState:
    """The recording that goes on, or else the last one."""

    recording: bool
    data_run: bool
    run: str | None
    frames: int
    max_frames: int | None
    error: str | None


@dataclass(frozen=True)
class RatesState:
    """Frames a second of what all viewers share, and how many viewers there are."""

    rendered_hz: float
    encoded_hz: float
    dropped: int
    """Rendered and never encoded, since the start."""
    clients: int
    newest_first: bool
    """Whether pictures are shown as they come, and don't wait for their boxes."""


@dataclass(frozen=True)
class HitCounts:
    """Hits, false alarms and misses; the shares are None where there is nothing to divide by."""

    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class TruthState:
    """How the detector does against the truth with the detector, thresholds and seed of now.

    `since_reset` counts all that was looked at with these, `minute` what of that was in the last
    minute.
    """

    shown: bool
    """Whether frames come with the truth."""
    setting: str
    """What is counted apart, in words."""
    since_reset: HitCounts
    minute: HitCounts


@dataclass(frozen=True)
class LesionMark:
    """Something for the map of the colon: in a segment, at a share (0..1) of the whole length."""

    kind: MarkKind
    segment: str
    share: float


@dataclass(frozen=True)
class LesionsState:
    """The polyps of the colon since the last reset, as tracks have found them.

    `missed` were to be seen, and weren't found so far; `false_tracks` are on no polyp. `delay_s` is
    the median time from when one could be seen to when a track was on it; None if none was found.
    """

    polyps: int
    found: int
    missed: int
    false_tracks: int
    delay_s: float | None
    marks: tuple[LesionMark, ...]


@dataclass(frozen=True)
class ClientState:
    """Of the viewer that gets it: frames a second that it showed, and those it was too slow for."""

    shown_hz: float
    skipped: int


@dataclass(frozen=True)
class LiveState:
    """All that the page shows beside the picture."""

    type: ClassVar = "state"
    world: WorldState
    detector: DetectorState
    recorder: RecorderState
    rates: RatesState
    truth: TruthState
    lesions: LesionsState
    client: ClientState
    renderer: str
    trouble: str | None
    """Why no new pictures come, in a line."""
    device: str
    source: SourceState | None
    """None while the simulator is shown."""
    sources: tuple[str, ...]
    """All that can be shown, and the place among them of what is."""
    source_place: int


@dataclass(frozen=True)
class FoundBox:
    """A track, or a detection that is of no confirmed one: then `track` is None.

    Corners are 0..1 of the picture; `matched` is False where the track was not found in the frame,
    and is carried on; `hit` is None while the truth isn't shown.
    """

    xyxy: tuple[float, ...]
    score: float
    label: str
    track: int | None
    matched: bool
    hit: bool | None


@dataclass(frozen=True)
class SecondBox:
    """A detection of the second detector; `hit` is None while the truth isn't shown."""

    xyxy: tuple[float, ...]
    score: float
    label: str
    hit: bool | None


@dataclass(frozen=True)
class TrueBox:
    """A polyp in the picture; `found` is None if it wasn't in the frame that was detected on."""

    xyxy: tuple[float, ...]
    paris: str
    found: bool | None


@dataclass(frozen=True)
class FrameHeader:
    """What is drawn over a frame: what was found, and the truth if it is shown."""

    frame: int
    looked_at: int | None
    """The frame that the boxes were found on."""
    boxes: tuple[FoundBox, ...]
    truth: tuple[TrueBox, ...] | None
    second: tuple[SecondBox, ...] | None = None
    """None while there is no second detector."""

    def encoded(self) -> bytes:
        """The header as JSON, without spaces, since it goes out with every frame."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


ToViewer = Hello | LiveEvent | LiveState


def encoded(message: ToViewer) -> str:
    """A message as the JSON that viewers get."""
    return json.dumps({"type": message.type, **asdict(message)})
