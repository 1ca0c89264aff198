"""The columns of the tables that `convert --format parquet` writes; docs/formats.md shows them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: its `type` is Arrow's name of it.

    No list is one of a fixed size: older readers can't read such with nulls among them.

    `unit` and `meaning` go along in the file, in the field's metadata.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""


_KEY = (
    Column("run", "string", "the run's name"),
    Column("frame", "string", "the frame's name in its run, such as frame_00007"),
    Column("frame_id", "uint64", "the frame's number in its run"),
)

FRAMES = (
    *_KEY,
    Column("image", "string", "its picture, from the folder of runs on"),
    Column("label", "string", "its label, from the folder of runs on"),
    Column("width", "int32", "of the picture", "px"),
    Column("height", "int32", "of the picture", "px"),
    Column("sim_time", "double", "time in its run", "s"),
    Column("unix_time", "double", "as the label has it; simulated runs: sim_time", "s"),
    Column("seed", "uint64", "of the run, by its manifest"),
    Column("polyp_seed", "uint64", "of the run's polyps"),
    Column("num_boxes", "int32", "polyps that can be seen: its rows in boxes; 0: there is none"),
    Column("num_unseen", "int32", "polyps in the picture that can't be seen: its rows in unseen"),
    Column("camera_active", "bool", "whether the camera was on"),
    Column("position", "list<double>", "x y z of the camera in the world", "mm"),
    Column(
        "world_from_camera",
        "list<double>",
        "9 numbers: rotation from camera axes (right, down, forward) to the world's, row by row",
    ),
    Column("s", "double", "the camera's place along the colon, from the rectum on", "mm"),
    Column("lens", "string", "opencv_fisheye, or null: not known"),
    Column("fx", "double", "focal length along rows", "px"),
    Column("fy", "double", "focal length along columns", "px"),
    Column("cx", "double", "where the axis meets the picture; the first pixel's middle is 0", "px"),
    Column("cy", "double", "where the axis meets the picture; the first pixel's middle is 0", "px"),
    Column("k", "list<double>", "the lens's coefficients k1 to k4"),
    Column("camera_json", "string", "what the label says of its camera, if in another form"),
    Column("instance", "string", "its instance image, if there is one"),
    Column("depth", "string", "its depth image, if there is one: 16 bit, 0.01 mm along the ray"),
    Column("normals", "string", "its image of normals, if there is one"),
    Column("source_image", "string", "where the picture came from, if it was imported"),
    Column("source", "string", "who says it: simulated, annotated, predicted; null: as annotated"),
    Column("reviewed", "bool", "whether a person has confirmed it; null: not said"),
    Column("awaits_review", "bool", "a part is a detector's word alone: no truth (--predicted)"),
)

_POLYP = (
    Column("polyp_id", "int32", "which of the run's polyps it is; null: not known"),
    Column("kind", "string", "the field label: its class; null: polyp"),
    Column("paris", "string", "its Paris kind; null: not known"),
    Column("diameter", "double", "of the polyp", "mm"),
    Column("distance", "double", "from the camera", "mm"),
    Column("center", "list<double>", "x y z of the polyp in the world", "mm"),
    Column("visibility", "double", "visible pixels over those with nothing before it, 0..1"),
    Column("source", "string", "who says it, as of frames"),
    Column("score", "double", "how sure a detector was, 0..1; null: none said it"),
    Column("reviewed", "bool", "whether a person has confirmed it; null: not said"),
)

BOXES = (
    *_KEY,
    Column("class", "string", "what --label names: its label, or its Paris kind"),
    Column("x0", "double", "left edge", "px"),
    Column("y0", "double", "top edge", "px"),
    Column("x1", "double", "right edge, exclusive", "px"),
    Column("y1", "double", "bottom edge, exclusive", "px"),
    *_POLYP,
    Column("awaits_review", "bool", "it is a detector's word alone: no truth (--predicted)"),
)

UNSEEN = (*_KEY, *_POLYP)

TABLES = {"frames": FRAMES, "boxes": BOXES, "unseen": UNSEEN}
"""By the name of the file, without `.parquet`."""
