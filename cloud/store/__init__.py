"""What a store promises, and how one is opened by its name: one protocol, one file per engine.

An engine is `cloud/store/engines/<name>.py` with a frozen struct `CONFIG` (its keys under `[store]` in cloud.toml) and
a class `STORE`; it is proved by `tests/contracts/test_store.py`, which runs on every engine.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from cloud.store import engines as found
from wire.batch import Batch, Dated, Gap, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TWICE = "identity used twice: other readings came under it as well"
PAGE = 5_000  # ledger rows in memory at once, where all of them are read


class Retry(Exception):
    """Nothing of this commit counts as stored; ask again after `after_s` seconds."""

    def __init__(self, words: str, after_s: float = 5.0) -> None:
        super().__init__(words)
        self.after_s = after_s


class Refusal(msgspec.Struct, frozen=True):
    """A batch that lies in quarantine: the ledger must say so."""

    gateway: str
    epoch: str
    first: int
    n: int
    reason: str


class Refused(msgspec.Struct, frozen=True):
    """One reading that the database itself would not take, with its words."""

    seq: int
    text: str
    reason: str


class LedgerRow(msgspec.Struct, frozen=True):
    """What became of one batch. `verdict` is stored, quarantined or declared (a gap record).

    `refused` of the `n` readings are in quarantine although the batch is stored. `start_ns` and `end_ns` are the
    lowest and highest stored time of its readings, 0 where it has none. `words` is the reason, or `TWICE`.
    """

    gateway: str
    epoch: str
    first: int
    n: int
    verdict: str
    arrival_ms: int
    refused: int = 0
    start_ns: int = 0
    end_ns: int = 0
    words: str = ""


class Sample(msgspec.Struct, frozen=True):
    """The newest value of one series."""

    gateway: str
    channel: str
    quantity: str
    time_ns: int
    value: float


class Absent(msgspec.Struct, frozen=True):
    """A value that a poll did not bring: the reason's code, and the number that stood beside it, if one did.

    `raw` is for staff who look for the fault. No page for visitors and no rule may read it: it is no value.
    """

    time_ns: int
    quantity: str
    reason: int
    raw: float | None = None


class Hour(msgspec.Struct, frozen=True):
    """One hour of one series; `start_ms` is the full UTC hour."""

    start_ms: int
    n: int
    mean: float
    low: float
    high: float


class StatusRow(msgspec.Struct, frozen=True):
    """The last that a gateway said of itself within one epoch."""

    gateway: str
    arrival_ms: int
    status: Status


class Store(Protocol):
    """Where readings and the ledger live. Reading methods may be called from any thread; `commit` from one.

    Every method raises `Retry` when the database is out of reach, full or busy beyond its patience.
    """

    def setup(self) -> None:
        """Create what is missing, migrate what is old, and (where only one writer may be) take the writer's lock.

        Raises RuntimeError, with the remedy in its words, when another writer holds the lock.
        """

    def commit(self, entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> list[list[Refused]]:
        """Store the readings and a ledger row for each entry, durably, before returning.

        All dated. Storing a batch again changes nothing but may add a ledger row. Returns for each entry the readings
        that the database refused for good (usually none); the others of that entry are stored. After Retry some
        entries may be stored: asking again is harmless.

        A batch whose identity is already stored with other times (two gateways share a copied spool) is stored all the
        same: its readings have keys of their own. The ledger row stays that of the first, with the words `TWICE`.
        """

    def twice(self) -> dict[str, int]:
        """Return by gateway how many batches since the start came under an identity that stood for other readings.

        An engine that cannot ask its ledger while it writes compares with what it remembers. From any thread.
        """

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep a heartbeat, for panels and the audit."""

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every (gateway, epoch)."""

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival.

        With `at_most` about so many, and always all of the last one's millisecond: what follows begins 1 ms later.
        """

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""

    def latest(self) -> list[Sample]:
        """Return the newest value of every series."""

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity.

        This is the only method that tells raw numbers.
        """

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end), late data included."""

    def health(self) -> dict[str, Any]:
        """Return what an operator must know: engine, version, size, last fault."""

    def close(self) -> None:
        """Let go of files and connections. May be called twice."""


def each_row(store: Store, page: int = PAGE) -> Iterator[LedgerRow]:
    """Yield the whole ledger in order of arrival, a page in memory at a time. A batch may come more than once."""
    since_ms = 0
    while rows := store.ledger(since_ms, page):
        yield from rows
        since_ms = rows[-1].arrival_ms + 1


def engines() -> list[str]:
    """Return the names of the engines in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(found.__path__))


def open_store(table: dict[str, Any], *, writer: bool) -> Store:
    """Return the store that a `[store]` table describes; relative paths are already resolved.

    Raises ValueError for an unknown engine and msgspec.ValidationError for a wrong key or value.
    """
    engine = table.get("engine", "sqlite")
    if engine not in engines():
        raise ValueError(f"engine {engine!r} is unknown; there are: {', '.join(engines())}")
    module = importlib.import_module(f"{found.__name__}.{engine}")
    store: Store = module.STORE(msgspec.convert(table, type=module.CONFIG), writer=writer)
    return store
