"""The list of warnings that are true now, as an Atom feed (RFC 4287, OASIS CAP Feeds 1.0). Pure.

One entry a message, named as the message is; its link leads to the message itself. What has expired is no more in it.
The most severe stand first, then the newest, and no reader is given more than 100 KB: what finds no room is counted in
the feed's subtitle, never left out in silence.
"""

from __future__ import annotations

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


def feed(alerts: Iterable[Alert], frame: Frame, now_ms: int, link: Callable[[Alert], str]) -> bytes:
    """Return the feed of the messages that have not expired; `link` gives the address of one."""
    valid = [one for one in alerts if one.expires_ms is None or one.expires_ms > now_ms]
    valid.sort(key=lambda one: (_SEVERITIES.index(one.meaning.severity), -one.sent_ms, one.identifier))
    entries: list[str] = []
    room = LARGEST - len(_whole(frame, now_ms, [], len(valid)))
    for one in valid:
        entry = _entry(one, link(one))
        room -= len(entry.encode())
        if room < 0:
            break
        entries.append(entry)
    return _whole(frame, max([one.sent_ms for one in valid], default=now_ms), entries, len(valid) - len(entries))


def _whole(frame: Frame, updated_ms: int, entries: list[str], left_out: int) -> bytes:
    subtitle = f"<subtitle>+{left_out}: không đủ chỗ / no room</subtitle>" if left_out else ""
    head = (
        f"<id>{plain(frame.id)}</id><title>{plain(frame.title)}</title>{subtitle}<updated>{stamp(updated_ms)}</updated>"
        f'<author><name>{plain(frame.author)}</name></author><link rel="self" href="{plain(frame.address)}"/>'
    )
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{_NAMESPACE}">{head}{"".join(entries)}</feed>\n'
    return xml.encode()


def _entry(one: Alert, address: str) -> str:
    texts = [*one.texts.values()]
    title = " / ".join(dict.fromkeys(text.headline for text in texts))
    summary = " / ".join(dict.fromkeys(text.description for text in texts))
    return (
        f"<entry><id>{plain(one.identifier)}</id><title>{plain(title)}</title><updated>{stamp(one.sent_ms)}</updated>"
        f'<link rel="alternate" type="{TYPE}" href="{plain(address)}"/><category term="{plain(one.status)}"/>'
        f"<summary>{plain(summary)}</summary></entry>"
    )
