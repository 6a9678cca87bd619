"""One CAP 1.2 message: what it is made from, and how it is written.

What machines read (category, urgency, geometry …) is said once and stands the same in every language; what people read
is told a language at a time. What is written is judged before it is given away, so nothing leaves that is not valid.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Literal

import msgspec

from cloud.cap.judge import NAMESPACE, check
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPE = "application/cap+xml"
_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Reference(msgspec.Struct, frozen=True):
    """An earlier message, as later ones name it."""

    sender: str
    identifier: str
    sent_ms: int

    def __str__(self) -> str:
        return f"{self.sender},{self.identifier},{stamp(self.sent_ms)}"


class Meaning(msgspec.Struct, frozen=True):
    """What a warning asks for, in the words of CAP."""

    urgency: str
    severity: str
    certainty: str
    response: str


class Area(msgspec.Struct, frozen=True):
    """Where: circles of latitude, longitude and kilometres; polygons of (latitude, longitude), closed."""

    circles: tuple[tuple[float, float, float], ...] = ()
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()


class Text(msgspec.Struct, frozen=True):
    """What people read, in one language."""

    event: str
    headline: str
    description: str
    instruction: str
    area: str
    sender_name: str = ""
    contact: str = ""


class Alert(msgspec.Struct, frozen=True):
    """A message. `texts` has a text a language (BCP 47); a time of None is left out."""

    identifier: str
    sender: str
    sent_ms: int
    meaning: Meaning
    texts: dict[str, Text]
    status: Literal["Actual", "Exercise", "Test"] = "Actual"
    kind: Literal["Alert", "Update", "Cancel"] = "Alert"
    references: tuple[Reference, ...] = ()
    scope: Literal["Restricted", "Public"] = "Restricted"
    restriction: str = ""
    categories: tuple[str, ...] = ("Fire",)
    incident: str = ""
    note: str = ""
    effective_ms: int | None = None
    onset_ms: int | None = None
    expires_ms: int | None = None
    web: str = ""
    area: Area = Area()

    @property
    def reference(self) -> Reference:
        """How later messages name this one."""
        return Reference(self.sender, self.identifier, self.sent_ms)


def stamp(utc_ms: int) -> str:
    """Return a time as CAP wants it: whole seconds, with the offset of Vietnam."""
    return hanoi(utc_ms).isoformat(timespec="seconds")


def written(alert: Alert) -> bytes:
    """Return a message as XML. Raises ValueError, with the first fault, for one that would not be valid."""
    parts = [
        _element("identifier", alert.identifier),
        _element("sender", alert.sender),
        _element("sent", stamp(alert.sent_ms)),
        _element("status", alert.status),
        _element("msgType", alert.kind),
        _element("scope", alert.scope),
        _element("restriction", alert.restriction),
        _element("note", alert.note),
        _element("references", " ".join(map(str, alert.references))),
        _element("incidents", alert.incident),
        *(_holding("info", _info(alert, language, text)) for language, text in alert.texts.items()),
    ]
    body = "".join(parts)
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<alert xmlns="{NAMESPACE}">{body}</alert>\n'.encode()
    for fault in check(xml):
        raise ValueError(f"{alert.identifier}: {fault.place} {fault.words}")
    return xml


def _info(alert: Alert, language: str, text: Text) -> Iterator[str]:
    meaning = alert.meaning
    yield _element("language", language)
    yield from (_element("category", one) for one in alert.categories)
    yield _element("event", text.event)
    yield _element("responseType", meaning.response)
    yield _element("urgency", meaning.urgency)
    yield _element("severity", meaning.severity)
    yield _element("certainty", meaning.certainty)
    times = {"effective": alert.effective_ms, "onset": alert.onset_ms, "expires": alert.expires_ms}
    yield from (_element(name, stamp(at_ms)) for name, at_ms in times.items() if at_ms is not None)
    yield _element("senderName", text.sender_name)
    yield _element("headline", text.headline)
    yield _element("description", text.description)
    yield _element("instruction", text.instruction)
    yield _element("web", alert.web)
    yield _element("contact", text.contact)
    yield _holding("area", _area(alert.area, text.area))


def _area(area: Area, words: str) -> Iterator[str]:
    yield _element("areaDesc", words)
    for polygon in area.polygons:
        yield _element("polygon", " ".join(f"{lat:.5f},{lon:.5f}" for lat, lon in polygon))
    for lat, lon, km in area.circles:
        yield _element("circle", f"{lat:.5f},{lon:.5f} {km:.3f}")


def _element(name: str, text: str) -> str:
    """Return an element; none for what is not said. What XML cannot hold is shown as a replacement character."""
    return f"<{name}>{plain(text)}</{name}>" if text else ""


def _holding(name: str, parts: Iterator[str]) -> str:
    return f"<{name}>{''.join(parts)}</{name}>"


def plain(text: str) -> str:
    """Return text as it may stand in XML, in an element or an attribute."""
    return escape(_NO_XML.sub("�", text))
