"""What a step learns from: a batch and chance, augmented by the same code for every backend."""

import torch
from torch import Tensor

from endoforge.backends.base import BatchView
from endoforge.data.augment import Draws, Views, augment, draw_chances, noise_tile, seeded_generator
from endoforge.data.loader import Batch
from endoforge.data.paint import paint_fields
from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import Cells, make_cells, to_pixels
from endoforge.detect.decode import decode_batch
from endoforge.detect.loss import detection_loss
from endoforge.detect.predict import to_input
from endoforge.detect.tinydet import TinyDetConfig


class Chance:
    """What a training's seed draws for its batches, brought to a device together with them."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self._device = device
        self._tiles: dict[tuple[int, int], list[Tensor]] = {}

    def inputs(self, batch: Batch, epoch: int, step: int) -> list[Tensor]:
        """The batch, and what (seed, epoch, step) draw for it, as `make_views` wants them."""
        image_hw = (batch.images.shape[1], batch.images.shape[2])
        generator = seeded_generator(self.seed, epoch, step)
        draws = draw_chances(batch.num_all, image_hw, generator).rows(batch.rows)
        given = (
            batch.images,
            batch.boxes,
            batch.classes,
            batch.num_boxes,
            draws.own,
            draws.noise_at,
        )
        on_device = [tensor.to(self._device, non_blocking=True) for tensor in given]
        return [*on_device, *self._tile(image_hw)]

    def _tile(self, image_hw: tuple[int, int]) -> list[Tensor]:
        if image_hw not in self._tiles:
            generator = seeded_generator(self.seed)
            made = noise_tile(image_hw, generator), paint_fields(image_hw, generator)
            self._tiles[image_hw] = [one.to(self._device) for one in made]
        return self._tiles[image_hw]


def make_views(
    images: Tensor,
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    chance: Tensor,
    noise_at: Tensor,
    tile: Tensor,
    fields: Tensor,
) -> Views:
    """What a step learns from, of a batch and what was drawn for it."""
    return augment(
        to_input(images), boxes, classes, num_boxes, Draws(chance, noise_at), tile, fields
    )


def cells_of(images: Tensor, config: TinyDetConfig) -> Cells:
    """The cells of what a net says of (B, 3, H, W)."""
    return make_cells((images.shape[2], images.shape[3]), config.strides, images.device)


def as_batch_view(views: Views, raw: Tensor, config: TinyDetConfig) -> BatchView:
    """Views and what a detector says of them, raw, for people."""
    images, boxes, classes, num_boxes = views
    cells = cells_of(images, config)
    loss = detection_loss(raw, boxes, classes, num_boxes, cells)
    targets = assign_cells(to_pixels(boxes, cells.image_hw), num_boxes, cells)
    return BatchView(
        images=images.permute(0, 2, 3, 1).cpu().numpy(),
        boxes=boxes.cpu().numpy(),
        classes=classes.cpu().numpy(),
        num_boxes=num_boxes.cpu().numpy(),
        centres=cells.centres.cpu().numpy(),
        strides=cells.strides.cpu().numpy(),
        positive=targets.positive.cpu().numpy(),
        raw=raw.cpu().numpy(),
        detections=decode_batch(raw, cells),
        loss=float(loss.total),
        mean_iou=float(loss.mean_iou),
    )
