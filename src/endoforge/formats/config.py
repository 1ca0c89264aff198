"""What `import` and `convert` can be told; nothing heavy is imported here."""

import re
from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_args

from tyro.conf import Positional, arg

from endoforge.captures.schema import DEFAULT_CLASS, MOST_NAME_LENGTH, is_class_name
from endoforge.core.checks import check_positive, check_probability
from endoforge.core.choices import DETECTED_FROM, LabelField
from endoforge.core.errors import UserError
from endoforge.roots.places import RUNS_AND_OUT, RootFlag

ImportFormat = Literal[
    "coco",
    "yolo",
    "voc",
    "masks",
    "cvat",
    "mot",
    "labelme",
    "kvasir",
    "ldpolyp",
    "imagefolder",
    "webdataset",
]
ConvertFormat = Literal[
    "coco",
    "yolo",
    "yolo-seg",
    "voc",
    "masks",
    "cvat",
    "label-studio",
    "mot",
    "webdataset",
    "parquet",
    "c3vd",
    "simcol3d",
]
Unlabelled = Literal["drop", "background"]

_WITH_ONTO = {"format", "annotations", "onto", "class_map", "strict"}
"""What can be said of labels for a run that is there."""
FOLDER, ONE, FIELD, NAME = "folder", "one", "field:", "name:"


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Turn labelled pictures, or a video, into capture runs.

    The source is never changed. Run it again after any end: runs that are there already are left
    alone, and one that was cut short is gone on with.
    """

    format: Annotated[ImportFormat | None, arg(metavar="|".join(get_args(ImportFormat)))] = None
    """How the pictures are labelled. COCO: a JSON file; YOLO: text files; VOC: XML files; masks:
    pictures of which all that isn't black is polyp; CVAT: an XML file a task, for video 1.1 or for
    images 1.1; MOT: text in a folder a video; labelme: a JSON file a picture; kvasir:
    Kvasir-SEG's kavsir_bboxes.json; ldpolyp: LDPolypVideo's texts; imagefolder: Hugging
    Face's metadata.jsonl; webdataset: shards that convert wrote."""

    images: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Folder of the pictures, or of the shards; folders within it are searched too."""

    annotations: Annotated[str | None, arg(metavar="PATH")] = None
    """COCO, kvasir: the JSON file; or COCO's results, which are predictions. CVAT: the XML file.
    YOLO, VOC, masks, labelme, ldpolyp: the folder of label files, named as the pictures are; if not
    given, YOLO's labels, VOC's and LDPolypVideo's Annotations, CVAT's annotations.xml and files
    beside the pictures are looked for where such data sets have them."""

    output_root: RootFlag = "assets/datasets/real_val"
    """Folder that gets the runs (made if it isn't there), or an address such as
    s3://bucket/real_val, to which each run is put when it is complete."""

    names: Annotated[str | None, arg(metavar="FILE")] = None
    """YOLO, MOT, imagefolder: the file that names the classes, a data.yaml, or a text with a name
    a line. If not given, YOLO: data.yaml, classes.txt or obj.names near labels and pictures; MOT:
    gt/labels.txt. COCO's results: the JSON file that names their images and categories; if not
    given, coco_images.json beside them, as detect writes it."""

    class_name: str = DEFAULT_CLASS
    """Masks, LDPolypVideo, and MOT whose classes have no names: the class of every box."""

    class_map: str = ""
    """Other names for classes, such as "adenoma=polyp,instrument="; a class with nothing after the
    sign is left out."""

    group: str = FOLDER
    """What becomes one run, which training never splits. folder: the pictures of a folder, or of a
    video where the labels tell; one: all; field:NAME: those with the same value of that field of
    COCO's images; name:REGEX: those in whose path the pattern (its first group) finds the same
    text."""

    unlabelled: Unlabelled = "drop"
    """Pictures without a label: drop counts them and leaves them out; background takes them as
    frames that show no polyp."""

    min_area: int = 128
    """Masks: pixels that a connected part must have for a box; smaller ones are counted."""

    mask_pattern: Annotated[str | None, arg(metavar="REGEX")] = None
    """Masks: a pattern whose first group finds the picture's name in the mask's, both without
    ending, such as "^(.+)_tumour$". If not given, the usual names are known: 1, 1_mask, 1_mask_0,
    mask_1, p1, 1_gt, 1_label and their like for a picture 1."""

    video: Annotated[str | None, arg(metavar="FILE")] = None
    """A video in place of pictures: a run of its frames without labels, for detect."""

    onto: Annotated[str | None, arg(metavar="RUN")] = None
    """CVAT, in place of --images: the run that import made of a --video, whose frames get the
    labels of the XML file for that video. Labels that are there stay."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Video: frames a second to take; all of them if not given. Pictures: frames a second that
    they were taken at, where the labels don't tell."""

    infer_obj_thresh: float = DETECTED_FROM
    """COCO's results, and --prelabel: score from which a detection becomes a box, 0 to 1."""

    strict: bool = False
    """Stop at the first picture or box that can't be used instead of leaving it out."""

    def __post_init__(self) -> None:
        _ = self.renamed
        check_probability("--infer-obj-thresh", self.infer_obj_thresh, example="0.3")
        if self.onto is not None:
            self._check_onto()
            return
        if (self.images is None) == (self.video is None):
            raise UserError("name either --images (with --format) or --video")
        if self.video is not None:
            self._check_video()
            return
        if self.format is None:
            raise UserError(f"--format: one of {', '.join(get_args(ImportFormat))} is needed")
        if self.fps is not None:
            check_positive("--fps", self.fps, example="25")
        if self.annotations is None and self.format in ("coco", "kvasir", "masks"):
            what = "folder of masks" if self.format == "masks" else "JSON file"
            raise UserError(f"--annotations: --format {self.format} needs the {what}")
        if self.annotations is not None and self.format in ("webdataset", "mot", "imagefolder"):
            raise UserError(
                f"--annotations: --format {self.format} has labels within --images; leave it out"
            )
        if self.names is not None and self.format not in ("yolo", "mot", "imagefolder", "coco"):
            raise UserError(
                f"--names is for YOLO, MOT, imagefolder and COCO's results; --format {self.format} "
                "has names"
            )
        if self.infer_obj_thresh != DETECTED_FROM and self.format != "coco":
            raise UserError(
                f"--infer-obj-thresh: --format {self.format} has no detections; leave it out"
            )
        self._check_mask_pattern()
        if self.min_area < 1:
            raise UserError(f"--min-area {self.min_area}: must be at least 1; try 128")
        if not self.class_name.strip():
            raise UserError("--class-name: must be a name; try polyp")
        for flag, name in (
            ("--class-name", self.class_name),
            *(("--class-map", new) for new in self.renamed.values()),
        ):
            if not is_class_name(name):
                raise UserError(
                    f"{flag}: a name has at most {MOST_NAME_LENGTH} characters that UTF-8 can hold"
                )
        self._check_group()

    def _check_video(self) -> None:
        for name in ("format", "annotations", "names", "mask_pattern"):
            if getattr(self, name) is not None:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag}: frames of a --video have no labels; leave it out")
        if self.fps is not None:
            check_positive("--fps", self.fps, example="5")

    def _check_onto(self) -> None:
        if self.format != "cvat" or self.annotations is None:
            raise UserError(
                "--onto: takes --format cvat and --annotations, the XML file of a video's labels"
            )
        for one in fields(ImportConfig):  # a command line has more
            if one.name not in _WITH_ONTO and getattr(self, one.name) != one.default:
                flag = one.name.replace("_", "-")
                raise UserError(f"--{flag}: says nothing of a run that is there; leave it out")

    def _check_mask_pattern(self) -> None:
        if self.mask_pattern is None:
            return
        if self.format != "masks":
            raise UserError(f"--mask-pattern goes with --format masks, not {self.format}")
        try:
            num_groups = re.compile(self.mask_pattern).groups
        except re.error as error:
            raise UserError(
                f"--mask-pattern {self.mask_pattern}: not a pattern ({error})"
            ) from error
        if not num_groups:
            raise UserError(
                f"--mask-pattern {self.mask_pattern}: needs a group for the picture's name; try "
                "'^(.+)_tumour$'"
            )

    def _check_group(self) -> None:
        if self.group.startswith(FIELD):
            if self.format != "coco":
                raise UserError(f"--group {self.group}: only COCO's images have fields")
        elif self.group.startswith(NAME):
            try:
                re.compile(self.group.removeprefix(NAME))
            except re.error as error:
                raise UserError(f"--group {self.group}: not a pattern ({error})") from error
        elif self.group not in (FOLDER, ONE):
            raise UserError(f"--group {self.group}: must be folder, one, field:NAME or name:REGEX")

    @property
    def renamed(self) -> dict[str, str]:
        """The class map: new names by old ones, "" for a class that is left out."""
        pairs: dict[str, str] = {}
        for part in filter(None, map(str.strip, self.class_map.split(","))):
            old, sign, new = part.partition("=")
            if not sign or not old.strip():
                raise UserError(f'--class-map {part}: must be OLD=NEW; try "adenoma=polyp"')
            pairs[old.strip()] = new.strip()
        return pairs


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Write capture runs in another tool's format.

    The runs are never changed. OUT is there whole or not at all.
    """

    paths: Positional[Annotated[tuple[str, ...], arg(metavar=RUNS_AND_OUT)]] = ()
    """Runs, or folders that hold runs; last the folder to write, which must not be there yet."""

    format: Annotated[ConvertFormat | None, arg(metavar="|".join(get_args(ConvertFormat)))] = None
    """The format to write. yolo-seg and masks are of runs with instance images, as --save instance
    records them; of such, coco has segmentation beside boxes. parquet: tables
    (`endoforge[parquet]`). c3vd and simcol3d: depth and poses of sequences, of runs that datagen
    recorded with --save depth, and best with --fps."""

    label: LabelField = "label"
    """The field of each polyp that names its class: label, or paris."""

    split_manifest: Annotated[str | None, arg(metavar="FILE")] = None
    """Write training and validation apart, as train --split-manifest wrote the split."""

    predicted: bool = False
    """CVAT, Label Studio: write what a detector found and nobody has looked at, too, as labels to
    be reviewed there; Parquet: in rows that say so. Without it, such frames are left out."""

    strict: bool = False
    """Stop at the first bad label or image instead of leaving it out and counting it."""

    def __post_init__(self) -> None:
        if self.format is None:
            raise UserError(f"--format: one of {', '.join(get_args(ConvertFormat))} is needed")
        if len(self.paths) < 2:
            raise UserError("RUNS... OUT: name at least one run, and last the folder to write")
        if self.split_manifest is not None and len(self.paths) > 2:
            raise UserError("--split-manifest is of one folder of runs: name that one, and OUT")
        if self.predicted and not self.may_be_predicted:
            raise UserError(
                f"--predicted: --format {self.format} doesn't tell predictions from truth; review "
                "them first (`endoforge sim-view`, Labels; or --format cvat, label-studio or "
                "parquet)"
            )
        if self.predicted and self.split_manifest is not None:
            raise UserError("--predicted: a split is of truth alone; leave --split-manifest out")

    @property
    def may_be_predicted(self) -> bool:
        """Whether the format tells predictions, which nobody has looked at, from truth."""
        return self.format in ("cvat", "label-studio", "parquet")

    @property
    def runs(self) -> tuple[str, ...]:
        """The folder of capture runs to read."""
        return self.paths[:-1]

    @property
    def out(self) -> str:
        """The folder to write."""
        return self.paths[-1]
