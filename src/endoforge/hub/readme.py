"""The short README.md of what is pushed without a card of its own: what the files say, no more."""

import json
from collections.abc import Sequence

from endoforge.detect.packaged import Provenance
from endoforge.detect.weights import WeightsMetadata

NO_DEVICE = (
    "For research and teaching. It is no medical device, and nothing that it finds, or doesn't "
    "find, is a finding."
)


def weights_readme(
    metadata: WeightsMetadata, made: Provenance | None, address: str, licence: str | None
) -> str:
    """Of weights, in Markdown with the head that the Hub reads."""
    width, height = metadata.input_size
    classes = ", ".join(_literal(name) for name in metadata.model.classes)
    facts = [
        f"Detector: {_literal(metadata.model.name)}, of EndoForge {_literal(metadata.version)}",
        f"Input: {width}x{height} pixels, {metadata.resize_mode}",
        f"Classes: {classes}",
        f"Made by: {'not said in the file' if made is None else _literal(str(made))}",
        f"Licence: {licence or 'none is named'}",
    ]
    how = [
        f"endoforge pull {address} --output weights.safetensors",
        "endoforge detect video.mp4 --checkpoint weights.safetensors",
    ]
    tags = ["object-detection", "endoforge", "colonoscopy", "safetensors"]
    return _page("Weights of a polyp detector", tags, facts, how, licence)


def shards_readme(num_frames: int, num_shards: int, address: str, licence: str | None) -> str:
    """Of shards, in Markdown with the head that the Hub reads."""
    facts = [
        f"{num_frames:,} labelled frames of colonoscopy in {num_shards:,} WebDataset shards",
        f"Licence: {licence or 'none is named'}",
    ]
    how = [f"endoforge pull {address} --output shards", "endoforge train --input-root shards"]
    tags = ["endoforge", "colonoscopy", "webdataset"]
    return _page("Frames for a polyp detector", tags, facts, how, licence)


def _page(
    title: str,
    tags: Sequence[str],
    facts: Sequence[str],
    how: Sequence[str],
    licence: str | None,
) -> str:
    lines = [
        "---",
        *([f"license: {licence}"] if licence else []),
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
        "",
        f"# {title}",
        "",
        NO_DEVICE,
        "",
        *(f"- {fact}" for fact in facts),
        "",
        "```",
        *how,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _literal(text: str) -> str:
    """As code, so that nothing in it is read as Markdown: texts of files may come from anybody."""
    shown = json.dumps(text, ensure_ascii=False)[1:-1].replace("`", "'")
    return f"`{shown}`"
