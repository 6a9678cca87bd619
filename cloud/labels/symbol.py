"""The QR symbol of a tag (ISO/IEC 18004): small, and read in moss and from afar.

Level Q on 25 modules reads better than H on 29 where a plate is blurred or far away (with a blur of 4 pixels 100 %
against 37 %), and as well under moss up to 8 %: so the address must be short, and of the alphanumeric set, where a
letter takes 5.5 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import segno

from cloud.labels import BadLabel
from cloud.labels.address import LONG

ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+./:-]+")  # ISO/IEC 18004 table 5; no ? = _ or small letters
SMALLEST_MM = 30.0
QUIET = 4  # modules around a symbol


@dataclass(frozen=True)
class Symbol:
    """What a tag's scanner reads. Raises BadLabel for an address that makes too large a symbol."""

    url: str

    def __post_init__(self) -> None:
        """Refuse what would not be read."""
        if not ALPHANUMERIC.fullmatch(self.url):
            odd = sorted(set(ALPHANUMERIC.sub("", self.url)))
            raise BadLabel("letters", url=self.url, odd=" ".join(odd))
        if len(self.url) > LONG:
            raise BadLabel("long", url=self.url, length=len(self.url), limit=LONG)

    @cached_property
    def modules(self) -> tuple[tuple[bool, ...], ...]:
        """The symbol's rows from the top, True for dark; without the quiet zone."""
        made = segno.make(self.url, error="q", mode="alphanumeric", micro=False, boost_error=False)
        return tuple(tuple(map(bool, row)) for row in made.matrix)

    def runs(self) -> list[tuple[int, int, int]]:
        """Return the dark runs as (row, column, length in modules): what is drawn, filled or engraved."""
        found = []
        for row, modules in enumerate(self.modules):
            start = None
            for column, dark in enumerate((*modules, False)):
                if dark and start is None:
                    start = column
                elif not dark and start is not None:
                    found.append((row, start, column - start))
                    start = None
        return found


def fits(symbol_mm: float, quiet: float = QUIET) -> None:
    """Raise BadLabel for a symbol too small, or with too little light around it."""
    if symbol_mm < SMALLEST_MM:
        raise BadLabel("small", size=f"{symbol_mm:g}", limit=f"{SMALLEST_MM:g}")
    if quiet < QUIET:
        raise BadLabel("quiet", quiet=f"{quiet:g}", limit=QUIET)
