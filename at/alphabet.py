"""The letters of an SMS: the GSM 7-bit default alphabet with its extension table, and a text without its accents.

Source: 3GPP TS 23.038 §6.2.1 (the two tables, packing) and §6.2.1.1 (what stands for an extension that is not known).
é, à, ù, ò and ì are in it, ế, ừ, ạ and đ are not: one of these moves a whole message to UCS-2, 70 letters a part.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ESCAPE = 0x1B
_LETTERS = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
_SEPTETS = {letter: (place,) for place, letter in enumerate(_LETTERS) if place != _ESCAPE} | {
    letter: (_ESCAPE, place) for place, letter in _EXTENSION.items()
}
# What Unicode does not take apart by itself (NFKD), as people write it without accents.
_PLAIN = str.maketrans(
    {
        "đ": "d", "Đ": "D", "ø": "o", "Ø": "O", "ß": "ss", "æ": "ae", "Æ": "AE", "ð": "d", "ł": "l", "Ł": "L",
        "‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "•": "*", "·": ".", "⁄": "/",
        "×": "x", "÷": "/", "±": "+-", "≤": "<=", "≥": ">=", "≈": "~", "→": "->", "←": "<-", "°": "", "μ": "u",
        "₫": "d", "₂": "2", "¿": "?", "¡": "!", "\r": "", "\t": " ", "\f": "\n", "\u2028": "\n", "\u2029": "\n",
    }
)  # fmt: skip
CUT = "..."


def septets(text: str) -> list[int]:
    """Return the septets of a text, two for what the extension table holds. Raises ValueError for another letter."""
    try:
        return [septet for letter in text for septet in _SEPTETS[letter]]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is not in the GSM 7-bit alphabet") from error


def fits(text: str) -> bool:
    """Tell whether every letter is in the GSM 7-bit alphabet."""
    return all(letter in _SEPTETS for letter in text)


def letters(codes: Iterable[int]) -> str:
    """Return the text of these septets. Raises ValueError where it ends within a letter.

    An extension that is not known is the letter of the main table, and an escape behind an escape a space, as 23.038
    wants it.
    """
    said, escaped = [], False
    for code in codes:
        if escaped:
            said.append(_EXTENSION.get(code, " " if code == _ESCAPE else _LETTERS[code]))
            escaped = False
        elif code == _ESCAPE:
            escaped = True
        else:
            said.append(_LETTERS[code])
    if escaped:
        raise ValueError("the text ends within a letter")
    return "".join(said)


def pack(codes: Sequence[int], skip_bits: int = 0) -> bytes:
    """Return septets as octets, behind so many bits that fill up a header."""
    number = 0
    for place, code in enumerate(codes):
        number |= code << (7 * place + skip_bits)
    return number.to_bytes((7 * len(codes) + skip_bits + 7) // 8, "little")


def unpack(octets: bytes, count: int, skip_bits: int = 0) -> list[int]:
    """Return `count` septets. Raises ValueError where there are not that many octets, or more."""
    if len(octets) != (7 * count + skip_bits + 7) // 8:
        raise ValueError(f"{len(octets)} octets are not {count} septets")
    number = int.from_bytes(octets, "little") >> skip_bits
    return [number >> (7 * place) & 0x7F for place in range(count)]


def plain(text: str) -> str:
    """Return a text without accents, in letters that every telephone shows and that cost one septet or two.

    What has no such letter (an emoji) becomes a question mark: that something stood there is seen.
    """
    apart = unicodedata.normalize("NFKD", text.translate(_PLAIN)).translate(_PLAIN)
    bare = (letter for letter in apart if unicodedata.category(letter) not in {"Mn", "Me", "Cf", "Cs"})
    return "".join(letter if letter in _SEPTETS else _stand_in(letter) for letter in bare)


def fit(text: str, most: int = 160) -> str:
    """Return a text plain and in at most so many septets; what is cut off is cut between two words, and shows.

    160 septets are one message.
    """
    whole = plain(text)
    if len(septets(whole)) <= most:
        return whole
    room = most - len(CUT)
    length = used = 0
    for letter in whole:
        used += len(_SEPTETS[letter])
        if used > room:
            break
        length += 1
    kept = whole[:length]
    at_word = kept if whole[length].isspace() else kept[: max(kept.rfind(" "), kept.rfind("\n"), 0)]
    return (at_word.rstrip() or kept) + CUT


def _stand_in(letter: str) -> str:
    return " " if unicodedata.category(letter) in {"Zs", "Cc"} else "?"
