"""From the name of a source to what shows it."""

from collections.abc import Callable
from pathlib import Path

from endoforge.captures.addresses import live_address
from endoforge.core.text import printable
from endoforge.view.events import Events
from endoforge.view.frame import PlainFrame
from endoforge.view.live_show import LiveShow
from endoforge.view.playable import open_playable
from endoforge.view.show import SharedWorld
from endoforge.view.source_show import PlayedShow, SourceShow


def source_name(source: str) -> str:
    """What a source is called, without what is secret in an address."""
    address = live_address(source)
    return printable(Path(source).name or source) if address is None else address.shown


def make_source_show(
    source: str,
    shared: SharedWorld,
    on_frame: Callable[[PlainFrame], None],
    on_change: Callable[[], None],
    events: Events,
) -> SourceShow:
    """What shows a file, folder, device or stream; raises UserError for one that can't be."""
    address = live_address(source)
    if address is not None:
        return LiveShow(address, shared, on_frame, on_change, events)
    name = source_name(source)
    return PlayedShow(name, open_playable(Path(source)), shared, on_frame, on_change, events)
