"""NMEA 0183 sentences: find them in a line of bytes and check them, split them, read their numbers strictly.

Source: NMEA 0183 v4.1 §5.2–5.3 (checksum = XOR of the bytes between `$` and `*`). A checksum is demanded unless the
installer says otherwise: lost bytes merge sentences, and what is left often still looks like one.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_LEAST = 4  # characters of a sentence: the shortest address and something
# as many digits as the standard has: of a sentence that lost two equal characters the checksum is right (it is a XOR)
_DEGREES = {
    "NS": re.compile(r"(\d{2})(\d{2}(?:\.\d*)?)"),
    "EW": re.compile(r"(\d{3})(\d{2}(?:\.\d*)?)"),
}


class Damaged(ValueError):
    """A sentence that fails its checksum, or has none where one is demanded."""


def sentences(line: bytes, *, checksum_required: bool = True) -> Iterator[list[str] | Damaged]:
    """Yield the fields of each sentence in this line, address first (`GPGGA`), or in its place what is wrong with it.

    What stands before the first `$` is the rest of another sentence and is skipped, and so is noise: at a wrong speed
    every 256th byte is a `$`, and nobody must look for a disturbed line then. Two sentences may share a line
    where the talker lost a line end; one that has neither checksum nor line end was cut off, whatever is demanded.
    """
    begun = line.split(b"$")[1:]
    for number, text in enumerate(begun, 1):
        if _is_noise(text):
            continue
        try:
            yield _whole(text.rstrip(), checksum_required=checksum_required or number < len(begun))
        except Damaged as error:
            yield error


def _is_noise(text: bytes) -> bool:
    plain = sum(0x20 <= byte < 0x7F for byte in text.rstrip())
    return plain < _LEAST or 4 * plain < 3 * len(text)


def _whole(text: bytes, *, checksum_required: bool) -> list[str]:
    body, star, told = text.partition(b"*")
    if star or checksum_required:
        right = reduce(xor, body, 0)
        if told.upper() not in {b"%02X" % right, b"%X" % right}:  # some leave out a leading zero
            said = told.decode("ascii", "replace") or "missing"
            raise Damaged(f"checksum {said}, should be {right:02X}: ${text.decode('ascii', 'replace')}")
    return [field.strip() for field in body.decode("ascii", "replace").split(",")]


class Transducer(NamedTuple):
    """One group of an XDR sentence. `nth` counts, from 1, those of the same type and name in that sentence."""

    type: str
    name: str
    nth: int
    value: str
    unit: str


def transducers(fields: list[str]) -> list[Transducer]:
    """Return the groups of an XDR sentence (its fields without the address), up to one that is none.

    A group is type, value, unit, name. Where a type is no letter or a value no number, a field was left out and
    everything behind it stands in the wrong place. Many talkers leave the last name out, and its comma too.
    """
    found: list[Transducer] = []
    padded = [*fields, ""] if len(fields) % 4 == 3 else fields
    for at in range(0, len(padded) - 3, 4):
        type_, value, unit, name = padded[at : at + 4]
        if not re.fullmatch("[A-Z]", type_) or (value and not _NUMBER.fullmatch(value)):
            break
        nth = 1 + sum((one.type, one.name) == (type_, name) for one in found)
        found.append(Transducer(type_, name, nth, value, unit))
    return found


def number(field: str) -> float:
    """Return a plain decimal number. Raises ValueError for anything else (`nan`, `1e3`, empty)."""
    if not _NUMBER.fullmatch(field):
        raise ValueError(f"{field!r} is not a number")
    return float(field)


def degrees(field: str, hemisphere: str, axis: str) -> float:
    """Return decimal degrees from `ddmm.mmmm`, `dddmm.mmmm`, of this axis, "NS" or "EW". Raises ValueError."""
    match = _DEGREES[axis].fullmatch(field)
    if match is None or hemisphere not in set(axis) or float(match[2]) >= 60:
        raise ValueError(f"{field!r} {hemisphere!r} is not a position")
    value = int(match[1]) + float(match[2]) / 60
    return round(-value if hemisphere in {"S", "W"} else value, 9)
