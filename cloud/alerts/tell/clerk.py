"""What became of a letter is written down, and one that did not arrive finds another way: channel, or person."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloud.alerts.channels import GiveUp
from cloud.alerts.tell.apart import Apart
from cloud.alerts.tell.deliver import GaveWay
from cloud.alerts.tell.route import DANGER, LEVELS, LIFE, elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.alerts.channels import Retry
    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.outbox import Outbox, Row
    from cloud.alerts.tell.readers import Readers
    from cloud.alerts.tell.retries import Retries
    from cloud.alerts.tell.route import Reader
    from cloud.clock import Clock

LOG = logging.getLogger(__name__)
MANY = 10  # incidents of a letter from which the journal has one line for all of them


class Clerk:
    """Works for the post office, within transactions of its own. `wake` says that there is something to hand out."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        readers: Readers,
        others: Callable[[], Sequence[Reader]],
        retries: Retries,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._journal, self._outbox, self._readers, self._others = journal, outbox, readers, others
        self._retries, self._clock, self._wake = retries, clock, wake
        self.apart = Apart()  # of the whole office
        self._returned: deque[tuple[Row, Retry | GiveUp | None]] = deque()  # and not written down yet

    def take_back(self, row: Row, failure: Retry | GiveUp | None) -> None:
        """Take a letter back of which a courier says how its try ended."""
        self._returned.append((row, failure))

    def write_down(self) -> None:
        """Write down what came back; what cannot be written down now stays to be. Raises sqlite3.Error, OSError."""
        while self._returned:
            row, failure = self._returned.popleft()
            try:
                with self.alone(row):
                    self._settle(row, failure)
            except (sqlite3.Error, OSError):
                self._returned.appendleft((row, failure))
                raise

    @contextmanager
    def alone(self, row: Row) -> Iterator[None]:
        """Give a letter up for which something fails within, so that it fails no more, and no other waits for it."""
        with self.apart(f"letter {row.id}", lambda why: self._set_aside(row, f"it was set aside: {why}")):
            yield

    def _set_aside(self, row: Row, why: str) -> None:
        with self._journal.transaction():  # whatever fails after that
            self._outbox.set(row, "given up", words=why, done_ms=self._clock.utc_ms())
        with self.apart(f"setting letter {row.id} aside"):
            self.give_up(row, why)

    def ask_another(self, rows: Sequence[Row]) -> bool:
        """Have the next channel of the same person carry each of them; tell whether there was one."""
        ways = _ways(rows, self._readers, self._outbox)
        if not ways:
            return False
        with self._journal.transaction():  # one for all: they may be a thousand, and each would wait for the disk
            for row, way in ways:
                self._outbox.copy(row, *way, self._clock.utc_ms())
        for row, way in ways:
            LOG.warning("stands-in letter=%d channel=%s for=%s", row.id, way[0], row.channel)
        self._wake()
        return True

    def give_up(self, row: Row, why: str) -> None:
        """Write down that a letter will not arrive, and tell its reader by another way, or others in their place."""
        with self._journal.transaction():
            self._outbox.set(row, "given up", words=why, done_ms=self._clock.utc_ms())
            self._failed(row, f"given up: {why}")
        if not self.ask_another([row]) and row.level == LIFE:
            self.ask_others([row])

    def ask_others(self, rows: Sequence[Row]) -> None:
        """Tell somebody of another role what is about life and has reached nobody: they can call."""
        if not rows:
            return
        with self._journal.transaction():
            asked = {row.id: self._outbox.forward(row, self._others(), self._clock.utc_ms()) for row in rows}
        for number in filter(asked.get, asked):
            LOG.error("nobody-reached letter=%d asked_instead=%d", number, asked[number])
            self._wake()

    def _settle(self, row: Row, failure: Retry | GiveUp | None) -> None:
        if failure is None:
            with self._journal.transaction():
                event = self._event(row, "told", f"{row.channel} accepted")
                self._outbox.told(row, event, self._clock.utc_ms())
        elif isinstance(failure, GiveUp):
            self.give_up(row, str(failure))
        elif self._retries.waited_s(row) > row.lifetime_s:
            self.give_up(row, f"still not accepted after {row.lifetime_s:g} s: {failure}")
        elif self._outbox.told_elsewhere(row):
            with self._journal.transaction():
                self._outbox.set(row, "overtaken", words=str(failure), done_ms=self._clock.utc_ms())
        else:
            self._retries.later(row, failure)
            with self._journal.transaction():
                if isinstance(failure, GaveWay):
                    self._outbox.set(row, "waiting", attempts=row.attempts)
                    return
                self._outbox.set(row, "waiting", words=str(failure))
                if row.attempts == 0:
                    self._failed(row, f"will be tried again: {failure}")

    def _failed(self, row: Row, what: str) -> None:
        LOG.error("not-told letter=%d level=%s channel=%s why=%r", row.id, LEVELS[row.level], row.channel, what)
        self._event(row, "tell-failed", what)

    def _event(self, row: Row, event: str, what: str) -> int:
        """Write one line for each incident of a letter, or one for all where they are many; return the last number."""
        incidents = [number for number, _ in self._outbox.about(row)] or [0]
        inputs = {"channel": row.channel, "to": row.address, "message_id": row.name, "attempts": row.attempts + 1}
        now_ms = self._clock.utc_ms()
        inputs |= {"bulletin": row.grp} if row.level >= DANGER else {}
        if len(incidents) > MANY:
            return self._journal.event(now_ms, 0, event, what, **inputs, incidents=incidents)
        return max(self._journal.event(now_ms, number, event, what, **inputs) for number in incidents)


def _ways(rows: Sequence[Row], known: Readers, outbox: Outbox) -> list[tuple[Row, tuple[str, str]]]:
    """Return by which channel that was not tried yet each letter can go as well, where there is one."""
    readers = {reader.person: reader for reader in known.everybody} if rows else {}
    return [
        (row, way)
        for row in rows
        if not row.alone
        and (reader := readers.get(row.person))
        and any(name != row.channel for name, _ in reader.addresses)
        and (way := elsewhere(reader, outbox.tried(row), row.level))
    ]
