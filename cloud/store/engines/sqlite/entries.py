"""What a commit writes: the rows of a batch, what follows from them, and the ledger row that stands for them."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import chain, compress, islice, repeat
from typing import TYPE_CHECKING

from cloud.store.engines.sqlite import rollup
from cloud.store.engines.sqlite.ids import Ids
from cloud.store.keys import HOUR_MS, HOUR_NS, same_span, span_ns
from cloud.store.ledger import LATE, TWICE, Refusal, code
from wire.batch import Batch, Gap

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from cloud.store.engines.sqlite.retention import Horizon
    from cloud.store.ledger import Entry
    from wire.batch import Block

_KNOWN = "SELECT verdict, start_ns, end_ns FROM ledger WHERE (epoch, first, n) = (?, ?, ?)"
_PUT_MISSING = "INSERT INTO missing VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_LATEST = (
    "INSERT INTO latest VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET time = excluded.time, texts = excluded.texts WHERE excluded.time > latest.time"
)
AT_ONCE, COLUMNS = 40, 6  # readings in one statement, and what each has
_PUT_DIRTY = "INSERT INTO dirty_hour VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET touched_ms = excluded.touched_ms"


class Entries:
    """Writes within a transaction that is its caller's: `begin`, `enter` for each, `finish`.

    Ledger rows are written as they come, so that an identity is known when it comes again; rows of all batches are
    written at the end by one statement a table, which is where the time goes when batches are small.
    """

    def __init__(self, db: sqlite3.Connection, horizon: Horizon) -> None:
        self._db, self._horizon = db, horizon
        self.ids = Ids(db)
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered in a transaction that is over, or undone."""
        self._readings: dict[int, list[Iterator[tuple[object, ...]]]] = {}  # by channel, for so they lie in the file
        self._missing: list[tuple[int, int, int, str, int, float | None]] = []
        self._latest: dict[tuple[int, str], tuple[int, str]] = {}
        self._dirty: set[tuple[int, int]] = set()

    def finish(self, arrival_ms: int) -> None:
        """Write what was gathered."""
        values = chain.from_iterable(chain.from_iterable(chain.from_iterable(self._readings.values())))
        while part := list(islice(values, AT_ONCE * COLUMNS)):
            self._db.execute(_put_readings(len(part) // COLUMNS), part)
        self._db.executemany(_PUT_MISSING, self._missing)
        self._db.executemany(_PUT_LATEST, ((*series, *newest) for series, newest in self._latest.items()))
        self._db.executemany(_PUT_DIRTY, ((*hour, arrival_ms) for hour in self._dirty))

    def enter(self, entry: Entry, arrival_ms: int) -> None:
        """Write one entry; one that is known already changes nothing."""
        epoch = self.ids.epoch(entry.gateway, entry.epoch)
        key = (epoch, entry.first, entry.n)
        known = self._db.execute(_KNOWN, key).fetchone()
        verdict, words = code(entry), entry.reason if isinstance(entry, Gap | Refusal) else ""
        if known is not None and known[0] <= verdict:
            if isinstance(entry, Batch) and not same_span(known[1:], _span(entry)):
                self._enter_again(entry, key)
            return
        start = end = 0
        if isinstance(entry, Batch):
            start, end = span_ns([self._put(entry.gateway, epoch, block, once=True) for block in entry.blocks])
            words = LATE if end // HOUR_NS < self._horizon.hour else ""
        row = (*key, verdict, arrival_ms, start, end, words)
        self._db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _enter_again(self, batch: Batch, key: tuple[int, int, int]) -> None:
        """Store other readings under a known identity: their keys differ, and the ledger row says so."""
        for block in batch.blocks:
            self._put(batch.gateway, key[0], block, once=False)
        self._db.execute("UPDATE ledger SET words = ? WHERE (epoch, first, n) = (?, ?, ?)", (TWICE, *key))

    def _put(self, gateway: str, epoch: int, block: Block, *, once: bool) -> tuple[int, int]:
        """Write the rows of a block and what follows from them; return its lowest and highest stored time.

        `once` says that these readings were never written before: only then may late ones be added to their hours.
        """
        channel = self.ids.channel(gateway, block.channel)
        times = block.stored_ns()
        span = min(times), max(times)
        texts = list(map(",".join, zip(*block.columns, strict=True))) if block.columns else [""] * len(times)
        self._note_newest(block, channel, times, texts)
        low, high = span[0] // HOUR_NS, span[1] // HOUR_NS
        hours = [low] * len(times) if low == high else [time // HOUR_NS for time in times]
        if low < self._horizon.hour:
            if once:
                self._add_late(block, channel, hours)
            kept = [hour >= self._horizon.hour for hour in hours]
            block = block.picked(kept)
            times, hours, texts = list(compress(times, kept)), list(compress(hours, kept)), list(compress(texts, kept))
        shape = self.ids.shape(epoch, _joined(block.quantities))
        rows = zip(hours, repeat(channel), times, repeat(shape), texts, block.seqs, strict=False)
        self._readings.setdefault(channel, []).append(rows)  # one row in memory at a time
        if any(block.absent):
            self._missing += _missing_rows(block, channel, hours, times)
        self._dirty |= {(hour, channel) for hour in {*hours}}
        return span

    def _note_newest(self, block: Block, channel: int, times: list[int], texts: list[str]) -> None:
        """Gather the row, or the few rows where some values are absent, that hold each quantity's newest value."""
        if not any(block.absent):
            top = max(times)
            newest = [(_joined(block.quantities), top, texts[times.index(top)])] if block.columns else []
        else:
            newest = _newest_present(block, times)
        for names, time, text in newest:
            if time > self._latest.get((channel, names), (-1, ""))[0]:
                self._latest[channel, names] = time, text

    def _add_late(self, block: Block, channel: int, hours: list[int]) -> None:
        """Add the values of hours that are let go to their counts.

        Not of hours as old as the ledger: there nobody knows any more whether they were added before. A reading is at
        most some minutes later than its arrival, so an hour of grace makes that certain.
        """
        known_from = -(-self._horizon.ledger_ms // HOUR_MS) + 1
        late: dict[int, dict[str, list[float]]] = {}
        for quantity, column in zip(block.quantities, block.columns, strict=True):
            for hour, text in zip(hours, column, strict=True):
                if known_from <= hour < self._horizon.hour and text:
                    late.setdefault(hour, {}).setdefault(quantity, []).append(float(text))
        for hour, values in late.items():
            rollup.add(self._db, hour, channel, values)


def _span(batch: Batch) -> tuple[int, int]:
    return span_ns([block.stored_ns() for block in batch.blocks])


def _missing_rows(
    block: Block, channel: int, hours: list[int], times: list[int]
) -> Iterator[tuple[int, int, int, str, int, float | None]]:
    raw = {(row, quantity): float(text) for row, quantity, text in block.raw}
    for quantity, pairs in zip(block.quantities, block.absent, strict=True):
        for row, reason in pairs:
            yield hours[row], channel, times[row], quantity, int(reason), raw.get((row, quantity))


def _newest_present(block: Block, times: list[int]) -> list[tuple[str, int, str]]:
    by_row: dict[int, list[tuple[str, str]]] = {}
    for quantity, column in zip(block.quantities, block.columns, strict=True):
        present = [row for row, text in enumerate(column) if text]
        if present:
            row = max(present, key=times.__getitem__)
            by_row.setdefault(row, []).append((quantity, column[row]))
    return [
        (",".join(q for q, _ in pairs), times[row], ",".join(text for _, text in pairs))
        for row, pairs in by_row.items()
    ]


@cache
def _put_readings(rows: int) -> str:
    """Return the statement that writes so many readings: a third less work than one by one."""
    places = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO reading VALUES {places} ON CONFLICT DO NOTHING"  # noqa: S608 - own constants


@lru_cache(8_192)
def _joined(quantities: tuple[str, ...]) -> str:
    return ",".join(quantities)
