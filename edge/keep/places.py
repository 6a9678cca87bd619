"""Where the spool lies: on the card, and in memory while the card takes none. Memory forgets with the power.

A card that is full or read-only by now (how most of them die) must not keep a gateway from measuring, nor from sending
what it measures. What memory holds goes to the card as soon as that takes it again.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.due import Due
from edge.keep.spool import Spool, SpoolFull
from edge.status import make_ours

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
MEMORY_BYTES = 16 * 1024 * 1024  # five days of twenty sensors; the unit may use 192 MiB
AGAIN_S = 300.0  # before the card is tried again
_OF_THE_DISK = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO}
_OF_THE_FILE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}


class Places:
    """The two places of one gateway's spool. `memory` is a file in memory that outlives the agent, and no boot."""

    def __init__(self, card: Path, quota_bytes: int, memory: Path, boot: str) -> None:
        self._card, self._quota, self._memory, self._boot = card, quota_bytes, memory, boot
        self._due: Due | None = None  # when the card is tried again; None while the spool lies there

    @property
    def away(self) -> bool:
        """Whether what the card holds cannot be reached."""
        return self._due is not None

    def opened(self, now: int) -> Spool:
        """Return the spool of the card, and let it take over what memory holds; that in memory where the card has none.

        Raises Taken where it is somebody's, and OSError or sqlite3.Error for what is no fault of the disk.
        """
        try:
            spool = Spool(self._card, self._quota, boot=self._boot)
        except (OSError, sqlite3.Error) as error:
            if not _ill(error):
                raise
            self._due = Due(AGAIN_S)
            self._due.rest(now)
            return self._in_memory(str(error))
        try:
            if self._memory.exists():  # the cloud takes an epoch that comes back for a second gateway's
                spool.relieve()
                spool.begin(anew=True)  # first: a start that is cut off here finds memory there, and does it again
            spool.take_in(self._memory)
            spool.recovered()
        except SpoolFull as error:
            spool.relieve()
            spool.notes.append(f"no room for what memory holds ({error}); the next start goes on with it")
        return spool

    def refuge(self) -> Spool | None:
        """Return the spool in memory for what the card does not take at a stop; None where that is the one in use."""
        if self._due is not None:
            return None
        try:
            return self._in_memory("it takes nothing")
        except (OSError, sqlite3.Error) as error:
            log.warning("memory takes nothing either why=%r", str(error))
            return None

    def look(self, now: int) -> str:
        """Return why a new start is better now, "" while it is not."""
        if self._due is None or not self._due.comes(now):
            return ""
        try:
            Spool(self._card, self._quota, boot=self._boot).close()
        except (OSError, sqlite3.Error):
            return ""
        return "the card takes a spool again, and what memory holds goes there"

    def _in_memory(self, why: str) -> Spool:
        make_ours(self._memory.parent)
        again = self._memory.exists()
        spool = Spool(self._memory, MEMORY_BYTES, boot=self._boot)
        if again:  # the card may have had its turn since, with what is in here
            with suppress(SpoolFull):
                spool.begin(anew=True)
        spool.notes.append(
            f"the card keeps nothing ({self._card}: {why}); readings are in memory and go with the power: free room on"
            " the disk, or replace the card"
        )
        return spool


def _ill(error: Exception) -> bool:
    """Tell whether a disk is full, read-only or failing: nothing that a person got wrong."""
    if isinstance(error, OSError):
        return isinstance(error, SpoolFull) or error.errno in _OF_THE_DISK
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_FILE
