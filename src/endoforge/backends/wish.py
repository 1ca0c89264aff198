"""Reads which adapter of WebGPU a user wishes for, from a flag and from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from endoforge.core.errors import UserError

Api = Literal["vulkan", "dx12", "metal", "gl"]
Power = Literal["high-performance", "low-power"]


@dataclass(frozen=True, kw_only=True)
class AdapterWish:
    """What a WebGPU adapter must be, None for what doesn't matter."""

    api: Api | None = None
    power: Power | None = None
    name: str | None = None
    """A part of its name or its vendor's, in any case."""

    @classmethod
    def parse(cls, text: str | None) -> "AdapterWish":
        """Read words between commas: an API, a power preference; anything else is part of a name.

        "vulkan,radeon". Raises UserError where two words say the same.
        """
        found: dict[str, str] = {}
        for word in filter(None, (word.strip() for word in (text or "").split(","))):
            lower = word.lower()
            kind = "api" if lower in get_args(Api) else "name"
            kind = "power" if lower in get_args(Power) else kind
            if kind in found:
                raise UserError(f"--adapter {text}: {found[kind]} and {word}; give one of the two")
            found[kind] = word if kind == "name" else lower
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return ",".join(word for word in (self.api, self.power, self.name) if word)


def with_environment(config: Any, environment: Mapping[str, str]) -> Any:
    """Add to a command's configuration what the environment says of its `adapter`, if it has one.

    What `--adapter` doesn't say comes from WGPU_BACKEND, WGPU_POWER_PREF and WGPU_ADAPTER_NAME,
    unless torch computes. Raises UserError for a variable that can't be one of its words.
    """
    if not hasattr(config, "adapter") or getattr(config, "backend", None) == "torch":
        return config
    wish = AdapterWish.parse(config.adapter)
    api = wish.api or _word(environment, "WGPU_BACKEND", get_args(Api))
    power = wish.power or _word(environment, "WGPU_POWER_PREF", get_args(Power))
    name = wish.name or environment.get("WGPU_ADAPTER_NAME", "").strip().replace(",", " ") or None
    both = AdapterWish(api=cast("Api | None", api), power=cast("Power | None", power), name=name)
    return replace(config, adapter=str(both) or None)


def unread_choice(config: Any, environment: Mapping[str, str]) -> str | None:
    """Give a line for those whose environment chooses a GPU while torch computes; else None."""
    names = sorted(
        name for name, value in environment.items() if name.startswith("WGPU_") and value
    )
    if not names or getattr(config, "backend", None) != "torch":
        return None
    return f"{', '.join(names)}: read with --backend webgpu only; without it torch goes by --device"


def _word(environment: Mapping[str, str], variable: str, choices: tuple[str, ...]) -> str | None:
    word = environment.get(variable, "").strip().lower()
    if word and word not in choices:
        raise UserError(f"{variable}={word}: must be one of {', '.join(choices)}")
    return word or None
