"""What somebody sends by the form: read from its fields, whatever stands in them. Pure.

A report of a fire is never refused for a slip: a tree's code that there is not is kept as it was typed, with the words.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cloud.registry import codes
from cloud.registry.map import distance_m

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from cloud.registry import Registry

KINDS = ("fire", "signal", "other")
MOST_TEXT, MOST_PHONE, MOST_TYPED = 500, 20, 40  # characters
LONGEST_BODY = 8_192  # bytes of a form: 500 letters of nine bytes as forms spell them, and the rest
NEAR_M = 5_000.0  # from a hamlet's point: a report from further away belongs to no hamlet
_PHONE = re.compile(r"\+?[0-9][0-9 .\-()]{6,18}[0-9]")
_IN_TEXT = re.compile(r"(?<![0-9])\+?[0-9](?:[ .\-–()]{0,3}[0-9]){7,14}(?![0-9])")
_KEY = re.compile(r"[A-Za-z0-9-]{16,64}")
_PLACE_KEY = re.compile(r"[a-z0-9-]{1,32}")
ERASED = "[…]"  # in the place of what was a telephone number


class NoReport(ValueError):
    """What keeps a form from being a report: the field, and by which rule (words `refusal.<rule>`)."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report as it was sent. `lat` and `lon` are where the telephone was, or the place that was named.

    `key` is what makes the same report the same, however often it is sent.
    """

    key: str
    kind: str
    tree: str = ""
    hamlet: str = ""
    lat: float | None = None
    lon: float | None = None
    measured: bool = False  # by the telephone itself
    text: str = ""
    phone: str = ""


class Place(NamedTuple):
    """Where a report belongs: a place of the registry as kind:code ("" of none), and its hamlet."""

    key: str
    hamlet: str


def read(fields: Mapping[str, str], registry: Registry, today: date) -> Report:
    """Return the report that a form says. Raises NoReport, with what the sender can mend."""
    kind = fields.get("kind", "")
    if kind not in KINDS:
        raise NoReport("kind", "kind")
    text = tidy(fields.get("text", ""))
    if len(text) > MOST_TEXT:
        raise NoReport("text", "long")
    phone = tidy(fields.get("phone", ""))
    if phone and (len(phone) > MOST_PHONE or not _PHONE.fullmatch(phone)):
        raise NoReport("phone", "phone")
    tree, hamlet, typed = _named(fields, registry)
    at = _measured(fields)
    point = at or _point(tree, hamlet, registry, today)
    if not (tree or hamlet or at or text or typed):
        raise NoReport("text", "nothing")
    said = f"{text} [{typed}]".strip() if typed else text
    lat, lon = point or (None, None)
    return Report(
        key=_key(fields), kind=kind, tree=tree, hamlet=hamlet, lat=lat, lon=lon, measured=at is not None, text=said,
        phone=phone,
    )  # fmt: skip


def place_of(report: Report, registry: Registry, today: date) -> Place:
    """Return where a report belongs: what was named, else the hamlet that is nearest to where the telephone was."""
    near = report.hamlet
    if not near and report.lat is not None and report.lon is not None:
        named = ((code, registry.hamlet(code, today)) for code in registry.hamlets)
        at = (report.lat, report.lon)
        away = sorted((distance_m(at, (one.lat, one.lon)), code) for code, one in named if one)
        near = away[0][1] if away and away[0][0] <= NEAR_M else ""
    key = f"tree:{report.tree}" if report.tree else f"hamlet:{near}" if near else ""
    return Place(key, near)


def without_numbers(text: str) -> str:
    """Return a text without what may be a telephone number."""
    return _IN_TEXT.sub(ERASED, text)


def tidy(text: str) -> str:
    """Return a text as it is kept: composed letters (NFC), no characters that no page can show."""
    whole = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(char if char.isprintable() or char == "\n" else " " for char in whole).strip()


def _named(fields: Mapping[str, str], registry: Registry) -> tuple[str, str, str]:
    """Return (tree, hamlet, what was typed for a tree and is none)."""
    typed = tidy(fields.get("tree", ""))[:MOST_TYPED]
    tree = registry.shown(typed) if typed else None
    hamlet = fields.get("hamlet", "")
    hamlet = hamlet if _PLACE_KEY.fullmatch(hamlet) and hamlet in registry.hamlets else ""
    return tree.code if tree else "", hamlet, "" if tree else typed


def _point(tree: str, hamlet: str, registry: Registry, today: date) -> tuple[float, float] | None:
    if tree:
        return registry.trees[tree].lat, registry.trees[tree].lon
    known = registry.hamlet(hamlet, today) if hamlet else None
    return (known.lat, known.lon) if known else None


def _measured(fields: Mapping[str, str]) -> tuple[float, float] | None:
    try:
        lat, lon = float(fields.get("lat", "")), float(fields.get("lon", ""))
    except ValueError:
        return None
    there = math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180 and (lat, lon) != (0, 0)
    return (lat, lon) if there else None


def _key(fields: Mapping[str, str]) -> str:
    """Return what makes it the same report: a key of the sender's own, else all that was sent with the form's time."""
    own = fields.get("key", "")
    said = own if _KEY.fullmatch(own) else repr(sorted((name, fields[name]) for name in fields if name != "key"))
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def receipt(digest: bytes) -> str:
    """Return a receipt of sixty bits as people write it down: K7Q2-9MTA-4XWD."""
    number = int.from_bytes(digest[:8])
    letters = "".join(codes.ALPHABET[number >> 5 * place & 31] for place in range(12))
    return "-".join((letters[:4], letters[4:8], letters[8:]))


def as_receipt(typed: str) -> str:
    """Return a receipt as somebody typed it, "" for what is none."""
    plain = typed[:40].strip().upper().translate(codes.READ_AS)
    whole = len(plain) == 12 and not plain.strip(codes.ALPHABET)
    return "-".join((plain[:4], plain[4:8], plain[8:])) if whole else ""
