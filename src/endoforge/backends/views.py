"""Makes what a step learns from: a batch and chance, augmented alike for every backend."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from endoforge.backends.base import BatchView
from endoforge.data.augment import Draws, Views, augment, draw_chances, noise_tile, seeded_generator
from endoforge.data.loader import Batch
from endoforge.data.paint import draw_paint, paint, paint_fields
from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import Cells, make_cells, to_pixels
from endoforge.detect.decode import decode_batch
from endoforge.detect.loss import detection_loss
from endoforge.detect.predict import to_input
from endoforge.detect.tinydet import TinyDetConfig


class Chance:
    """What a training's seed draws for its batches, brought to a device together with them.

    A share `painted` of the pictures get a surface, and as many a light, of `data.paint`.
    """

    def __init__(self, seed: int, device: torch.device, painted: float = 0.0) -> None:
        self.seed = seed
        self._device = device
        self._painted = painted
        self._tiles: dict[tuple[str, tuple[int, int]], Tensor] = {}

    def inputs(self, batch: Batch, epoch: int, step: int) -> list[Tensor]:
        """Give the batch, and what (seed, epoch, step) draw for it, as `make_views` wants them.

        Chance is drawn for the whole batch, of which a process then takes its own rows: so the
        number of processes changes nothing.
        """
        image_hw = (batch.images.shape[1], batch.images.shape[2])
        generator = seeded_generator(self.seed, epoch, step)
        draws = draw_chances(batch.num_all, image_hw, generator).rows(batch.rows)
        given = [
            batch.images,
            batch.boxes,
            batch.classes,
            batch.num_boxes,
            draws.own,
            draws.noise_at,
        ]
        kept = [self._kept("noise", noise_tile, image_hw)]
        if self._painted > 0:
            given.append(draw_paint(batch.num_all, self._painted, generator)[batch.rows])
            kept.append(self._kept("paint", paint_fields, image_hw))
        return [*(tensor.to(self._device, non_blocking=True) for tensor in given), *kept]

    def _kept(
        self,
        name: str,
        make: Callable[[tuple[int, int], Generator], Tensor],
        image_hw: tuple[int, int],
    ) -> Tensor:
        """What `make` makes for pictures of this size, once a training, on the device."""
        if (name, image_hw) not in self._tiles:
            made = make(image_hw, seeded_generator(self.seed))
            self._tiles[name, image_hw] = made.to(self._device)
        return self._tiles[name, image_hw]


def make_views(
    images: Tensor,
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    chance: Tensor,
    noise_at: Tensor,
    *drawn: Tensor,
) -> Views:
    """Paint and augment a batch by what was drawn for it, all as `Chance.inputs` gives it.

    `drawn` is the tile of noise; or what decides the paint, the tile, and the fields of paint.
    """
    pictures = to_input(images)
    if len(drawn) == 1:
        [tile] = drawn
    else:
        paint_chance, tile, fields = drawn
        pictures = paint(pictures, paint_chance, fields)
    return augment(pictures, boxes, classes, num_boxes, Draws(chance, noise_at), tile)


def part_of(inputs: Sequence[Tensor], rows: slice) -> Sequence[Tensor]:
    """Give some rows of what `Chance.inputs` gave, and with them what is the same for all."""
    if rows == slice(0, len(inputs[0])):
        return inputs
    *own, noise_at = inputs[:6]
    paint_chance, tiles = ([inputs[6]], inputs[7:]) if len(inputs) > 7 else ([], inputs[6:])
    chosen = [one[rows] for one in (*own, *paint_chance)]
    return [*chosen[:5], noise_at, *chosen[5:], *tiles]


def cells_of(images: Tensor, config: TinyDetConfig) -> Cells:
    """Make the cells of what a net says of `images` (B, 3, H, W)."""
    return make_cells((images.shape[2], images.shape[3]), config.strides, images.device)


def as_batch_view(views: Views, raw: Tensor, config: TinyDetConfig) -> BatchView:
    """Gather views and the raw output (B, N, C + NUM_EDGE_CHANNELS) of a detector, for people."""
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
