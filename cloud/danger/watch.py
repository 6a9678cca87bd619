"""The loop: each zone's day at 13:30, once more each hour of the afternoon, and at once where a past day changes.

It does where late data touch it, where the registry says otherwise what hung there and what its numbers mean, and where
the limit of rain is another. A day that changes is followed by all after it, each made anew from its kept inputs; what
they said before is kept. Nothing here is urgent and nothing pages anybody: a store that does not answer is asked again
a minute later, and what could not be done is done then.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cloud.clock import hanoi, midnight_ms
from cloud.danger.book import Book, Rotten, rescue
from cloud.danger.course import HOUR_MS, day_of
from cloud.danger.gather import Asked, gather, known_of
from cloud.danger.work import BACK_DAYS, Work
from cloud.store import Retry
from settings.words import Taken
from wire.codec import EARLIEST_MS

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.danger.gather import Weather
    from cloud.registry import Current, Registry
    from cloud.registry.kinds import Zone
    from cloud.store import Store

log = logging.getLogger(__name__)
EVERY_S, AGAIN_S = 60.0, 5.0
TOLD_AT = 2  # a store that ingest is about to make is no fault
DUE_MS = 13 * HOUR_MS + HOUR_MS // 2  # of the day: noon and 13:00 lie behind, with half an hour for what they need
LAST_MS = 18 * HOUR_MS + HOUR_MS // 2  # the afternoon's peak is known
LATE_MS = HOUR_MS // 2  # what arrives so long after it was measured is late
OVERLAP_MS = 5 * 60_000  # rows of the ledger may become visible in another order than they arrived
SILENT_DAYS = 31  # after the newest reading of all no day is made any more: the clock is ahead, or all is over
FINE_DAYS = 3  # of which single readings are read; of older days hours, unless they are late
AT_ONCE = 5_000  # days in one transaction
PAGE = 5_000  # rows of the ledger at once


class _Stopped(Exception):
    """The room is to stop."""


class Watch:
    """Keeps the book. `fault` is why it waits, for any thread."""

    def __init__(self, path: Path, store: Store, current: Current, clock: Clock) -> None:
        self._path, self._store, self._current, self._clock = path, store, current, clock
        self._book: Book | None = None
        self._registry: Registry | None = None
        self._hour = -1  # the last one that all zones were looked at in
        self._seen_ms = 0  # until when the ledger has been looked at; the book says until when nothing of it is owed
        self._owed: dict[str, set[date]] = {}  # days of zones that were passed over: touched, and yet to be made
        self._turn: threading.Event | None = None
        self.fault = self._passed_over = ""

    def run(self, stop: threading.Event) -> None:
        """Look each minute until stopped; whatever befalls danger, the room that it lives in goes on."""
        self._turn = stop
        failures = 0
        while not stop.is_set():
            try:
                self.look()
                failures, self.fault = 0, self._passed_over
            except Exception as fault:
                known = isinstance(fault, (Retry, sqlite3.Error, OSError, Taken))
                failures += 1
                if failures == TOLD_AT or (failures == 1 and not known):
                    log.warning("danger-waits why=%r", str(fault), exc_info=None if known else fault)
                if failures >= TOLD_AT:
                    self.fault = f"{type(fault).__name__}: {fault}"
            self._clock.wait(stop, AGAIN_S if 0 < failures < TOLD_AT else EVERY_S)
        self.close()

    def close(self) -> None:
        """Close the book. May be called twice."""
        if self._book is not None:
            self._book.close()
            self._book = None

    def look(self) -> int:
        """Do what is due now; return how many days were written. Raises Retry, sqlite3.Error, OSError, Taken."""
        now_ms = self._clock.utc_ms()
        if now_ms < EARLIEST_MS:
            raise Retry(f"the clock of this machine says {hanoi(now_ms):%Y-%m-%d}: it is waited for until it is right")
        try:
            if self._book is None:
                self._book = Book(self._path)
            return self._look(self._book, now_ms)
        except sqlite3.DatabaseError as error:
            self.close()
            if rescue(self._path, error):
                self._hour = -1  # what was lost is made anew
            raise

    def _look(self, book: Book, now_ms: int) -> int:
        today = hanoi(now_ms).date()
        of_day = now_ms - midnight_ms(today)
        last = today if of_day >= DUE_MS else today - timedelta(1)
        registry = self._current.now
        touched, ledger_ms = self._late(registry, last, now_ms)
        hour = (now_ms - HOUR_MS // 2) // HOUR_MS  # a new one begins when a day is due
        due = hour != self._hour
        if not (due or touched or registry is not self._registry):
            book.put((), None if self._owed else ledger_ms)
            self._seen_ms = ledger_ms
            return 0
        for code in self._owed.keys() if due else self._owed.keys() & touched.keys():
            touched.setdefault(code, set()).update(self._owed[code])
        newest = self._store.latest()
        heard = max((hanoi(one.time_ns // 10**6).date() for one in newest), default=last)
        work = Work(registry, min(last, heard + timedelta(SILENT_DAYS)), now_ms, touched)
        if DUE_MS <= of_day < LAST_MS + HOUR_MS and due:
            work.again.add(today)
        written, ill = 0, dict[str, str]()
        try:
            if registry is not self._registry or (due and self._passed_over):
                work.compare(book, self._go_on)
            jumped = not self._hour <= hour <= self._hour + 1  # the clock did, or it is the first look
            back = BACK_DAYS if jumped else FINE_DAYS if due else 0
            asked = self._asked(work, book, back)
            for zone, weather in gather(self._store, registry, known_of(newest), asked, now_ms, self._go_on):
                try:
                    written += self._bring(work, book, zone, weather)
                except (ArithmeticError, ValueError, Rotten) as error:  # it costs this zone alone
                    ill[zone.code] = f"zone {zone.code}: {type(error).__name__}: {error}"
                    continue
                if len(work.changed) >= AT_ONCE:
                    work.keep(book)
        except _Stopped:
            work.keep(book)
            return written
        owed = {code: days for code, days in self._owed.items() if code not in touched}
        owed |= {code: touched[code] for code in ill.keys() & touched.keys()}
        work.keep(book, None if owed else ledger_ms)  # whoever begins anew reads of them in the ledger again
        self._owed, self._seen_ms = owed, ledger_ms
        why = "; ".join(ill.values())
        if why and why != self._passed_over:
            log.error("danger-zone-passed-over why=%r", why)
        self._passed_over = why
        self._hour, self._registry = hour, registry
        return written

    def _go_on(self) -> None:
        """Raise where the room is to stop. To be asked again and again: by that it is known that the loop lives."""
        if self._turn is not None and self._turn.is_set():
            raise _Stopped

    def _late(self, registry: Registry, last: date, now_ms: int) -> tuple[dict[str, set[date]], int]:
        """Return the days of zones that late data touched, and how far the ledger was looked at."""
        assert self._book is not None
        since_ms = self._seen_ms or self._book.ledger_ms
        if not since_ms:
            return {}, now_ms - OVERLAP_MS
        touched: dict[str, set[date]] = {}
        zones = _zones(registry)
        overlap = OVERLAP_MS + round(2_000 * self._store.settle_s)
        at_ms = since_ms - overlap
        while rows := self._store.ledger(at_ms, PAGE):
            for row in rows:
                if row.verdict != "stored" or not row.start_ns or row.arrival_ms - row.start_ns // 10**6 < LATE_MS:
                    continue
                days = _days(row.start_ns // 10**6, row.end_ns // 10**6, last)
                for zone in zones.get(row.gateway, ()) if days else ():
                    touched.setdefault(zone, set()).update(days)
            since_ms = max(since_ms, rows[-1].arrival_ms)
            if rows[-1].arrival_ms >= now_ms:
                break
            at_ms = rows[-1].arrival_ms + 1
            if self._turn is not None and self._turn.is_set():
                break
        return touched, min(since_ms, now_ms)

    def _asked(self, work: Work, book: Book, back: int) -> Iterator[Asked]:
        """Yield the zones of which anything is due, with the days whose inputs are to be gathered.

        Those of the last `back` days of which nothing is known are asked for again: a store was away, a clock wrong, or
        they went with a damaged page. Once a day it is looked whether all can still be read.
        """
        for zone in work.registry.zones.values():
            self._go_on()
            book.forget_ahead(zone.code, work.last)
            end, rotten = book.end(zone.code, work.last), set[date]()
            if back == BACK_DAYS or (back and (end != work.last or self._passed_over)):
                if rotten := book.forget_rotten(zone.code):
                    self._hour = -1  # where the store does not answer now, all that is unknown is asked for then
                end = book.end(zone.code, work.last)
            since = (end or work.last - timedelta(BACK_DAYS)) + timedelta(1)
            days = {since + timedelta(n) for n in range((work.last - since).days + 1)}
            again = work.again | work.touched.get(zone.code, set()) | work.shaken.get(zone.code, set()) | rotten
            first = book.first(zone.code) if end is not None else None
            if first is not None:
                oldest = min(first, work.last - timedelta(BACK_DAYS))
                days |= {day for day in again if oldest <= day <= work.last}
                begun = first + timedelta(1)  # of the first day nobody knows the rain
                unknown = book.unknown(zone.code, max(begun, work.last - timedelta(back - 1)), work.last)
                days |= unknown
                again = again | {day for day in unknown if work.last - day < timedelta(SILENT_DAYS)}
            if days or zone.code in work.grounds:
                fine = again | {work.last - timedelta(n) for n in range(FINE_DAYS)}
                yield Asked(zone, sorted(days), frozenset(fine & days))

    def _bring(self, work: Work, book: Book, zone: Zone, weather: Weather) -> int:
        """Note the days of a zone that are new or have changed; return how many."""
        inputs, first = weather.inputs(), book.first(zone.code)
        told = (day for day, of in inputs.items() if of.noon or of.one_temp_c is not None or (first and day >= first))
        starts = [next(told, None), work.since.get(zone.code)]  # none, where no sensor here tells of the weather
        start = min(filter(None, starts), default=None)
        return work.brought(zone, work.follow(book, zone, start, weather, inputs) if start else [])


def _days(start_ms: int, end_ms: int, last: date) -> set[date]:
    """Return the days whose inputs readings of a span can touch: a total of rain is gone on from until the next day."""
    first, end = day_of(start_ms), min(day_of(end_ms) + timedelta(1), last)
    return {first + timedelta(n) for n in range((end - first).days + 1)}


def _zones(registry: Registry) -> dict[str, set[str]]:
    """Return the zones in which a channel of each gateway hangs, or ever hung."""
    found: dict[str, set[str]] = {}
    for bound in registry.bindings:
        if bound.place == "zone":
            found.setdefault(bound.gateway, set()).add(bound.code)
    return found
