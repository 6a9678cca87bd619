"""Vietnamese letters: the order of lists that people read, with numbers as numbers, and texts as people search them.

Đ is a letter after D, Ă and Â are letters after A, and so on; a tone counts only between words that are otherwise the
same. By code points, Đồi would stand after Vườn. A library (PyICU, 30 MB) would
know the order of every language; these names are of one.
"""

from __future__ import annotations

import re
import unicodedata

_NUMBER, _DIGITS = re.compile(r"[0-9]+"), 18
_TONES = dict.fromkeys(map(ord, "\u0300\u0301\u0303\u0309\u0323"))  # huyền, sắc, ngã, hỏi, nặng
_MARKS = re.compile("[\u0300-\u036f]+")  # those of Latin letters
# What is left above a letter sorts after z: ă before â, and ô before ơ as it is.
_LETTERS = str.maketrans(_TONES | {"đ": "d\u0300", "\u0306": "\u0300"})


def order(name: str) -> str:
    """Return the text that sorts a name among others."""
    small = name.casefold()
    found = small if small.isascii() else unicodedata.normalize("NFD", small).translate(_LETTERS)
    counted = _NUMBER.sub(lambda number: f"\0{number[0][:_DIGITS]:0>{_DIGITS}}\0", found)
    return counted if found == small else f"{counted}\0\0{small}"


def plain(text: str) -> str:
    """Return a text as it is searched: small letters without accents, đ as d."""
    bare = _MARKS.sub("", unicodedata.normalize("NFD", text.casefold())).replace("đ", "d")
    return bare if bare.isascii() else "".join([letter for letter in bare if not unicodedata.combining(letter)])
