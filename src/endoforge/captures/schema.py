"""The files of a capture run as typed values: what is written, and what readers accept.

Readers ignore fields that they don't know. Writers write every field of the format; the fields
that EndoForge adds are left out where they have no value.
"""

import math
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from endoforge.core.checks import MAX_SEED

SCHEMA_VERSION = 1
MANIFEST_NAME = "run_manifest.json"
DEFAULT_CLASS = "polyp"
MOST_NAME_LENGTH = 200
"""The name of a class may have so many characters."""
MOST_POLYP_ID = 2**31 - 1
NO_NAME = 0
"""In place of a `polyp_id` that names no polyp: 0 in an instance image is none."""
MOST_SIDE = 10**9
"""Pixels that a label may say its picture has: more than any has, and a float holds them."""

PICTURE_EXTRAS = ("instance", "depth", "normals")
"""More ground truth: each a folder of pictures named as the frames' own."""
DEPTH_UNIT_MM = 0.01
"""A step of a picture of depth, which is along the pixel's ray; 0 is none."""
POSES_NAME = "poses.txt"
"""The camera's poses of all frames of the run, in TUM's format."""

_FRAME_FILE = re.compile(r"frame_(\d{1,20})\.[A-Za-z]+")

U64 = Annotated[int, Field(ge=0, le=MAX_SEED)]


def _null_as_nan(value: Any) -> Any:
    return math.nan if value is None else value


def _id_or_no_name(value: Any) -> Any:
    is_whole = type(value) is int or (type(value) is float and value.is_integer())
    return value if is_whole and 1 <= value <= MOST_POLYP_ID else NO_NAME


# Writers whose JSON has no NaN (Rust's serde, JavaScript) put null in its place.
Number = Annotated[float, BeforeValidator(_null_as_nan)]
PolypId = Annotated[int, BeforeValidator(_id_or_no_name)]
ClassName = Annotated[str, Field(max_length=MOST_NAME_LENGTH, pattern=r"^[^\x00]*$")]
Point = tuple[Number, Number, Number]
Corners = tuple[Number, Number, Number, Number]


def is_class_name(name: str) -> bool:
    """Whether a label can hold `name`, as a class."""
    half = any("\ud800" <= one <= "\udfff" for one in name)  # of a character that UTF-8 can't hold
    return len(name) <= MOST_NAME_LENGTH and "\0" not in name and not half


def image_name(frame_id: int, suffix: str = ".png") -> str:
    """Where a frame's image lies within its run: `images/frame_00007.png`."""
    return f"images/frame_{frame_id:05d}{suffix}"


def frame_number(name: str) -> int | None:
    """The number in the name of a frame's file, such as `frame_00007.png`; None if it has none."""
    match = _FRAME_FILE.fullmatch(name)
    return int(match[1]) if match else None


def label_name(frame_id: int) -> str:
    """Where a frame's label lies within its run: `labels/frame_00007.json`."""
    return f"labels/frame_{frame_id:05d}.json"


def extra_name(kind: str, frame_id: int) -> str:
    """Where a frame's picture of more ground truth lies: `depth/frame_00007.png`."""
    return f"{kind}/frame_{frame_id:05d}.png"


class _Contract(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="constants")

    added_by_us: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _leave_out_what_has_no_value(self, handler: SerializerFunctionWrapHandler) -> Any:
        fields = handler(self)
        return {
            name: value
            for name, value in fields.items()
            if value is not None or name not in self.added_by_us
        }


Source = Literal["simulated", "annotated", "predicted"]
"""Who says what a label says: a simulator, a person, or a detector."""


class PolypLabel(_Contract):
    """One polyp; a polyp that can't be seen has neither box.

    Boxes are [x0, y0, x1, y1] with exclusive right and bottom edges: in pixels, and in 0..1 of
    the picture. Numbers may be NaN here; the index drops such boxes and counts them.
    """

    center_world: Point
    bbox_px: Corners | None = None
    bbox_norm: Corners | None = None
    label: ClassName | None = None
    visibility: float | None = None
    paris: ClassName | None = None
    diameter_mm: float | None = None
    distance_mm: float | None = None
    polyp_id: PolypId | None = None
    """Which of the run's polyps it is, the same in every frame; where there are instance images,
    its pixels have this value there. `NO_NAME` stands for what was written there and is no whole
    number from 1 on: the index counts it, and the box is as good as any."""
    source: Source | None = None
    """Who says that it is there; None is as good as a person."""
    score: float | None = None
    """How sure the detector was of it, 0..1."""
    reviewed: bool | None = None
    """Whether a person has confirmed it."""

    added_by_us = frozenset(
        {
            "label",
            "visibility",
            "paris",
            "diameter_mm",
            "distance_mm",
            "polyp_id",
            "source",
            "score",
            "reviewed",
        }
    )

    @property
    def awaits_review(self) -> bool:
        """Whether it is a detector's word alone."""
        return self.source == "predicted" and not self.reviewed

    @property
    def class_name(self) -> str:
        """The class; a label without one is of a polyp."""
        return self.label or DEFAULT_CLASS

    @property
    def name(self) -> int | None:
        """The `polyp_id`; None where there is none that can be used."""
        return self.polyp_id or None

    @property
    def has_box(self) -> bool:
        """Whether it can be seen."""
        return bool(self.bbox_px or self.bbox_norm)

    @property
    def paris_kind(self) -> str | None:
        """The Paris kind; None where it isn't known."""
        return self.paris or None

    @property
    def size_mm(self) -> float | None:
        """The diameter; None where it isn't known."""
        diameter = self.diameter_mm
        return diameter if diameter is not None and math.isfinite(diameter) else None


class FrameLabel(_Contract):
    """What is known of one frame. `image` is relative to the run; times are in seconds.

    `source_image` is the path that an imported picture had below the folder that it came from.
    `source` and `reviewed` say of the frame as a whole what a polyp's say of it: a frame in which a
    detector found nothing is none without a polyp until a person has looked at it.
    """

    frame_id: U64
    sim_time: float
    unix_time: float
    image: str
    image_present: bool
    camera_active: bool
    polyp_seed: U64
    polyp_labels: Annotated[list[PolypLabel], Field(fail_fast=True)]
    camera: dict[str, Any] | None = None
    source_image: str | None = None
    source: Source | None = None
    reviewed: bool | None = None

    added_by_us = frozenset({"camera", "source_image", "source", "reviewed"})

    @property
    def awaits_review(self) -> bool:
        """Whether a part of it is a detector's word alone, which nobody may learn from."""
        as_a_whole = self.source == "predicted" and not self.reviewed
        return as_a_whole or any(polyp.awaits_review for polyp in self.polyp_labels)

    @property
    def seen_polyps(self) -> tuple[PolypLabel, ...]:
        """The polyps that have a box, which are those that can be seen."""
        return tuple(polyp for polyp in self.polyp_labels if polyp.has_box)


class RunManifest(_Contract):
    """What is known of one run; ours keeps its scene and settings under `endoforge`."""

    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    seed: U64
    output_root: str
    run_dir: str
    started_at_unix: float
    max_frames: int | None
    endoforge: dict[str, Any] | None = None

    added_by_us = frozenset({"endoforge"})
