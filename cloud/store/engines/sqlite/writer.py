"""The one connection that writes: batches and their ledger rows in one transaction."""

from __future__ import annotations

import os
import threading
from collections import Counter
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.store import Retry
from cloud.store.engines.sqlite import statuses
from cloud.store.engines.sqlite.file import WAL_BYTES, open_writer, size, writers_lock
from cloud.store.engines.sqlite.ids import Ids
from cloud.store.engines.sqlite.rollup import FOLD_EVERY_MS, fold
from cloud.store.keys import HOUR_NS, same_span, span_ns
from cloud.store.ledger import TWICE, code
from wire.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.store.engines.sqlite.file import Faults
    from cloud.store.ledger import Refusal
    from cloud.store.unreadable import Unreadable
    from wire.batch import Block, Gap, Status

_KNOWN = "SELECT verdict, start_ns, end_ns FROM ledger WHERE (epoch, first, n) = (?, ?, ?)"
_PUT_READING = "INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_MISSING = "INSERT INTO missing VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_LATEST = (
    "INSERT INTO latest VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET time = excluded.time, texts = excluded.texts WHERE excluded.time > latest.time"
)
_PUT_DIRTY = "INSERT INTO dirty_hour VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET touched_ms = excluded.touched_ms"


class Writer:
    """The one connection that writes, with the lock that makes it the one."""

    def __init__(self, path: Path, faults: Faults, unreadable: Unreadable) -> None:
        self._path = path
        self._faults, self._unreadable = faults, unreadable
        self._turn = threading.Lock()  # a status may come from another thread than the commits
        self._lock = writers_lock(path)
        try:
            self._db = open_writer(path)
        except BaseException:
            os.close(self._lock)
            raise
        self._ids = Ids(self._db)
        self._folded_ms = 0
        self._again: list[str] = []  # whose identities this transaction found used twice
        self.twice: Counter[str] = Counter()

    def commit(self, entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> None:
        """Store everything in one transaction, then count hours that have come to rest."""
        db = self._db
        with self._turn, self._faults.guard("commit"):
            self._again = []
            db.execute("BEGIN IMMEDIATE")
            try:
                for entry in entries:
                    self._enter(entry, arrival_ms)
                db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            self.twice.update(self._again)
        if abs(arrival_ms - self._folded_ms) >= FOLD_EVERY_MS:
            with self._turn:
                self._tidy(arrival_ms)

    def _undo(self) -> None:
        self._ids.forget()  # some were given out in the transaction that is now undone
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _enter(self, entry: Batch | Gap | Refusal, arrival_ms: int) -> None:
        epoch = self._ids.epoch(entry.gateway, entry.epoch)
        key = (epoch, entry.first, entry.n)
        known = self._db.execute(_KNOWN, key).fetchone()
        verdict, words = code(entry), "" if isinstance(entry, Batch) else entry.reason
        if known is not None and known[0] <= verdict:
            if isinstance(entry, Batch) and not same_span(known[1:], _span(entry)):
                self._enter_again(entry, key, arrival_ms)
            return
        start = end = 0
        if isinstance(entry, Batch):
            spans = [self._put(entry.gateway, epoch, block, arrival_ms) for block in entry.blocks]
            start, end = min(low for low, _ in spans), max(high for _, high in spans)
        row = (*key, verdict, arrival_ms, start, end, words)
        self._db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _enter_again(self, batch: Batch, key: tuple[int, int, int], arrival_ms: int) -> None:
        """Store other readings under a known identity: their keys differ, and the ledger row says so."""
        for block in batch.blocks:
            self._put(batch.gateway, key[0], block, arrival_ms)
        self._db.execute("UPDATE ledger SET words = ? WHERE (epoch, first, n) = (?, ?, ?)", (TWICE, *key))
        self._again.append(batch.gateway)

    def _put(self, gateway: str, epoch: int, block: Block, arrival_ms: int) -> tuple[int, int]:
        """Insert the rows of a block and what follows from them; return its lowest and highest stored time."""
        channel = self._ids.channel(gateway, block.channel)
        shape = self._ids.shape(epoch, ",".join(block.quantities))
        times = block.stored_ns()
        hours = [time // HOUR_NS for time in times]
        texts = list(map(",".join, zip(*block.columns, strict=True))) if block.columns else [""] * len(times)
        self._db.executemany(_PUT_READING, zip(hours, repeat(channel), times, repeat(shape), texts, block.seqs))
        if any(block.absent):
            self._db.executemany(_PUT_MISSING, _missing_rows(block, channel, hours, times))
        self._db.executemany(_PUT_LATEST, _newest(block, channel, times, texts))
        self._db.executemany(_PUT_DIRTY, zip(set(hours), repeat(channel), repeat(arrival_ms)))
        return min(times), max(times)

    def _tidy(self, arrival_ms: int) -> None:
        """Count hours that have come to rest and shorten the log; what fails here is told by `health` only."""
        self._folded_ms = arrival_ms
        try:
            with self._faults.guard("fold"):
                fold(self._db, self._unreadable, arrival_ms)
                if size(Path(f"{self._path}-wal")) > WAL_BYTES:
                    self._db.execute("PRAGMA busy_timeout = 500")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    self._db.execute("PRAGMA busy_timeout = 5000")
        except Retry:
            self._undo()

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep the newest status of an epoch."""
        with self._turn, self._faults.guard("commit"):
            statuses.write(self._db, gateway, status, arrival_ms)

    def close(self) -> None:
        """Close the connection and let the lock go."""
        self._db.close()
        os.close(self._lock)


def _span(batch: Batch) -> tuple[int, int]:
    return span_ns([block.stored_ns() for block in batch.blocks])


def _missing_rows(
    block: Block, channel: int, hours: list[int], times: list[int]
) -> Iterator[tuple[int, int, int, str, int, float | None]]:
    raw = {(row, quantity): float(text) for row, quantity, text in block.raw}
    for quantity, pairs in zip(block.quantities, block.absent, strict=True):
        for row, reason in pairs:
            yield hours[row], channel, times[row], quantity, int(reason), raw.get((row, quantity))


def _newest(block: Block, channel: int, times: list[int], texts: list[str]) -> list[tuple[int, str, int, str]]:
    """Return the row, or the few rows where some values are absent, that hold each quantity's newest value."""
    top = max(range(len(times)), key=times.__getitem__)
    if not any(block.absent):
        return [(channel, ",".join(block.quantities), times[top], texts[top])] if block.columns else []
    by_row: dict[int, list[tuple[str, str]]] = {}
    for quantity, column in zip(block.quantities, block.columns, strict=True):
        present = [row for row, text in enumerate(column) if text]
        if present:
            row = max(present, key=times.__getitem__)
            by_row.setdefault(row, []).append((quantity, column[row]))
    return [
        (channel, ",".join(q for q, _ in pairs), times[row], ",".join(text for _, text in pairs))
        for row, pairs in by_row.items()
    ]
