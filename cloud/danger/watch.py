"""The loop: each zone's day at 13:30, once more each hour of the afternoon, and at once where late data touch a day.

Nothing here is urgent and nothing pages anybody: a store that does not answer is asked again a minute later, and what
could not be done is done then. A day that changes is followed by all after it, each made anew from its kept inputs.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from cloud.clock import hanoi, midnight_ms
from cloud.danger import course
from cloud.danger.book import Book, Rotten, opened
from cloud.danger.course import FIRST, HOUR_MS, Day, day_of
from cloud.danger.drought import RAIN_MM
from cloud.danger.gather import Asked, gather, known_of
from cloud.store import Retry
from settings.words import Taken

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from cloud.clock import Clock
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
BACK_DAYS = 400  # how much of the past a new zone's course is made of
FINE_DAYS = 3  # of which single readings are read; of older days hours, unless they are late
AT_ONCE = 5_000  # days in one transaction
PAGE = 5_000  # rows of the ledger at once


class Watch:
    """Keeps the book. `fault` is why it waits, for any thread."""

    def __init__(self, path: Path, store: Store, current: Current, clock: Clock) -> None:
        self._path, self._store, self._current, self._clock = path, store, current, clock
        self._book: Book | None = None
        self._registry: Registry | None = None
        self._limited: dict[str, tuple[Any, ...]] = {}  # the tables of each zone that its days were summed by
        self._hour = -1  # the last one that all zones were looked at in
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
        """Do what is due now; return how many days were written. Raises Retry, sqlite3.Error, Taken."""
        try:
            return self._look()
        except BaseException:
            self._limited.clear()  # what was noted of tables may not have been written
            raise

    def _look(self) -> int:
        if self._book is None:
            self._book = opened(self._path)
        now_ms = self._clock.utc_ms()
        today = hanoi(now_ms).date()
        of_day = now_ms - midnight_ms(today)
        last = today if of_day >= DUE_MS else today - timedelta(1)
        registry = self._current.now
        touched, ledger_ms = self._late(registry, last, now_ms)
        hour = (now_ms - HOUR_MS // 2) // HOUR_MS  # a new one begins when a day is due
        ends = self._book.last(last)
        due = hour != self._hour or not ends
        if not (due or touched or registry is not self._registry):
            self._book.put((), ledger_ms)
            return 0
        again = {today} if DUE_MS <= of_day < LAST_MS + HOUR_MS and due else set()
        wanted = (
            self._asked(registry, zone, ends.get(zone.code), touched.get(zone.code, set()) | again, last)
            for zone in registry.zones.values()
        )
        written, changed, ill = 0, list[Day](), ""
        for asked, weather in gather(self._store, registry, known_of(self._store), filter(None, wanted), now_ms):
            if self._turn is not None and self._turn.is_set():
                self._book.put(changed)
                return written
            try:
                days = self._bring(registry, asked.zone, ends.get(asked.zone.code), weather.inputs(), last)
            except (ArithmeticError, ValueError, Rotten) as error:  # it costs this zone alone
                ill = f"zone {asked.zone.code}: {type(error).__name__}: {error}"
                continue
            changed += days
            written += len(days)
            if len(changed) >= AT_ONCE:
                self._book.put(changed)
                changed.clear()
        self._book.put(changed, ledger_ms)
        if ill and ill != self._passed_over:
            log.error("danger-zone-passed-over why=%r", ill)
        self._passed_over = ill
        self._hour, self._registry = hour, registry
        return written

    def _late(self, registry: Registry, last: date, now_ms: int) -> tuple[dict[str, set[date]], int]:
        """Return the days of zones that late data touched, and how far the ledger was looked at."""
        assert self._book is not None
        since_ms = self._book.ledger_ms
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

    def _asked(self, registry: Registry, zone: Zone, end: date | None, again: set[date], last: date) -> Asked | None:
        """Return the days of a zone whose inputs are to be gathered; None where nothing of it is due."""
        first = (end or last - timedelta(BACK_DAYS)) + timedelta(1)
        days = {first + timedelta(n) for n in range((last - first).days + 1)}
        days |= {day for day in again if end is not None and day <= last}
        fine = again | {last - timedelta(n) for n in range(FINE_DAYS)}
        tables = registry.danger_tables.of(zone)
        if not days and tables == self._limited.get(zone.code):
            return None
        return Asked(zone, sorted(days), frozenset(fine & days))

    def _bring(
        self, registry: Registry, zone: Zone, end: date | None, inputs: dict[date, course.Inputs], last: date
    ) -> list[Day]:
        """Return the days of a zone that are new or have changed, the oldest first."""
        start = min(inputs, default=None)
        if end is None:
            start = next((day for day, told in inputs.items() if told.noon or told.one_temp_c is not None), None)
            if start is None:
                return []  # no sensor in this zone tells of the weather
        tables = registry.danger_tables.of(zone)
        if tables != self._limited.get(zone.code):
            start = min(filter(None, (start, self._other_limit(registry, zone))), default=None)
            self._limited[zone.code] = tables
        return self._follow(registry, zone, start, last, inputs) if start else []

    def _other_limit(self, registry: Registry, zone: Zone) -> date | None:
        """Return the first day that was summed with another limit of rain than the table has that holds on it."""
        assert self._book is not None
        limits = self._book.limits(zone.code)
        return next((day for day, limit in limits if limit != limit_of(registry, zone, day)), None)

    def _follow(
        self, registry: Registry, zone: Zone, start: date, last: date, inputs: dict[date, course.Inputs]
    ) -> list[Day]:
        assert self._book is not None
        kept = {day.day: day for day in self._book.days(zone.code, start - timedelta(1), last)}
        before = kept[start - timedelta(1)].after if start - timedelta(1) in kept else FIRST
        changed: list[Day] = []
        for n in range((last - start).days + 1):
            day = start + timedelta(n)
            own = inputs.get(day) or (kept[day].inputs if day in kept else course.Inputs(zone.lat, flags=("no_air",)))
            made = course.day(zone.code, day, before, own, limit_of(registry, zone, day))
            if kept.get(day) != made:
                changed.append(made)
            before = made.after
        return changed


def limit_of(registry: Registry, zone: Zone, day: date) -> float:
    """Return the limit of rain that P of a zone's day is summed with."""
    table = registry.danger_tables.on(zone, day)
    return RAIN_MM if table is None else table.rain_mm


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
