"""The code on a tree's tag: five random characters and one that catches a slip of the pen.

Six characters of Crockford's base 32 (no I, L, O, U), the last a Luhn mod 32 check character over the first five.
A code means nothing: trees move between zones, communes and owners, the tag stays.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford, https://www.crockford.com/base32.html
LENGTH = 6
READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_ONCE = {letter: place for place, letter in enumerate(ALPHABET)}
_TWICE = {letter: 2 * place // 32 + 2 * place % 32 for letter, place in _ONCE.items()}  # the sum of its digits
_LONGEST = 32  # what a person could have typed around six characters


def check_char(five: str) -> str:
    """Return the check character (Luhn mod N with N = 32). Raises ValueError for a character not in the alphabet."""
    a, b, c, d, e = tuple(five)
    try:
        total = _TWICE[a] + _ONCE[b] + _TWICE[c] + _ONCE[d] + _TWICE[e]
    except KeyError:
        raise ValueError(five) from None
    return ALPHABET[-total % 32]


def spelled(text: str) -> str | None:
    """Return six characters of the alphabet as a person meant them, or None; the check character is not judged."""
    if len(text) == LENGTH and not text.strip(ALPHABET):
        return text
    if len(text) > _LONGEST or not text.isascii():
        return None
    code = text.strip().upper().translate(READ_AS)
    return code if len(code) == LENGTH and not code.strip(ALPHABET) else None


def normalise(text: str) -> str | None:
    """Return the code that was meant: any case, with or without dashes, O for 0, I or L for 1. None if it is none."""
    code = spelled(text)
    return code if code is not None and check_char(code[:-1]) == code[-1] else None


def shown(code: str) -> str:
    """Return the code as it stands on the tag, 7K3-MQ2."""
    return f"{code[:3]}-{code[3:]}"
