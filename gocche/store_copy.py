"""`gocche store copy`: all that one store holds into another, through the seam that both have.

A batch is copied under its own identity and arrival, so the other store's ledger, audit and stored times are the same,
and copying again changes nothing: a copy that was broken off goes on where it was.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cloud.clock import SystemClock, hanoi
from cloud.config import load
from cloud.ingest.audit import books
from cloud.rooms import store_of
from cloud.store import TWICE, Mark, Retry, each_row, engines
from cloud.store.intervals import Intervals
from cloud.store.rebuilt import entry
from gocche.words import Refused, both

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cloud.config import CloudConfig
    from cloud.store import LedgerRow, Refusal, Store
    from wire.batch import Batch, Gap

CLOCK = SystemClock()
TOLD_EVERY_S = 5.0
PATIENCE = 20  # times in a row that a store may ask to wait


def copy(config: CloudConfig, from_: str, to: str, since_ms: int) -> int:
    """Copy what arrived at or after `since_ms`; return 0 when both count the same at the end.

    `from_` and `to` are each the name of an engine (as `[store]` has it, else with its own defaults) or a cloud.toml.
    Raises Refused where they are one, ConfigError for a store that cannot be opened, RuntimeError for one in use.
    """
    tables = _table(config, from_), _table(config, to)
    if tables[0].store == tables[1].store:
        raise Refused("store", "same", store=from_)
    source, target = store_of(tables[0], writer=False), store_of(tables[1], writer=True)
    try:
        target.setup()
        expired = _copy(source, target, since_ms)
        if not since_ms:  # else it would tell of what is not there
            mark, tallies = source.summary()
            target.keep_summary(tallies, Mark(0, mark.expired_ms), "copy")
        for row in source.statuses():
            target.write_status(row.gateway, row.status, row.arrival_ms)
        if expired:
            print(both("store", "expired", batches=expired))
        return _compare(source, target, since_ms)
    except Retry as error:
        print(both("store", "away", why=error), file=sys.stderr)
        return 1
    finally:
        source.close()
        target.close()


def _table(config: CloudConfig, name: str) -> CloudConfig:
    if name == config.store.get("engine", "sqlite"):
        return config
    if name in engines():
        return replace(config, store={"engine": name} | ({"path": "store.db"} if name == "sqlite" else {}))
    if not Path(name).is_file():
        raise Refused("store", "unknown", store=name, engines=", ".join(engines()))
    return load(Path(name), running=False)


def _copy(source: Store, target: Store, since_ms: int) -> int:
    """Copy batch after batch; return of how many nothing was left but what the ledger says of them."""
    there = _known(target)
    done, expired, told_s = 0, 0, CLOCK.monotonic()
    for arrival_ms, rows in _groups(each_row(source, since_ms=since_ms)):
        wanted = [entry(source, row) for row in rows if not there.has(row)]
        if wanted:
            _insist(target, wanted, arrival_ms)
        expired += sum(not getattr(one, "blocks", True) for one in wanted)
        done += len(rows)
        if CLOCK.monotonic() - told_s >= TOLD_EVERY_S:
            told_s = CLOCK.monotonic()
            print(
                both("store", "progress", batches=done, until=hanoi(arrival_ms).isoformat(timespec="minutes")),
                flush=True,
            )
    return expired


class _Known:
    """Which batches a store has, as ranges of each verdict."""

    def __init__(self) -> None:
        self._ranges: dict[tuple[str, str, str], Intervals] = {}

    def add(self, row: LedgerRow) -> None:
        """Take one row."""
        self._ranges.setdefault((row.gateway, row.epoch, row.verdict), Intervals()).add(row.first, row.first + row.n)

    def has(self, row: LedgerRow) -> bool:
        """Tell whether all of a row is there, with the same verdict. Of numbers used twice nobody knows."""
        ranges = self._ranges.get((row.gateway, row.epoch, row.verdict))
        return ranges is not None and row.words != TWICE and ranges.covers(row.first, row.first + row.n)


def _known(store: Store) -> _Known:
    known = _Known()
    for row in each_row(store):
        known.add(row)
    return known


def _groups(rows: Iterable[LedgerRow]) -> Iterator[tuple[int, list[LedgerRow]]]:
    """Yield the rows of each arrival, as they were committed."""
    group: list[LedgerRow] = []
    for row in rows:
        if group and row.arrival_ms != group[0].arrival_ms:
            yield group[0].arrival_ms, group
            group = []
        group.append(row)
    if group:
        yield group[0].arrival_ms, group


def _insist(target: Store, entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> None:
    for tries in range(PATIENCE):
        try:
            refused = target.commit(entries, arrival_ms)
        except Retry as error:
            if tries + 1 == PATIENCE:
                raise
            print(both("store", "waits", why=error), file=sys.stderr, flush=True)
            CLOCK.wait(threading.Event(), error.after_s)
        else:
            for entry, lines in zip(entries, refused, strict=True):
                for line in lines:
                    print(both("store", "refused", gateway=entry.gateway, seq=line.seq, why=line.reason))
            return


def _compare(source: Store, target: Store, since_ms: int) -> int:
    """Print what both count of each gateway; return 0 when they agree."""
    sums = [_sums(store, since_ms) for store in (source, target)]
    for gateway in sorted(sums[0] | sums[1]):
        before, after = (own.get(gateway, {}) for own in sums)
        print(f"gateway={gateway} " + " ".join(f"{name}={after.get(name, 0)}/{n}" for name, n in before.items()))
    same = all(sums[1].get(gateway) == own for gateway, own in sums[0].items())
    print(both("store", "same_sum" if same else "other_sum"))
    return 0 if same else 1


def _sums(store: Store, since_ms: int) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for account in books(each_row(store, since_ms=since_ms), ()).accounts():
        own: dict[str, Any] = sums.setdefault(account.gateway, dict.fromkeys(("stored", "quarantined", "declared"), 0))
        for name in own:
            own[name] += getattr(account, name)
    return sums
