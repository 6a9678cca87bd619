"""Telephone numbers as people write them, in the one form of ITU-T E.164: +84912345678."""

from __future__ import annotations

import re

_BETWEEN = re.compile(r"[\s.()/\u00a0-]+")
_WHOLE = re.compile(r"\+[1-9][0-9]{7,14}")


def e164(text: str, country: str = "84") -> str:
    """Return a number with + and its country: 0912 345 678, 84912345678 and 0084… are one. Raises ValueError."""
    digits = _BETWEEN.sub("", text)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    elif digits.startswith("0"):
        digits = f"+{country}{digits[1:]}"
    elif digits.startswith(country):
        digits = "+" + digits
    digits = digits.replace(f"+{country}0", f"+{country}", 1)  # +84 (0)912 …
    if not _WHOLE.fullmatch(digits):
        raise ValueError("this is no telephone number: write it like +84912345678")
    return digits
