"""Commands as a user types them."""

import shlex
from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def command_line(command: str, config: "DataclassInstance", *, always: Collection[str] = ()) -> str:
    """What a shell makes `config` of: `endoforge`, the command, and each flag that isn't at its
    default, or is one of the fields that are `always` given."""
    words = ["endoforge", command]
    for field in fields(config):
        value, flag = getattr(config, field.name), "--" + field.name.replace("_", "-")
        if value == field.default and field.name not in always:
            continue
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
