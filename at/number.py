"""One spelling of a telephone number, E.164 (`+84912345678`), whoever wrote it: a person, a spreadsheet, a network.

Source: ITU-T E.164 (country code and at most 15 digits in all). Vietnam's trunk prefix is 0; since 2018 its numbers
have nine digits behind it for mobiles, and nine or ten for landlines.
"""

from __future__ import annotations

import re

VIETNAM = "84"
_BETWEEN = re.compile(
    r"[\s.\-()/\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+"
)  # as people and telephones part digits
_WHOLE = re.compile(r"\+[1-9][0-9]{6,14}")
_OF_VIETNAM = re.compile(r"\+84[1-9][0-9]{8,9}")
_LOST_ZERO = re.compile(r"[35789][0-9]{8}")  # a mobile of Vietnam from a spreadsheet that took it for a number


def e164(written: str, country: str = VIETNAM) -> str:
    """Return a number as +, country and digits. Raises ValueError, without the number, for what is none.

    `0912 345 678`, `84912345678`, `0084…` and `+84 912…` are one. A short code of a network (`199`) and a sender's
    name are no numbers.
    """
    digits = _BETWEEN.sub("", written)
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    elif digits.startswith("0"):
        digits = f"+{country}{digits[1:]}"
    elif digits.startswith(country) and len(digits) >= len(country) + 9:
        digits = f"+{digits}"
    elif country == VIETNAM and _LOST_ZERO.fullmatch(digits):
        digits = f"+{country}{digits}"
    digits = digits.replace(f"+{country}0", f"+{country}", 1)  # +84 (0)912 …
    whole = _OF_VIETNAM if digits.startswith(f"+{VIETNAM}") else _WHOLE
    if not whole.fullmatch(digits):
        raise ValueError("this is no telephone number: write it as +84912345678, or 0912345678")
    return digits
