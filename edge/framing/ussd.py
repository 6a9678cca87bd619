"""What a network answers to a USSD code, as a modem brings it, and the numbers in it.

Source: 3GPP TS 27.007 §7.15 (`+CUSD: m[,str,dcs]`), 23.038 §5 (the coding). The text comes as letters, as UCS-2 in
hexadecimal or as septets in hexadecimal, from maker to maker. A number is read strictly: `1.500 MB` may be one and a
half or fifteen hundred, and is neither as long as the operator's file does not say what the point is.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from at import alphabet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.operators import Find

# a text may have lines and quotation marks of its own: it ends with the mark that ends the line
ANSWER = re.compile(rb'\+CUSD: *(\d)(?: *, *"([\s\S]{0,800}?)"(?: *, *(\d{1,3}))?)?[ \t]*\r\n')
_LONGEST = 400  # letters: an answer has 182
_PHONE = re.compile(r"\+?\d(?:[ .\-]?\d){8,}")  # numbers of telephones and SIMs; a date has eight digits
_UNITS_MB = {"kb": 1 / 1024, "mb": 1.0, "gb": 1024.0}


def said(text: bytes, coding: int | None) -> str:
    """Return the text of an answer, without accents and on one line. Raises ValueError for what is none."""
    word = text.decode("utf-8", "replace")
    packed = re.fullmatch(r"(?:[0-9A-F]{2}){4,}", word) is not None and re.search("[A-F]|0{2}", word) is not None
    if packed:
        octets = bytes.fromhex(word)
        word = octets.decode("utf-16-be") if _is_ucs2(octets, coding) else _septets(octets)
    if "\ufffd" in word:
        raise ValueError("letters that cannot be read")
    return " ".join(alphabet.plain(word[:_LONGEST]).split())


def _is_ucs2(octets: bytes, coding: int | None) -> bool:
    told = coding is not None and (coding == 0x11 or (coding & 0xCC) == 0x48)
    return len(octets) % 2 == 0 and (told or all(octet == 0 for octet in octets[::2]))


def _septets(octets: bytes) -> str:
    count = 8 * len(octets) // 7
    codes = alphabet.unpack(octets, count)
    while (codes and codes[-1] == 0) or (codes and codes[-1] == 0x0D):
        codes.pop()
    return alphabet.letters(codes)


def masked(text: str) -> str:
    """Return a text without what may be the number of a telephone or of a SIM."""
    return _PHONE.sub("…", text)


def found(text: str, find: Find) -> float | date | None:
    """Return the number, in VND, MB or days, or the date that a pattern finds; None where it finds nothing.

    Raises ValueError where what it finds is no number, may be two, or is not the same everywhere.
    """
    numbers = {_read(match.groupdict(), find) for match in re.finditer(find.pattern, text)}
    if len(numbers) > 1:
        raise ValueError(f"{find.value} stands there more than once")
    return next(iter(numbers), None)


def _read(groups: Mapping[str, str | None], find: Find) -> float | date:
    told = {name: value or "" for name, value in groups.items()}
    if find.value == "expires":
        return date(int(told["year"]), int(told["month"]), int(told["day"]))
    if find.value == "data":
        return round(_number(told["n"], find.thousands) * _UNITS_MB[told["unit"].lower()], 3)
    if find.value == "balance":
        return float(_whole(told["n"]))
    return float(int(told["n"]))


def _whole(said_: str) -> int:
    """Return a sum of money: there are no fractions of a dong, so a sign stands between thousands only."""
    if not re.fullmatch(r"\d{1,9}|\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*", said_):
        raise ValueError(f"{said_!r} is no sum")
    return int(re.sub("[.,]", "", said_))


def _number(said_: str, thousands: str) -> float:
    if thousands and re.fullmatch(rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+", said_):
        return float(said_.replace(thousands, ""))
    if not re.fullmatch(r"\d{1,7}(?:[.,]\d{1,2})?", said_):
        raise ValueError(f"{said_!r} may be two numbers")
    return float(said_.replace(",", "."))
