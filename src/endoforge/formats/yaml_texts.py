"""YAML of files that somebody else may have made, as texts."""

from typing import Any

import yaml

from endoforge.core.parsing import TOO_DEEP


class _Texts(yaml.BaseLoader):  # type: ignore[misc]
    """Every scalar is a text, as it is written: `no`, `007` and `1e3`.

    An alias, such as `*names`, is refused: a few lines of them make billions of names. So is a key
    that is there twice, of which others take the last one.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases aren't read", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                what = f"{key.value} is there twice"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str) -> Any:
    """Dicts, lists and texts; raises ValueError, which says the line if it is known."""
    try:
        return yaml.load(text, Loader=_Texts)
    except RecursionError as error:
        raise ValueError(f"not YAML ({TOO_DEEP})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be read"
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"not YAML ({line}{why})") from error
