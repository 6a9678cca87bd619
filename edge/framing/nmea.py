"""NMEA 0183 sentences: find one in a line of bytes and check it, split it, read its numbers strictly.

Source: NMEA 0183 v4.1 §5.2–5.3 (checksum = XOR of the bytes between `$` and `*`). A checksum is demanded unless the
installer says otherwise: lost bytes merge sentences, and what is left often still looks like one.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import xor

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_DEGREES = re.compile(r"(\d{1,3})(\d{2}(?:\.\d*)?)")


class Damaged(ValueError):
    """A sentence that fails its checksum, or has none where one is demanded."""


def sentence(line: bytes, *, checksum_required: bool = True) -> list[str] | None:
    """Return the fields of the sentence in this line, address first (`GPGGA`), or None where no sentence begins.

    What stands before the last `$` is the rest of another sentence and is skipped. Raises Damaged.
    """
    start = line.rfind(b"$")
    if start < 0:
        return None
    body, star, told = line[start + 1 :].rstrip().partition(b"*")
    if star or checksum_required:
        right = b"%02X" % reduce(xor, body, 0)
        if told.upper() != right:
            said = told.decode("ascii", "replace") or "missing"
            raise Damaged(f"checksum {said}, should be {right.decode()}: {line.decode('ascii', 'replace').strip()}")
    return body.decode("ascii", "replace").split(",")


def number(field: str) -> float:
    """Return a plain decimal number. Raises ValueError for anything else (`nan`, `1e3`, empty)."""
    if not _NUMBER.fullmatch(field):
        raise ValueError(f"{field!r} is not a number")
    return float(field)


def degrees(field: str, hemisphere: str) -> float:
    """Return decimal degrees from `dddmm.mmmm` and N/S/E/W. Raises ValueError for what is not a position."""
    match = _DEGREES.fullmatch(field)
    if match is None or hemisphere not in {"N", "S", "E", "W"} or float(match[2]) >= 60:
        raise ValueError(f"{field!r} {hemisphere!r} is not a position")
    value = int(match[1]) + float(match[2]) / 60
    return round(-value if hemisphere in {"S", "W"} else value, 9)
