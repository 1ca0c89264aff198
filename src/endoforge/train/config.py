"""What `train` and `train-hp` can be told; nothing heavy is imported here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from endoforge.backends.flags import AdapterFlag, BackendFlag, DeviceFlag, check_compute
from endoforge.core import checks
from endoforge.core.choices import LabelField, ResizeMode
from endoforge.core.errors import UserError
from endoforge.core.sizes import parse_size
from endoforge.evaluate.config import (
    DEFAULT_INPUT_ROOT,
    DEFAULT_IOU_SWEEP,
    DEFAULT_IOU_THRESH,
    DEFAULT_OBJ_THRESH,
    iou_thresholds,
)
from endoforge.roots.places import FILE, OptionalRootFlag, RootFlag

Scheduler = Literal["linear", "cosine"]
ModelName = Literal["tinydet", "middet", "bigdet"]
Watch = Literal["ap", "ap50", "mean-iou"]
DEBUG_NAME = "debug_batch.png"
"""In --ckpt-dir, the picture of --debug-batch."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a detector on capture runs.

    Whole runs are held out for validation. Started again with the same --ckpt-dir, a training that
    was interrupted goes on exactly where it stopped.
    """

    input_root: RootFlag = DEFAULT_INPUT_ROOT
    """Folder that holds the capture runs (run_* folders), or shards of them (*.tar) and no runs; or
    an address such as s3://bucket/captures."""

    simulate: bool = False
    """Learn from frames that are rendered as they are needed, no two the same; no --input-root."""

    steps: Annotated[int | None, arg(metavar="INT")] = None
    """With --simulate: training steps in all, split evenly into the --epochs."""

    randomization: Annotated[str | None, arg(metavar="NAME|FILE.toml")] = None
    """With --simulate: ranges that runs are drawn from: plain, real, or a file's, in place of the
    defaults that it names."""

    ckpt_dir: RootFlag = "checkpoints"
    """Folder for the weights and the state to resume from, or an address that each save is put
    to."""

    fresh: bool = False
    """Start over: remove the training that --ckpt-dir holds."""

    demo_checkpoint: Annotated[str | None, arg(metavar=FILE)] = None
    """Start a new training from these weights instead of random ones; the model alone is loaded.
    The word packaged stands for the weights that come with EndoForge."""

    model: ModelName = "tinydet"
    """What to train: tinydet has 0.48 million parameters, middet 1.25 and bigdet 3.95 million."""

    epochs: int = 1
    """Times that every training frame is seen; with --simulate, equal parts of --steps."""

    batch_size: int = 2
    """Frames in a training step."""

    paint: float = 0.0
    """Share of the training pictures over which surface and light are painted, 0 to 1: mottling,
    vessels, fall-off, exposure and haze that simulated frames lack of real ones."""

    lr_start: float = 1e-3
    """Learning rate at the start, after a warm-up: over the first 200 steps, or a tenth of all if
    that is less, it rises to this from nearly nothing."""

    lr_end: float = 1e-4
    """Learning rate of the last step."""

    scheduler: Scheduler = "linear"
    """How the learning rate goes from the first to the last step."""

    seed: int = 42
    """Decides the split, the first weights, the order of the frames and their augmentation."""

    backend: BackendFlag = "torch"
    device: DeviceFlag = "auto"
    adapter: AdapterFlag = None

    target_size: Annotated[str, arg(metavar="WIDTHxHEIGHT")] = "320x192"
    """Size to which frames are brought, WIDTHxHEIGHT; both multiples of 8."""

    resize_mode: ResizeMode = "letterbox"
    """letterbox keeps the shape and pads with black; force stretches."""

    max_boxes: int = 32
    """Boxes of a frame that are learned from; of more, the largest."""

    label: LabelField = "label"
    """Field of the polyps' labels to learn as the class: label, or paris for the Paris kind."""

    drop_last: bool = False
    """Leave out the last training batch of an epoch when it isn't full."""

    strict: bool = False
    """Stop at the first bad label or image instead of leaving it out and counting it."""

    val_ratio: float = 0.2
    """Share of the frames to hold out for validation, in whole runs."""

    stratify_split: bool = False
    """Hold out runs that show as many polyps: frames with no, one and more boxes match in share."""

    split_manifest: Annotated[str | None, arg(metavar=FILE)] = None
    """JSON file that says which frames train and which validate; written if it isn't there."""

    real_val_dir: OptionalRootFlag = None
    """Validate on all runs of this folder instead, and train on all of --input-root: nothing is
    split then."""

    val_obj_thresh: float = DEFAULT_OBJ_THRESH
    """Score from which a detection counts in precision, recall and mean IoU, 0 to 1."""

    val_iou_thresh: float = DEFAULT_IOU_THRESH
    """Overlap (IoU) with a true box from which a detection counts as a hit, 0 to 1. Detections that
    overlap each other by more than 0.5 are one, whatever this is."""

    val_iou_sweep: str = DEFAULT_IOU_SWEEP
    """More IoU thresholds to report at, split by commas."""

    val_target_size: Annotated[str | None, arg(metavar="WIDTHxHEIGHT")] = None
    """Size of validation frames; --target-size if not given."""

    val_resize_mode: Annotated[ResizeMode | None, arg(metavar="letterbox|force")] = None
    """As --resize-mode, for validation frames; the same if not given."""

    val_max_boxes: Annotated[int | None, arg(metavar="INT")] = None
    """As --max-boxes, for validation frames; the same if not given."""

    val_flip_prob: float = 0.0
    """Share of the validation frames to mirror, 0 to 1."""

    watch: Watch = "ap"
    """What decides the best weights, and --patience: ap (0.50:0.95; ties by mean IoU), ap50, or
    mean-iou at --val-obj-thresh and --val-iou-thresh."""

    patience: int = 0
    """Stop after so many epochs in a row without a gain in --watch, counted from the first one
    above 0; 0 never does."""

    patience_min_delta: float = 0.0
    """What --watch must gain to count for --patience."""

    debug_batch: bool = False
    """Draw the first batch as training sees it, to debug_batch.png in --ckpt-dir; print ranges."""

    log_every: int = 1
    """Steps from one line of the log to the next; 0 logs epochs only."""

    ckpt_every_steps: int = 0
    """Save every so many steps; 0 doesn't."""

    ckpt_every_epochs: int = 1
    """Save every so many epochs; 0 saves at the end only."""

    metrics_out: Annotated[str | None, arg(metavar=FILE)] = None
    """Append the metrics of each epoch to this file, one JSON object a line."""

    status_file: Annotated[str | None, arg(metavar=FILE)] = None
    """Keep a JSON file that says how far the training is."""

    tensorboard: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Write curves and sample pictures to this folder, for `tensorboard --logdir` to show."""

    wandb: Annotated[str | None, arg(metavar="PROJECT")] = None
    """Tell Weights & Biases: a run of this project, or ENTITY/PROJECT. WANDB_MODE=offline keeps it
    on the disk."""

    mlflow: Annotated[str | None, arg(metavar="FOLDER|URI")] = None
    """Tell MLflow: its server's address, such as http://localhost:5000, or a folder, for a database
    in it."""

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_learning_rates()
        self._check_shares()
        self._check_choices()
        if self.simulate:
            self._check_simulation()
        else:
            self._refuse(("steps", "randomization"), "needs --simulate: give that too")

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of training inputs."""
        return parse_size(self.target_size, "--target-size")

    @property
    def val_input_size(self) -> tuple[int, int]:
        """Width and height of validation inputs."""
        return parse_size(self.val_target_size or self.target_size, "--val-target-size")

    @property
    def unused(self) -> list[str]:
        """The flags of a split that is not made, since --real-val-dir is validated on."""
        given = {
            "--stratify-split": self.stratify_split,
            "--split-manifest": self.split_manifest is not None,
        }
        return [flag for flag, is_given in given.items() if is_given and self.real_val_dir]

    @property
    def iou_thresholds(self) -> list[float]:
        """`val_iou_thresh` first, then the others of the sweep, rising."""
        return iou_thresholds(self.val_iou_thresh, self.val_iou_sweep)

    def _check_counts(self) -> None:
        checks.check_at_least("--batch-size", self.batch_size, 1, example="2")
        checks.check_at_least("--epochs", self.epochs, 1, example="20")
        checks.check_seed("--seed", self.seed)
        checks.check_probability("--paint", self.paint, example="0.7")
        checks.check_at_least("--max-boxes", self.max_boxes, 1, example="32")
        if self.val_max_boxes is not None:
            checks.check_at_least("--val-max-boxes", self.val_max_boxes, 1, example="32")
        checks.check_at_least("--patience", self.patience, 0, example="5")
        checks.check_at_least("--log-every", self.log_every, 0, example="10")
        checks.check_at_least("--ckpt-every-steps", self.ckpt_every_steps, 0, example="500")
        checks.check_at_least("--ckpt-every-epochs", self.ckpt_every_epochs, 0, example="1")

    def _check_simulation(self) -> None:
        of_folders = ("input_root", "val_ratio", "stratify_split", "split_manifest", "drop_last")
        self._refuse(of_folders, "doesn't go with --simulate: leave one out")
        if self.real_val_dir is None:
            self._refuse(("strict",), "doesn't go with --simulate, which reads no files")
        if self.steps is None:
            raise UserError("--simulate: give --steps too, such as --steps 10000")
        checks.check_at_least("--steps", self.steps, self.epochs, example=str(1000 * self.epochs))
        if self.steps % self.epochs:
            example = -(-self.steps // self.epochs) * self.epochs
            raise UserError(
                f"--steps {self.steps}: must be a multiple of --epochs {self.epochs}, which it is "
                f"split into; try {example}"
            )

    def _refuse(self, names: Sequence[str], why: str) -> None:
        """Raise UserError for the first of some fields that isn't at its default."""
        for name in names:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UserError(f"--{name.replace('_', '-')} {why}")

    def _check_learning_rates(self) -> None:
        checks.check_positive("--lr-start", self.lr_start, example="1e-3")
        checks.check_positive("--lr-end", self.lr_end, example="1e-4")

    def _check_shares(self) -> None:
        checks.check_share("--val-ratio", self.val_ratio, example="0.2")
        checks.check_probability("--val-obj-thresh", self.val_obj_thresh, example="0.3")
        checks.check_share("--val-iou-thresh", self.val_iou_thresh, example="0.5")
        checks.parse_thresholds("--val-iou-sweep", self.val_iou_sweep)
        checks.check_probability("--val-flip-prob", self.val_flip_prob, example="0.5")
        checks.check_probability("--patience-min-delta", self.patience_min_delta, example="0.005")

    def _check_choices(self) -> None:
        checks.check_choice("--model", self.model, get_args(ModelName))
        checks.check_choice("--scheduler", self.scheduler, get_args(Scheduler))
        checks.check_choice("--label", self.label, get_args(LabelField))
        checks.check_choice("--watch", self.watch, get_args(Watch))
        check_compute(self.backend, self.device, self.adapter)
        checks.check_choice("--resize-mode", self.resize_mode, get_args(ResizeMode))
        if self.val_resize_mode is not None:
            checks.check_choice("--val-resize-mode", self.val_resize_mode, get_args(ResizeMode))
        if self.wandb is not None and not all(part.strip() for part in self.wandb.split("/", 1)):
            raise UserError(f"--wandb {self.wandb!r}: must name a project; try --wandb polyps")
        parse_size(self.target_size, "--target-size")
        if self.val_target_size is not None:
            parse_size(self.val_target_size, "--val-target-size")


@dataclass(frozen=True, kw_only=True)
class TrainHpConfig(TrainConfig):
    """Train for a good detector: `train` with larger batches, more epochs and a cosine schedule.

    Whole runs are held out for validation. Started again with the same --ckpt-dir, a training that
    was interrupted goes on exactly where it stopped.
    """

    epochs: int = 20
    """Times that every training frame is seen; with --simulate, equal parts of --steps."""

    batch_size: int = 64
    """Frames in a training step."""

    lr_start: float = 3e-4
    """Learning rate at the start, after a warm-up: over the first 200 steps, or a tenth of all if
    that is less, it rises to this from nearly nothing."""

    lr_end: float = 1e-5
    """Learning rate of the last step."""

    scheduler: Scheduler = "cosine"
    """How the learning rate goes from the first to the last step."""

    val_ratio: float = 0.1
    """Share of the frames to hold out for validation, in whole runs."""

    status_file: Annotated[str | None, arg(metavar=FILE)] = "logs/train_hp_status.json"
    """Keep a JSON file that says how far the training is."""
