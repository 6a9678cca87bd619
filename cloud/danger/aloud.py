"""Vietnamese numbers and days as they are read aloud: what a loudspeaker says has no digit in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

_DIGITS = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
_GROUPS = ("", "nghìn", "triệu")
MOST = 999_999_999


def number(value: float, decimals: int = 0) -> str:
    """Return a number in words, rounded to so many decimals; its digits after the comma one by one.

    Raises ValueError beyond 999,999,999.
    """
    text = f"{abs(value):.{decimals}f}"
    whole, _, part = text.partition(".")
    words = _whole(int(whole))
    if part.strip("0"):
        words += " phẩy " + " ".join(_DIGITS[int(digit)] for digit in part.rstrip("0"))
    return f"âm {words}" if value < 0 and text.strip("0.") else words


def day(on: date, *, year: bool = True) -> str:
    """Return a day in words."""
    first = "mồng " if on.day <= 10 else ""
    month = "tư" if on.month == 4 else _whole(on.month)
    return f"ngày {first}{_whole(on.day)} tháng {month}" + (f" năm {_whole(on.year)}" if year else "")


def _whole(n: int) -> str:
    if n > MOST:
        raise ValueError(f"{n} is more than is read aloud here: {MOST}")
    if n == 0:
        return _DIGITS[0]
    groups = [n // 1000**power % 1000 for power in (2, 1, 0)]
    words: list[str] = []
    for group, name in zip(groups, reversed(_GROUPS), strict=True):
        if group:
            words += [*_three(group, after=bool(words)), name]
    return " ".join(filter(None, words))


def _three(n: int, *, after: bool) -> list[str]:
    """Return the words of a group of three digits; `after` a larger group no hundreds are said, too."""
    hundreds, tens, ones = n // 100, n // 10 % 10, n % 10
    words = [_DIGITS[hundreds], "trăm"] if hundreds or after else []
    if tens == 0:
        if ones:
            words += (["linh"] if words else []) + [_DIGITS[ones]]
        return words
    words += ["mười"] if tens == 1 else [_DIGITS[tens], "mươi"]
    if ones == 1:
        words.append("một" if tens == 1 else "mốt")
    elif ones == 5:
        words.append("lăm")
    elif ones == 4 and tens > 1:
        words.append("tư")
    elif ones:
        words.append(_DIGITS[ones])
    return words
