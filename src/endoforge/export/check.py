"""An exported file beside the original, on the same pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.detect.boxes import make_cells
from endoforge.detect.decode import MAX_DETECTIONS, MIN_SCORE, NMS_IOU, decode_batch, suppress
from endoforge.detect.detections import Detections
from endoforge.detect.predict import to_input
from endoforge.detect.tinydet import TinyDet
from endoforge.export.graph import RAW

TOLERANCES = {"raw output": 1e-3, "boxes, in pixels": 0.05, "scores": 1e-3}
"""More than this is no rounding."""


@dataclass(frozen=True)
class Agreement:
    """How far a file is from its original: the largest differences, by what differs."""

    pictures: int
    detections: int
    """What the original finds in them, above a score of 0.01."""
    largest: dict[str, float]

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.pictures} pictures, {self.detections} detections; largest differences:",
            *(f"  {what:<16} {value:.1e}" for what, value in self.largest.items()),
        ]


def compare(
    exported: onnx.ModelProto, original: TinyDet, pictures: NDArray[np.uint8], *, nms_inside: bool
) -> Agreement:
    """Run both on (N, H, W, 3) uint8 pictures of the input's size.

    The first picture goes alone, the others together. Raises UserError where a difference is over
    its tolerance, or another number of things is found.
    """
    session = _session_with_raw_output(exported)
    worst = dict.fromkeys(TOLERANCES, 0.0)
    count = 0
    for some in (pictures[:1], pictures[1:]):
        if not len(some):
            continue
        images = to_input(torch.from_numpy(some)).contiguous()
        with torch.inference_mode():
            raw = original(images)
        outputs = _run(session, images.numpy())
        _note(worst, "raw output", outputs[RAW] - raw.numpy())
        _refuse_more_than_rounding(worst)
        size = np.array([some.shape[2], some.shape[1]] * 2, np.float32)
        found = _final(outputs, len(some)) if nms_inside else _suppressed(outputs)
        cells = make_cells(some.shape[1:3], original.config.strides, raw.device)
        for one, expected in zip(found, decode_batch(raw, cells), strict=True):
            count += len(expected)
            _compare_detections(worst, one, expected, size)
        _refuse_more_than_rounding(worst)
    return Agreement(len(pictures), count, worst)


def _session_with_raw_output(exported: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """`exported`, which here gives the network's own output too."""
    told = onnx.ModelProto()
    told.CopyFrom(exported)
    told.graph.output.extend(info for info in told.graph.value_info if info.name == RAW)
    return onnxruntime.InferenceSession(
        told.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _run(
    session: onnxruntime.InferenceSession, images: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _final(outputs: dict[str, NDArray[Any]], count: int) -> Iterator[Detections]:
    """The detections of each picture, of a file that suppresses by itself.

    It keeps up to MAX_DETECTIONS of each class, where decoding here keeps as many in all.
    """
    for picture in range(count):
        own = np.flatnonzero(outputs["pictures"] == picture)
        own = own[np.argsort(-outputs["scores"][own], kind="stable")][:MAX_DETECTIONS]
        yield Detections(outputs["boxes"][own], outputs["scores"][own], outputs["classes"][own])


def _suppressed(outputs: dict[str, NDArray[Any]]) -> Iterator[Detections]:
    """The detections of each picture, of a file that leaves suppression to others."""
    for arrays in zip(outputs["boxes"], outputs["scores"], outputs["classes"], strict=True):
        yield suppress(Detections(*arrays), MIN_SCORE, NMS_IOU, MAX_DETECTIONS)


def _compare_detections(
    worst: dict[str, float], found: Detections, expected: Detections, size: NDArray[np.float32]
) -> None:
    """Each expected detection beside the nearest one of its class, at most rounding away."""
    if sorted(found.classes) != sorted(expected.classes):
        raise UserError(
            f"the exported detector finds {len(found)} things in a picture where the original "
            f"finds {len(expected)}, or of other classes; no file was written"
        )
    if not len(expected):
        return
    apart = np.abs(expected.boxes[:, None] * size - found.boxes[None]).max(axis=-1)
    apart[expected.classes[:, None] != found.classes] = np.inf
    nearest = apart.argmin(axis=1)
    _note(worst, "boxes, in pixels", apart.min(axis=1))
    _note(worst, "scores", expected.scores - found.scores[nearest])


def _note(worst: dict[str, float], what: str, differences: NDArray[Any]) -> None:
    # np.max keeps NaN, which then is within no tolerance.
    worst[what] = float(np.max([worst[what], np.abs(differences).max()]))


def _refuse_more_than_rounding(worst: dict[str, float]) -> None:
    for what, value in worst.items():
        if not value <= TOLERANCES[what]:
            raise UserError(
                f"the exported detector differs from the original: {what} by {value:.1e}, more "
                f"than {TOLERANCES[what]:g}; no file was written"
            )
