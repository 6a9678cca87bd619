"""What is wrong with a CAP 1.2 message: its shape, as the XSD of OASIS has it, then the rules that only the text has.

The shape is a table here and no XSD processor: lxml would be a library of C code that reads what strangers wrote, for
one schema that has not changed since 2010. The tests hold the table against the XSD itself (decision 0050).

What is judged is not trusted: a message is bounded in bytes and in depth, and one that declares anything of its own (a
DTD, and with it entities) is refused before any of it is followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from xml.parsers import expat

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
LARGEST = 256 * 1024  # bytes
DEEPEST = 32
MOST_FAULTS = 50
STATUSES = ("Actual", "Exercise", "System", "Test", "Draft")
KINDS = ("Alert", "Update", "Cancel", "Ack", "Error")
_ABOUT_OTHERS = KINDS[1:]
_SPACE = " \t\r\n"
_UNTOLD = re.compile(r"[\s,<&]")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[-+][0-9]{2}:[0-9]{2}")
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_WHOLE = re.compile(r"[-+]?[0-9]+")


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: `xml` (cannot be read), `shape` (against the XSD) or `text` (against its rules)."""

    kind: Literal["xml", "shape", "text"]
    place: str
    words: str


class _Element(msgspec.Struct):
    name: str  # without a namespace where it is CAP's own, else {namespace}name
    text: str = ""
    own: list[_Element] = []
    attributes: tuple[str, ...] = ()

    def said(self, name: str) -> list[str]:
        return [one.text for one in self.own if one.name == name]

    def first(self, name: str, otherwise: str = "") -> str:
        return next(iter(self.said(name)), otherwise)

    def all(self, name: str) -> list[_Element]:
        return [one for one in self.own if one.name == name]


class _Unreadable(Exception):
    """What the parser, or a bound, says."""


def check(xml: bytes | str) -> list[Fault]:
    """Return what is wrong with a message, nothing for one that may be sent. Never raises, whatever it is given."""
    try:
        root = _read(xml.encode("utf-8", "surrogatepass") if isinstance(xml, str) else xml)
    except _Unreadable as fault:
        return [Fault("xml", "", str(fault))]
    if root.name != "alert":
        return [Fault("shape", root.name, f"is no <alert> of {NAMESPACE}")]
    faults = [Fault("shape", place, words) for place, words in _bounded(_shape(root, _ALERT, "alert"))]
    return faults or [Fault("text", place, words) for place, words in _bounded(_text(root))]


def time_fault(text: str) -> str:
    """Return what is wrong with a date and time of CAP, nothing where it is one."""
    if not _TIME.fullmatch(text):
        return f"is {text[:40]!r}, not yyyy-mm-ddThh:mm:ss±hh:mm: no Z, no fractions"
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        return f"is {text!r}: {error}"
    hours, minutes = int(text[20:22]), int(text[23:25])
    return f"is {text!r}: no offset is beyond 14:00" if 60 * hours + minutes > 14 * 60 or minutes > 59 else ""


def _bounded(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [one for one, _ in zip(found, range(MOST_FAULTS), strict=False)]


# --- reading


def _read(xml: bytes) -> _Element:
    """Return the root element. Raises _Unreadable."""
    if len(xml) > LARGEST:
        raise _Unreadable(f"has {len(xml)} bytes, more than {LARGEST}")
    parser = expat.ParserCreate("UTF-8", "}")
    top = _Element("")
    way = [top]

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(way) > DEEPEST:
            raise _Unreadable(f"is nested more than {DEEPEST} deep")
        element = _Element(_named(name), attributes=tuple(attributes))
        way[-1].own.append(element)
        way.append(element)

    def end(_name: str) -> None:
        way.pop()

    def told(text: str) -> None:
        way[-1].text += text

    def declared(*_: object) -> None:
        raise _Unreadable("declares a document type: a message needs none, and it may hide entities")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = told, declared
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise _Unreadable(f"is not well-formed XML: {error}") from error
    return top.own[0]


def _named(name: str) -> str:
    namespace, brace, own = name.rpartition("}")
    if not brace:
        return "{}" + name
    return own if namespace == NAMESPACE else f"{{{namespace}}}{own}"


# --- the shape: https://docs.oasis-open.org/emergency/cap/v1.2/CAP-v1.2.xsd


def _any(_text: str) -> str:
    return ""


def _time(text: str) -> str:
    return time_fault(text.strip(_SPACE))


def _one_of(*values: str) -> Callable[[str], str]:
    def check_(text: str) -> str:
        return "" if text in values else f"is {text[:40]!r}, not one of {', '.join(values)}"

    return check_


def _like(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def check_(text: str) -> str:
        return "" if pattern.fullmatch(text.strip(_SPACE)) else f"is {text[:40]!r}, not {what}"

    return check_


def _language(text: str) -> str:
    """An empty one is the schema's default, en-US."""
    return _like(_LANGUAGE, "a language tag")(text) if text else ""


class _Part(msgspec.Struct, frozen=True):
    """An element at its place in a sequence: how it is checked, or of which parts it is made; how often it may come."""

    name: str
    check: Callable[[str], str] | None = _any
    parts: tuple[_Part, ...] = ()
    least: int = 1
    many: bool = False


def _maybe(name: str, check_: Callable[[str], str] = _any) -> _Part:
    return _Part(name, check_, least=0)


def _some(name: str, check_: Callable[[str], str] = _any, *parts: _Part, least: int = 0) -> _Part:
    return _Part(name, check_, parts, least, many=True)


_PAIR = (_Part("valueName"), _Part("value"))
_AREA = (
    _Part("areaDesc"),
    _some("polygon"),
    _some("circle"),
    _some("geocode", _any, *_PAIR),
    _maybe("altitude", _like(_NUMBER, "a number")),
    _maybe("ceiling", _like(_NUMBER, "a number")),
)
_RESOURCE = (
    _Part("resourceDesc"),
    _Part("mimeType"),
    _maybe("size", _like(_WHOLE, "a whole number")),
    _maybe("uri"),
    _maybe("derefUri"),
    _maybe("digest"),
)
_CATEGORIES = (
    "Geo",
    "Met",
    "Safety",
    "Security",
    "Rescue",
    "Fire",
    "Health",
    "Env",
    "Transport",
    "Infra",
    "CBRNE",
    "Other",
)
_RESPONSES = ("Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None")
_INFO = (
    _maybe("language", _language),
    _some("category", _one_of(*_CATEGORIES), least=1),
    _Part("event"),
    _some("responseType", _one_of(*_RESPONSES)),
    _Part("urgency", _one_of("Immediate", "Expected", "Future", "Past", "Unknown")),
    _Part("severity", _one_of("Extreme", "Severe", "Moderate", "Minor", "Unknown")),
    _Part("certainty", _one_of("Observed", "Likely", "Possible", "Unlikely", "Unknown")),
    _maybe("audience"),
    _some("eventCode", _any, *_PAIR),
    _maybe("effective", _time),
    _maybe("onset", _time),
    _maybe("expires", _time),
    _maybe("senderName"),
    _maybe("headline"),
    _maybe("description"),
    _maybe("instruction"),
    _maybe("web"),
    _maybe("contact"),
    _some("parameter", _any, *_PAIR),
    _some("resource", _any, *_RESOURCE),
    _some("area", _any, *_AREA),
)
_ALERT = (
    _Part("identifier"),
    _Part("sender"),
    _Part("sent", _time),
    _Part("status", _one_of(*STATUSES)),
    _Part("msgType", _one_of(*KINDS)),
    _maybe("source"),
    _Part("scope", _one_of("Public", "Restricted", "Private")),
    _maybe("restriction"),
    _maybe("addresses"),
    _some("code"),
    _maybe("note"),
    _maybe("references"),
    _maybe("incidents"),
    _some("info", _any, *_INFO),
)


def _shape(element: _Element, parts: tuple[_Part, ...], place: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an element made of parts, in the order of the sequence."""
    if element.attributes:
        yield place, f"has attributes that CAP does not know: {', '.join(element.attributes)[:80]}"
    if element.text.strip(_SPACE):
        yield place, f"has text between its elements: {element.text.strip(_SPACE)[:40]!r}"
    own, at = element.own, 0
    for part in parts:
        found = at
        while found < len(own) and own[found].name == part.name and (part.many or found == at):
            yield from _part(own[found], part, f"{place}/{part.name}")
            found += 1
        if found - at < part.least:
            here = f"<{own[at].name}> stands there" if at < len(own) else "it ends before"
            yield f"{place}/{part.name}", f"is missing at its place: {here}"
        at = found
    for left in own[at:]:
        if place != "alert" or not left.name.startswith(f"{{{SIGNATURE}}}"):
            yield f"{place}/{left.name}", "is not expected there: unknown, once too often, or out of order"


def _part(element: _Element, part: _Part, place: str) -> Iterator[tuple[str, str]]:
    if part.parts:
        yield from _shape(element, part.parts, place)
    elif element.own or element.attributes:
        yield place, "holds more than text"
    elif part.check and (words := part.check(element.text)):
        yield place, words


# --- the text: CAP 1.2 §3.2, what MUST and SHALL be and no XSD says


def _text(alert: _Element) -> Iterator[tuple[str, str]]:
    for name in ("identifier", "sender"):
        if not alert.first(name) or _UNTOLD.search(alert.first(name)):
            yield f"alert/{name}", "must be given, without space, comma, < or & (CAP 1.2 §3.2.1)"
    scope, kind = alert.first("scope"), alert.first("msgType")
    if scope == "Restricted" and not alert.first("restriction").strip():
        yield "alert/restriction", "must say to whom, where the scope is Restricted"
    if scope == "Private" and not alert.first("addresses").strip():
        yield "alert/addresses", "must name the recipients, where the scope is Private"
    references = alert.first("references").split()
    if kind in _ABOUT_OTHERS and not references:
        yield "alert/references", f"must name the messages that this {kind} is about"
    for one in references:
        yield from _reference(one, alert)
    for place, times in (("sent", alert.said("sent")), *((n, i.said(n)) for i in alert.all("info") for n in _TIMES)):
        if any(one.strip(_SPACE).endswith("+00:00") for one in times):
            yield place, "has +00:00: of UTC the offset is -00:00 (CAP 1.2 §3.3.2)"
    for info in alert.all("info"):
        yield from _info(info)
    yield from _languages(alert)


_TIMES = ("effective", "onset", "expires")


def _reference(one: str, alert: _Element) -> Iterator[tuple[str, str]]:
    sender, *others = one.split(",")
    if len(others) != 2 or not sender or not others[0]:
        yield "alert/references", f"has {one[:80]!r}, which is not sender,identifier,sent"
    elif words := time_fault(others[1]):
        yield "alert/references", f"{one[:80]!r}: sent {words}"
    elif (sender, others[0]) == (alert.first("sender"), alert.first("identifier")):
        yield "alert/references", "names this very message"


def _info(info: _Element) -> Iterator[tuple[str, str]]:
    if not info.first("event").strip():
        yield "alert/info/event", "must be said"
    for area in info.all("area"):
        if not area.first("areaDesc").strip():
            yield "alert/info/area/areaDesc", "must be said"
        if area.said("ceiling") and not area.said("altitude"):
            yield "alert/info/area/ceiling", "must not stand without altitude"
        for circle in area.said("circle"):
            if words := _circle(circle):
                yield "alert/info/area/circle", words
        for polygon in area.said("polygon"):
            if words := _polygon(polygon):
                yield "alert/info/area/polygon", words


def _circle(text: str) -> str:
    parts = text.split()
    if len(parts) != 2:
        return f"is {text[:40]!r}, not lat,lon radius"
    if not _NUMBER.fullmatch(parts[1]) or float(parts[1]) < 0:
        return f"has the radius {parts[1][:40]!r}, not kilometres from 0"
    return _point(parts[0])


def _polygon(text: str) -> str:
    points = text.split()
    if len(points) < 4 or points[0] != points[-1]:
        return f"has {len(points)} points: at least four, and the last is the first again"
    return next(filter(None, map(_point, points)), "")


def _point(text: str) -> str:
    pair = text.split(",")
    if len(pair) != 2 or not all(map(_NUMBER.fullmatch, pair)):
        return f"has {text[:40]!r}, not lat,lon in degrees (WGS 84)"
    lat, lon = map(float, pair)
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        return f"has {text[:40]!r}: latitude first, within ±90, then longitude, within ±180"
    return ""


_MEANING = ("category", "responseType", "urgency", "severity", "certainty", *_TIMES)


def _languages(alert: _Element) -> Iterator[tuple[str, str]]:
    """Each language tells the whole message: what machines read is the same in all."""
    told: dict[str, list[object]] = {}
    for info in alert.all("info"):
        language = (info.first("language") or "en-US").strip(_SPACE).lower()
        shapes = [(area.said("polygon"), area.said("circle")) for area in info.all("area")]
        told.setdefault(language, []).append(([info.said(name) for name in _MEANING], shapes))
    first, *others = [*told.items()] or [("", [])]
    for language, meaning in others:
        if meaning != first[1]:
            yield "alert/info", f"says something else in {language} than in {first[0]}"
