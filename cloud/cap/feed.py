"""The list of warnings that are true now, as an Atom feed (RFC 4287, OASIS CAP Feeds 1.0). Pure.

One entry a message, named as the message is; its link leads to the message itself. What has expired is no more in it.
The most severe stand first, then the newest, and no reader is given more than 100 KB: where they are many the summaries
go first, which the messages have too; what finds no room even so is counted in the subtitle, never left out in silence.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from cloud.cap.message import TYPE, Alert, plain, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LARGEST = 100_000  # bytes
FEED_TYPE = "application/atom+xml"
_SEVERITIES = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
_NAMESPACE = "http://www.w3.org/2005/Atom"


class Frame(msgspec.Struct, frozen=True):
    """What a feed says of itself: its name for ever, its own address, whose it is."""

    id: str
    address: str
    author: str
    title: str = "gocche: cảnh báo / warnings"


def feed(alerts: Iterable[Alert], frame: Frame, updated_ms: int, link: Callable[[Alert], str]) -> bytes:
    """Return the feed of some messages, as it has been since a time; `link` gives the address of one."""
    own = sorted(alerts, key=lambda one: (_SEVERITIES.index(one.meaning.severity), -one.sent_ms, one.identifier))
    room = LARGEST - len(_whole(frame, updated_ms, [], len(own)))
    entries = _fitting([_entry(one, link(one)) for one in own], room)
    if len(entries) < len(own):
        entries = _fitting([_entry(one, link(one), brief=True) for one in own], room)
    return _whole(frame, updated_ms, entries, len(own) - len(entries))


def _fitting(entries: list[str], room: int) -> list[str]:
    sizes = accumulate(len(entry.encode()) for entry in entries)
    return [entry for entry, size in zip(entries, sizes, strict=True) if size <= room]


def _whole(frame: Frame, updated_ms: int, entries: list[str], left_out: int) -> bytes:
    subtitle = f"<subtitle>+{left_out}: không đủ chỗ / no room</subtitle>" if left_out else ""
    head = (
        f"<id>{plain(frame.id)}</id><title>{plain(frame.title)}</title>{subtitle}<updated>{stamp(updated_ms)}</updated>"
        f'<author><name>{plain(frame.author)}</name></author><link rel="self" href="{plain(frame.address)}"/>'
    )
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{_NAMESPACE}">{head}{"".join(entries)}</feed>\n'
    return xml.encode()


def _entry(one: Alert, address: str, *, brief: bool = False) -> str:
    texts = [*one.texts.values()]
    title = " / ".join(dict.fromkeys(text.headline for text in texts))
    summary = "" if brief else " / ".join(dict.fromkeys(text.description for text in texts))
    told = f"<summary>{plain(summary)}</summary>" if summary else ""
    return (
        f"<entry><id>{plain(one.identifier)}</id><title>{plain(title)}</title><updated>{stamp(one.sent_ms)}</updated>"
        f'<link rel="alternate" type="{TYPE}" href="{plain(address)}"/><category term="{plain(one.status)}"/>'
        f"{told}</entry>"
    )
