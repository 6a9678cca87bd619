"""Where the spool lies: on the card, and in memory while the card takes none. Memory forgets with the power.

A card that is full or read-only by now (how most of them die) must not keep a gateway from measuring, nor from sending
what it measures. What memory holds goes to the card as soon as that takes it again.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from edge.due import Due
from edge.keep.spool import Spool, SpoolFull, note_twins
from edge.status import make_ours
from edge.threads import NO_THREAD, Pulse, started
from edge.words import note, why
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from settings.words import Sentence

log = logging.getLogger(__name__)
MEMORY_BYTES = 16 * 1024 * 1024  # five days of twenty sensors; the unit may use 192 MiB
AGAIN_S = 300.0  # before the card is tried again, and before one that takes nothing is left
HANGS_S = 20.0  # without any progress: the card does not answer
STEP_S = 0.5
_OF_THE_DISK = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO}
_OF_THE_FILE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}


class Places:
    """The two places of one gateway's spool. `memory` is a file in memory that outlives the agent, and no boot.

    The card is opened in a thread of its own: one in its death answers after a minute, or never, and holds who asks.
    `said` is, by epoch, up to which number this boot has told.
    """

    def __init__(
        self,
        card: Path,
        quota_bytes: int,
        memory: Path,
        boot: str,
        gateway: str = "",
        said: Mapping[str, int] | None = None,
    ) -> None:
        self._card, self._quota, self._memory, self._boot, self._gateway = card, quota_bytes, memory, boot, gateway
        self._said = said
        self._due: Due | None = None  # when the card is tried again; None while the spool lies there
        self._trying = threading.Thread()
        self._pulse = Pulse(self._trying, HANGS_S)
        self._well = False  # the card took a spool at once

    @property
    def away(self) -> bool:
        """Whether what the card holds cannot be reached."""
        return self._due is not None

    def opened(self, now: int) -> Spool:
        """Return the spool of the card, which takes in what memory holds; that in memory where the card has none.

        A damaged one is mended for as long as that goes on. Raises Taken where it is somebody's, and OSError or
        sqlite3.Error for what is no fault of the disk.
        """
        arrived = Future[Spool]()
        self._try(lambda: self._hand_over(arrived))
        if self._trying.ident is None:
            raise OSError(NO_THREAD)
        while not wait([arrived], STEP_S).done:
            if self._pulse.stopped(STEP_S) and arrived.cancel():
                return self._instead(now, why("no_answer", seconds=HANGS_S))
        try:
            return arrived.result()
        except (OSError, sqlite3.Error) as error:
            if not _ill(error):
                raise
            return self._instead(now, error)

    def refuge(self, epoch: str, last: int, fault: Sentence | None = None) -> Spool | None:
        """Return the spool in memory for what the card does not take at a stop; None where that is the one in use.

        Those are the readings of its epoch beyond the `last` number that it gave: a card that hangs in them, or whose
        flush failed, may have them all the same.
        """
        if self._due is not None:
            return None
        try:
            spool = self._in_memory(fault or why("nothing"))
        except (OSError, sqlite3.Error) as error:
            log.warning("memory takes nothing either why=%r", str(error))
            return None
        with suppress(OSError):
            note_twins(self._memory, epoch, last)
        return spool

    def flee(self, now: int, epoch: str, last: int) -> Spool | None:
        """Return the `refuge`, and leave the card alone for a while: it hangs. None where memory takes none."""
        spool = self.refuge(epoch, last, why("hangs"))
        if spool is not None:
            self._due = Due(AGAIN_S)
            self._due.rest(now)
        return spool

    def look(self, now: int, since_s: float, full_ms: int | None = None) -> str:
        """Return why a new start is better now, "" while it is not. Asked every `since_s` seconds, it never waits.

        `full_ms` is since when the spool in use takes nothing: then nothing goes out either, and a kill takes all.
        """
        if self._due is None:
            lasts = full_ms is not None and now - full_ms >= round(1000 * AGAIN_S)
            return "the card takes nothing, and memory does" if lasts and self._begun() else ""
        if self._trying.is_alive():
            self._pulse.stopped(since_s)
        elif self._well and not self._pulse.paused:  # one that hung would do so again, and a new start wait for it
            return "the card takes a spool again, and what memory holds goes there"
        elif self._due.comes(now):
            self._try(self._probe)
        return ""

    def _try(self, attempt: Callable[[], None]) -> None:
        self._well = False
        self._trying = started(attempt, "card")
        self._pulse = Pulse(self._trying, HANGS_S)

    # --- in the card's thread

    def _settle(self) -> None:
        """Cut what memory holds uncut: of what the card takes in each step then says how far it came."""
        if self._memory.exists():
            with (
                suppress(OSError, sqlite3.Error, Taken),
                closing(Spool(self._memory, MEMORY_BYTES, boot=self._boot)) as two,
            ):
                two.cut()

    def _on_card(self) -> Spool:
        boot, gateway, said = self._boot, self._gateway, self._said
        return Spool(self._card, self._quota, boot=boot, other=self._memory, gateway=gateway, said=said)

    def _hand_over(self, arrived: Future[Spool]) -> None:
        try:
            self._settle()
            spool = self._on_card()
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            if arrived.set_running_or_notify_cancel():
                arrived.set_exception(error)
            return
        if arrived.set_running_or_notify_cancel():
            arrived.set_result(spool)
        else:  # nobody waits for it any more
            spool.close()

    def _probe(self) -> None:
        with suppress(OSError, sqlite3.Error, Taken):
            self._on_card().close()
            self._well = True

    # --- memory

    def _instead(self, now: int, fault: Sentence | Exception) -> Spool:
        self._due = Due(AGAIN_S)
        self._due.rest(now)
        return self._in_memory(fault)

    def _begun(self) -> bool:
        """Begin the spool in memory, for the next start to find; tell whether there is one."""
        with suppress(OSError, sqlite3.Error, Taken):
            self._in_memory(why("nothing")).close()
        return self._memory.exists()

    def _in_memory(self, fault: Sentence | Exception) -> Spool:
        make_ours(self._memory.parent)
        again = self._memory.exists()
        spool = Spool(self._memory, MEMORY_BYTES, boot=self._boot, gateway=self._gateway)
        if again:  # the card may have had its turn since, with what is in here
            with suppress(SpoolFull):
                spool.begin(anew=True)
        spool.notes.append(note("in_memory", card=self._card, why=fault))
        return spool


def _ill(error: Exception) -> bool:
    """Tell whether a disk is full, read-only or failing: nothing that a person got wrong."""
    if isinstance(error, OSError):
        return isinstance(error, SpoolFull) or error.errno in _OF_THE_DISK
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_FILE
