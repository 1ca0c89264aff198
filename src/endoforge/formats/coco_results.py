"""COCO's results: what a detector found, as a list in JSON, beside the file that names its images.

The format is that of https://cocodataset.org/#format-results.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from endoforge.captures.schema import PolypLabel
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LIST_BYTES, open_regular, read_regular
from endoforge.core.text import as_utf8
from endoforge.formats.box_labels import UNKNOWN_PLACE
from endoforge.formats.coco import CocoAnnotation, read_coco, read_dataset, source_of
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import Source

IMAGES_NAME = "coco_images.json"
"""The file in which `detect` names the images and categories of its results."""
_BEGINNING = 1024
"""Bytes in which a JSON file says whether it is a list; blanks may come before that."""


class _Result(CocoAnnotation):
    score: Annotated[float, Field(ge=0, le=1)]

    @property
    def polyp(self) -> PolypLabel:
        return PolypLabel(center_world=UNKNOWN_PLACE, source="predicted", score=self.score)


def read_coco_or_results(config: ImportConfig, tally: Tally) -> Source:
    """What `read_coco` gives; of a file of results, predictions, which nobody has looked at.

    Those below the threshold of `config` are counted in `tally`, and left out. Raises UserError as
    `read_coco` does, and for results whose images no file names.
    """
    assert config.annotations is not None
    path = Path(config.annotations)
    if _holds_list(path):
        return _read_results(path, config, tally)
    if config.names is not None:
        raise UserError(
            f"--names {config.names}: is for COCO's results, and {path} names its classes itself; "
            "leave it out"
        )
    return read_coco(config, tally)


def _holds_list(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return as_utf8(file.read(_BEGINNING)).lstrip().startswith(b"[")
    except OSError:
        return False  # the reader tells


def _read_results(path: Path, config: ImportConfig, tally: Tally) -> Source:
    results = _parsed(path)
    named = path.with_name(IMAGES_NAME) if config.names is None else Path(config.names)
    if config.names is None and not named.is_file():
        raise UserError(
            f"--annotations {path}: a list of results, which names no image, and no {IMAGES_NAME} "
            "lies beside it; name the JSON file of its images and categories with --names"
        )
    dataset = read_dataset(named, "--names")
    surer = [one for one in results if one.score >= config.infer_obj_thresh]
    if weak := len(results) - len(surer):
        reason = f"detection: of a score below --infer-obj-thresh {config.infer_obj_thresh:g}"
        tally.count(reason, path.name, weak)
    source = source_of(dataset.model_copy(update={"annotations": surer}), config, tally)
    # Who reviews a box says nothing of pixels, so none come in.
    frames = [replace(one, predicted=True, instance=None, pixels=None) for one in source.frames]
    return replace(source, frames=frames)


def _parsed(path: Path) -> Sequence[_Result]:
    try:
        data = as_utf8(read_regular(path, MOST_LIST_BYTES))
        return TypeAdapter(Annotated[list[_Result], Field(fail_fast=True)]).validate_json(data)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise UserError(
            f"--annotations {path}: not COCO's results: {where} {fault['msg']}"
        ) from error
    except OSError as error:
        raise UserError(f"--annotations {path}: {error.strerror}") from error
