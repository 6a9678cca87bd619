"""The one connection that writes, with the lock that makes it the one: what the store promises is kept here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloud.store import Retry
from cloud.store.engines.sqlite import rollup, statuses, summary
from cloud.store.engines.sqlite.entries import Entries
from cloud.store.engines.sqlite.file import Pen, lacks_room, open_writer, writers_lock
from cloud.store.engines.sqlite.retention import Horizon
from cloud.store.engines.sqlite.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.store.engines.sqlite.config import SqliteConfig
    from cloud.store.engines.sqlite.file import Faults
    from cloud.store.history import Past
    from cloud.store.ledger import Entry
    from cloud.store.summary import Mark, Tallied
    from cloud.store.unreadable import Unreadable
    from wire.batch import Status

TALLIES = 500  # kept in one transaction


class Writer:
    """Commits belong to one thread; a status and the summary may come from others."""

    def __init__(self, path: Path, config: SqliteConfig, faults: Faults, unreadable: Unreadable) -> None:
        self._lock = writers_lock(path)
        try:
            self._db = open_writer(path)
        except BaseException:
            os.close(self._lock)
            raise
        horizon = Horizon(self._db, config)
        self._entries = Entries(self._db, horizon)
        self._pen = Pen(self._db, faults, self._entries.ids.forget)
        self._upkeep = Upkeep(path, self._pen, horizon, unreadable)
        self._mark = summary.mark(self._db)

    def commit(self, entries: Sequence[Entry], arrival_ms: int) -> None:
        """Store everything in one transaction, then do a little of what is due. A full disk may find room in that."""
        try:
            with self._pen.transaction("commit") as db:
                self._entries.begin()
                for entry in entries:
                    self._entries.enter(entry, arrival_ms)
                self._entries.finish(arrival_ms)
                if arrival_ms < self._mark.until_ms:  # a clock was set back: the summary must not hide these rows
                    summary.lower(db, arrival_ms)
        except Retry as error:
            if lacks_room(error):
                self._upkeep.shorten()
                self._upkeep.step(arrival_ms, self._mark)
            raise
        self._upkeep.step(arrival_ms, self._mark)

    def write_hours(self, past: Sequence[Past]) -> None:
        """Write hours that no reading stands behind; what is counted stays."""
        with self._pen.transaction("commit") as db:
            rollup.put(db, ((self._entries.ids.channel(one.gateway, one.channel), one) for one in past))

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep the newest status of an epoch."""
        with self._pen.transaction("commit") as db:
            statuses.write(db, gateway, status, arrival_ms)

    def keep_summary(self, tallies: Sequence[Tallied], mark: Mark) -> None:
        """Keep the tallies, some at a time so that no commit waits long, and then the mark."""
        for chunk in [tallies[at : at + TALLIES] for at in range(0, len(tallies), TALLIES)]:
            with self._pen.transaction("commit") as db:
                summary.keep(db, [(self._entries.ids.epoch(one.gateway, one.epoch), one.text) for one in chunk])
        with self._pen.transaction("commit") as db:
            summary.keep_mark(db, mark)
            self._mark = mark

    def close(self) -> None:
        """Close the connection and let the lock go."""
        self._db.close()
        os.close(self._lock)
