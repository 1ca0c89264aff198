"""The README.md of what is pushed without a card of its own: what the files say, no more."""

from collections.abc import Sequence

from endoforge.core.text import counted

NO_DEVICE = (
    "For research and teaching. It is no medical device, and nothing that it finds, or doesn't "
    "find, is a finding."
)


def weights_readme(card: str, address: str, licence: str | None) -> str:
    """The model card of weights, with the head that the Hub reads."""
    how = [
        f"endoforge pull {address} --output weights.safetensors",
        "endoforge detect video.mp4 --checkpoint weights.safetensors",
    ]
    tags = ["object-detection", "endoforge", "colonoscopy", "safetensors"]
    return "\n".join([*_head(tags, licence), card, *_typed(how)]) + "\n"


def shards_readme(num_frames: int, num_shards: int, address: str, licence: str | None) -> str:
    """Of shards, in Markdown with the head that the Hub reads."""
    facts = [
        f"{counted(num_frames, 'labelled frame')} of colonoscopy in "
        f"{counted(num_shards, 'WebDataset shard')}",
        f"Licence: {licence or 'none is named'}",
    ]
    how = [f"endoforge pull {address} --output shards", "endoforge train --input-root shards"]
    tags = ["endoforge", "colonoscopy", "webdataset"]
    lines = [
        *_head(tags, licence),
        "# Frames for a polyp detector",
        "",
        NO_DEVICE,
        "",
        *(f"- {fact}" for fact in facts),
        "",
        *_typed(how),
    ]
    return "\n".join(lines) + "\n"


def _head(tags: Sequence[str], licence: str | None) -> list[str]:
    named = [f"license: {licence}"] if licence else []
    return ["---", *named, "tags:", *(f"- {tag}" for tag in tags), "---", ""]


def _typed(commands: Sequence[str]) -> list[str]:
    return ["```", *commands, "```"]
