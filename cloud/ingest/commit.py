"""Entries to the store in groups, and what becomes of a group that the store does not take.

A store that takes nothing is told from a batch that the store does not take: what failed together is tried one by one,
until two in a row fail. A batch that alone makes the store fail is kept in quarantine: at once where the store breaks
on it, and after a day of others being stored where the store asks for patience (a database that calls a lasting fault
a passing one, telegraf #11005), for `later` without end would stop its gateway for ever. Until then it is a suspect,
tried alone, so that it takes nobody along.
"""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING

from cloud.ingest.quarantine import SUSPECTS, Unstorable
from cloud.store import VERDICTS, LedgerRow, Refusal, Refused, Retry, code
from wire.batch import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.ingest.answers import Answers
    from cloud.ingest.complaints import Complaints
    from cloud.ingest.quarantine import Quarantine
    from cloud.ingest.reading import Entry, Reader
    from cloud.store import Commit, Ledger

log = logging.getLogger(__name__)
DAY_MS = 86_400_000
LATELY_S = 900.0  # the store is well when it took something within; a gateway on a thin link sends each 600 s


class Committer:
    """Belongs to the ingester's thread. `on_row` is told of each ledger row that the store has."""

    def __init__(
        self,
        store: Ledger,
        quarantine: Quarantine,
        reader: Reader,
        answers: Answers,
        complaints: Complaints,
        clock: Clock,
        on_row: Callable[[LedgerRow], None],
    ) -> None:
        self._store, self._quarantine, self._reader, self._on_row = store, quarantine, reader, on_row
        self._answers, self._complaints, self._clock = answers, complaints, clock
        self._suspects = quarantine.suspects()
        self._under_way: tuple[list[Entry], int, Commit] | None = None
        self._took_s = float("-inf")
        self._refused: tuple[str, str, int, int] | None = None  # what the store took last of all not, since it took any

    def suspects(self) -> int:
        """Return how many batches the store does not take while it takes others."""
        return len(self._suspects)

    def begin(self, entries: list[Entry]) -> None:
        """Begin to store what can be stored, once what was begun before is over."""
        self.end()
        fresh = entries
        doubted: list[Entry] = []
        if self._suspects:
            fresh = [entry for entry in entries if entry.who not in self._suspects]
            doubted = [entry for entry in entries if entry.who in self._suspects]
        error = self._begin(fresh) if fresh else None
        if doubted and error is None:
            error = self._end()
        if doubted or error is not None:
            self._apart(fresh, doubted, error)

    def end(self) -> None:
        """Note the answer of each that was begun, when it has one."""
        if self._under_way is not None:
            entries, _, _ = self._under_way
            if (error := self._end()) is not None:
                self._apart(entries, [], error)

    @property
    def waits(self) -> bool:
        """Whether something was begun that `end` would have to wait for."""
        return self._under_way is not None and not self._under_way[2].is_over

    def _apart(self, fresh: list[Entry], doubted: list[Entry], error: Exception | None) -> None:
        """Judge what failed together, and try those that are doubted."""
        if error is not None and len(fresh) == 1:
            self._failed(fresh[0], error)
        if error is None or len(fresh) == 1:
            fresh = []
        if fresh or doubted:
            self._one_by_one(fresh, doubted, failed_before=isinstance(error, Retry) and not self._lately())

    def _try(self, entries: list[Entry]) -> Exception | None:
        """Commit together; return what stands against it, or None when all are stored and answered."""
        return self._begin(entries) or self._end()

    def _begin(self, entries: list[Entry]) -> Exception | None:
        arrival_ms = self._clock.utc_ms()
        try:
            begun = self._store.begin([entry.what for entry in entries], arrival_ms)
        except Exception as error:  # noqa: BLE001 - told by who asked: the store is away, or one of these is poison
            return _kept(error)
        self._under_way = entries, arrival_ms, begun
        return None

    def _end(self) -> Exception | None:
        if self._under_way is None:
            return None
        entries, arrival_ms, begun = self._under_way
        self._under_way = None
        try:
            refused = begun.end()
        except Exception as error:  # noqa: BLE001 - as above
            return _kept(error)
        self._took_s, self._refused = self._clock.monotonic(), None
        self._complaints.well("store")
        self._done(entries, refused, arrival_ms)
        return None

    def _one_by_one(self, fresh: list[Entry], doubted: list[Entry], *, failed_before: bool) -> None:
        """Find out who is to blame, in any order, so that no two hide behind each other for ever.

        Two in a row that the store does not take now mean that it takes nothing: the others need not be tried.
        """
        entries = [*random.sample(fresh, len(fresh)), *random.sample(doubted, len(doubted))]
        for place, entry in enumerate(entries):
            error = self._try([entry])
            if isinstance(error, Retry) and failed_before:
                for other in entries[place:]:
                    self._later(other, error)
                return
            failed_before = isinstance(error, Retry)
            if error is not None:
                self._failed(entry, error)
            else:
                self._acquit(entry)

    def _acquit(self, entry: Entry) -> None:
        if self._suspects.pop(entry.who, None) is not None:
            with suppress(Retry):  # then it is a suspect again after the next start, and acquitted again
                self._quarantine.acquit(entry.who)

    def _later(self, entry: Entry, error: Retry) -> None:
        """Ask for a batch again: the store takes nothing now."""
        self._complaints.counts["later"] += 1
        self._complaints.ill("store", str(error))
        self._answers.later(entry.what.gateway, entry.identity, error)

    def _failed(self, entry: Entry, error: Exception) -> None:
        """Judge one that failed alone: at once where it breaks the store, after a day where the store asks for time.

        Where another failed just before it, and nothing was taken in between, the store takes nothing.
        """
        before, self._refused = self._refused, entry.who
        if not isinstance(error, Retry):
            log.error("batch breaks the store gateway=%s batch=%s", entry.what.gateway, entry.identity, exc_info=error)
            self._condemn(entry, f"store failed on it: {type(error).__name__}: {error}")
        elif not self._lately() or (before and before != entry.who):
            self._later(entry, error)
        elif (for_ms := self._clock.utc_ms() - self._suspected(entry, error)) < DAY_MS:
            self._complaints.counts["later"] += 1
            self._answers.later(entry.what.gateway, entry.identity, error)
        else:
            self._condemn(entry, f"for {for_ms / DAY_MS:.1f} days the store took others and not this: {error}")

    def _lately(self) -> bool:
        return self._clock.monotonic() - self._took_s <= LATELY_S

    def _suspected(self, entry: Entry, error: Retry) -> int:
        """Return since when, in ms UTC, an entry is a suspect: since now where it was none."""
        now_ms = self._clock.utc_ms()
        if entry.who not in self._suspects and len(self._suspects) < SUSPECTS:
            self._complaints.count("suspect", entry.what.gateway, f"others are stored, not {entry.identity}: {error}")
            self._suspects[entry.who] = now_ms
            with suppress(Retry):  # then its day begins anew with the next start
                self._quarantine.suspect(entry.who, now_ms)
        return self._suspects.get(entry.who, now_ms)

    def _condemn(self, entry: Entry, reason: str) -> None:
        """Keep it, say so in the ledger, and let the gateway go on."""
        kept = Unstorable(entry.what.gateway, entry.identity, reason, entry.payload, self._clock.utc_ms())
        for refused in self._reader.keep([(entry.refused(reason), kept)]):
            error = self._try([refused])
            if error is None:
                self._acquit(entry)
            else:
                self._later(
                    refused, error if isinstance(error, Retry) else Retry(f"{type(error).__name__}: {error}", 60)
                )

    def _done(self, entries: list[Entry], refused: list[list[Refused]], arrival_ms: int) -> None:
        """Answer what is stored; readings that the database refused for good are kept first."""
        bad = []
        for entry, lines in zip(entries, refused, strict=True):
            if lines:
                gateway, n = entry.what.gateway, entry.what.n
                why = f"the database refuses {len(lines)} of {n} readings, first {lines[0].seq}: {lines[0].reason}"
                self._complaints.count("refused by the database", gateway, lines[0].reason, len(lines))
                bad.append((entry, Unstorable(gateway, entry.identity, why, entry.payload, arrival_ms)))
        safe = {id(entry) for entry in self._reader.keep(bad)} if bad else set()
        for entry, lines in zip(entries, refused, strict=True):
            if lines and id(entry) not in safe:
                continue
            verdict = VERDICTS[code(entry.what)]
            self._complaints.counts[verdict] += 1
            self._on_row(LedgerRow(*entry.who, verdict, arrival_ms, refused=len(lines)))
            told = Verdict.QUARANTINED if isinstance(entry.what, Refusal) else Verdict.STORED
            self._answers.say(entry.what.gateway, entry.identity, told, entry.words)


def _kept(error: Exception) -> Exception:
    """Return an error for whoever keeps it: with all that its frames hold it is a ring, which is rarely collected.

    Those hold the messages and what the database answered; the frames of what breaks the store stand on the log.
    """
    return Retry(str(error), error.after_s) if isinstance(error, Retry) else error
