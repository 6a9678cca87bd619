"""What the sirens of a boot remember, in a file in memory: no restart of the agent wakes who has stopped one.

It is written when something changes, which is seldom, and never on the card. A power cut forgets it: the milliseconds
that it counts in are its boot's, and whether a cause is still the same nobody knows then. It sounds rather once more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from edge.siren.rule import Memory
from edge.status import written

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
FILE = "sirens.json"


class Kept(msgspec.Struct, frozen=True):
    """One siren: what its rule remembers, and whether it did not sound when it was told last."""

    rule: Memory = Memory()
    mute: bool = False


class _All(msgspec.Struct, frozen=True):
    boot: str
    sirens: dict[str, Kept]


class KeptFile:
    """The file of one boot. Belongs to the thread of the sirens."""

    def __init__(self, folder: Path, boot: str) -> None:
        self._path, self._boot = folder / FILE, boot
        self._known: dict[str, Kept] = {}

    def read(self) -> dict[str, Kept]:
        """Return what an earlier process of this boot has left, by siren."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_All)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("sirens not-remembered why=%r; one that was stopped may sound once more", str(error))
            return {}
        if found.boot == self._boot:
            self._known = found.sirens
        return self._known

    def write(self, sirens: dict[str, Kept]) -> None:
        """Leave what is remembered, where that has changed."""
        if sirens == self._known:
            return
        try:
            written(self._path, _All(self._boot, sirens))
        except OSError as error:
            log.warning("sirens not-written why=%r; one that is stopped may sound once more", str(error))
        self._known = sirens
