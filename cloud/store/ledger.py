"""What became of every batch: committed together with its readings, followed by alerts, added up by the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from wire.batch import Batch, Dated, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TWICE = "identity used twice: other readings came under it as well"
LATE = "later than single readings are kept: counted in their hours, as far as the ledger goes back"
VERDICTS = ("stored", "quarantined", "declared")  # in order of precedence; the index is what engines keep
PAGE = 20_000  # ledger rows in memory at once, where all of them are read: some 10 MB


class Refusal(msgspec.Struct, frozen=True, gc=False):
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


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """What became of one batch. `verdict` is stored, quarantined or declared (a gap record).

    `refused` of the `n` readings are in quarantine although the batch is stored. `start_ns` and `end_ns` are the
    lowest and highest stored time of its readings, 0 where it has none. `words` is the reason, or `TWICE`. `order` is
    what an engine needs to find the numbers of the readings again, "" where it needs nothing.
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
    order: str = ""


class Packed(Protocol):
    """A batch as its engine commits it."""

    gateway: str
    epoch: str
    first: int
    n: int


Entry = Batch | Gap | Refusal | Packed


class Commit(Protocol):
    """A commit under way. Nothing of it counts as stored before `end` has returned, and `end` is called once."""

    @property
    def is_over(self) -> bool:
        """Whether `end` has nothing to wait for."""

    def end(self) -> list[list[Refused]]:
        """Return what `Ledger.commit` returns, when it would."""


class Committed(msgspec.Struct, frozen=True):
    """A commit that was over when it had begun, with what it returned."""

    refused: list[list[Refused]]
    is_over: bool = True

    def end(self) -> list[list[Refused]]:
        """Return what was refused."""
        return self.refused


class Ledger(Protocol):
    """Where batches are committed and followed. `begin` and `commit` belong to one thread, reading methods to any.

    What `commit` returned from is durable; it is *seen* by every reader within `settle_s` seconds, 0 where at once.
    Nothing may need a write to be seen earlier.
    """

    settle_s: float

    def kept_since_ms(self, now_ms: int) -> int:
        """Return from when on single readings are kept, 0 where all are. Older ones live on in their hours.

        A batch that comes later than that is stored in its hours or, older than the ledger, not at all; it is not
        refused. The audit counts it as expired, with all that was stored and is gone.
        """

    def pack(self, batch: Batch, now_ms: int) -> Batch | Packed:
        """Return a dated batch as it may be committed soon, by this store, in its stead.

        What can be done before a commit is done here, batch by batch, while its parts are still in the caches: a few
        hundred decoded batches that wait for one another cost twice as much. Asks nobody; any thread may call it.
        """

    def commit(self, entries: Sequence[Entry], arrival_ms: int) -> list[list[Refused]]:
        """Store the readings and a ledger row for each entry, durably, before returning.

        All dated. Storing a batch again changes nothing but may add a ledger row. Returns for each entry the readings
        that the database refused for good (usually none); the others of that entry are stored. After Retry some
        entries may be stored: asking again is harmless.

        A batch whose identity is already stored with other times (two gateways share a copied spool) is stored all the
        same: its readings have keys of their own. The ledger row stays that of the first, with the words `TWICE`.
        """

    def begin(self, entries: Sequence[Entry], arrival_ms: int) -> Commit:
        """Begin a commit. Who begins may do something else before he ends it, where it is a database that works.

        Raises what `commit` raises; so does `end`.
        """

    def rows_of(self, gateway: str, epoch: str, firsts: Sequence[int]) -> list[LedgerRow]:
        """Return the ledger rows of one epoch that begin with these sequence numbers, each batch once."""

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival.

        With `at_most` about so many, and always all of the last one's millisecond: what follows begins 1 ms later.
        Fewer say nothing (a batch that lies there twice comes once, what cannot be read is passed over); only none
        says that there are no more.
        """

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""


def code(entry: Entry) -> int:
    """Return the index in `VERDICTS` of what becomes of an entry; the lower one stands."""
    return 1 if isinstance(entry, Refusal) else 2 if isinstance(entry, Gap) else 0


def each_row(
    ledger: Ledger, page: int = PAGE, since_ms: int = 0, turn: Callable[[], object] = lambda: None
) -> Iterator[LedgerRow]:
    """Yield the ledger from `since_ms` in order of arrival, a page in memory at a time. A batch may come twice.

    `turn` is called at each page, for who must show that it makes progress.
    """
    while rows := ledger.ledger(since_ms, page):
        turn()
        yield from rows
        since_ms = rows[-1].arrival_ms + 1
