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
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cloud.clock import hanoi, midnight_ms
from cloud.danger import course
from cloud.danger.book import Before, Book, Rotten, opened
from cloud.danger.course import FIRST, HOUR_MS, Day, day_of
from cloud.danger.drought import RAIN_MM
from cloud.danger.gather import Asked, gather, known_of
from cloud.danger.ground import ground_of, shaken
from cloud.store import Retry
from settings.words import Taken

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.danger.gather import Weather
    from cloud.danger.ground import Ground
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
        work = _Work(registry, last, now_ms, ends, touched)
        if DUE_MS <= of_day < LAST_MS + HOUR_MS and due:
            work.again.add(today)
        if registry is not self._registry:
            work.compare(self._book)
        written, ill = 0, ""
        for asked, weather in gather(self._store, registry, known_of(self._store), self._asked(work), now_ms):
            if self._turn is not None and self._turn.is_set():
                work.keep(self._book)
                return written
            try:
                written += self._bring(work, asked.zone, weather)
            except (ArithmeticError, ValueError, Rotten) as error:  # it costs this zone alone
                ill = f"zone {asked.zone.code}: {type(error).__name__}: {error}"
                continue
            if len(work.changed) >= AT_ONCE:
                work.keep(self._book)
        work.keep(self._book, ledger_ms)
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

    def _asked(self, work: _Work) -> Iterator[Asked]:
        """Yield the zones of which anything is due, with the days whose inputs are to be gathered."""
        for zone in work.registry.zones.values():
            end = work.ends.get(zone.code)
            first = (end or work.last - timedelta(BACK_DAYS)) + timedelta(1)
            days = {first + timedelta(n) for n in range((work.last - first).days + 1)}
            again = work.again | work.touched.get(zone.code, set()) | work.shaken.get(zone.code, set())
            days |= {day for day in again if end is not None and day <= work.last}
            if days or zone.code in work.grounds or self._has_other_tables(work, zone):
                fine = again | {work.last - timedelta(n) for n in range(FINE_DAYS)}
                yield Asked(zone, sorted(days), frozenset(fine & days))

    def _bring(self, work: _Work, zone: Zone, weather: Weather) -> int:
        """Note the days of a zone that are new or have changed; return how many."""
        assert self._book is not None
        inputs, first = weather.inputs(), self._book.first(zone.code)
        told = (day for day, of in inputs.items() if of.noon or of.one_temp_c is not None or (first and day >= first))
        starts = [next(told, None)]  # none, where no sensor in this zone tells of the weather
        why = ["late"] if zone.code in work.touched else []
        if zone.code in work.shaken:
            why.append("registry")
            starts.append(first if zone.code in work.moved else None)
        if self._has_other_tables(work, zone):
            starts.append(self._other_limit(work.registry, zone))
            why += ["table"] if starts[-1] else []
            self._limited[zone.code] = work.registry.danger_tables.of(zone)
        start = min(filter(None, starts), default=None)
        return work.brought(
            zone, self._follow(work, zone, start, weather, inputs) if start else [], " ".join(why or ["late"])
        )

    def _has_other_tables(self, work: _Work, zone: Zone) -> bool:
        return work.registry.danger_tables.of(zone) != self._limited.get(zone.code)

    def _other_limit(self, registry: Registry, zone: Zone) -> date | None:
        """Return the first day that was summed with another limit of rain than the table has that holds on it."""
        assert self._book is not None
        limits = self._book.limits(zone.code)
        return next((day for day, limit in limits if limit != limit_of(registry, zone, day)), None)

    def _follow(
        self, work: _Work, zone: Zone, start: date, weather: Weather, inputs: dict[date, course.Inputs]
    ) -> list[tuple[Day, Day | None]]:
        """Return the days from one on that are not what was kept of them, each with that."""
        assert self._book is not None
        kept = {day.day: day for day in self._book.days(zone.code, start - timedelta(1), work.last)}
        before = kept[start - timedelta(1)].after if start - timedelta(1) in kept else FIRST
        changed: list[tuple[Day, Day | None]] = []
        for n in range((work.last - start).days + 1):
            day = start + timedelta(n)
            own, was = inputs.get(day), kept.get(day)
            if was is not None and (own is None or (not own.sources and weather.is_lost(day, was.inputs.sources))):
                own = replace(was.inputs, lat=zone.lat)
            own = own or course.Inputs(zone.lat, flags=("no_air",))
            made = course.day(zone.code, day, before, own, limit_of(work.registry, zone, day))
            if was != made:
                changed.append((made, was))
            before = made.after
        return changed


class _Work:
    """What one look has to do, and what came of it that is yet to be written."""

    def __init__(
        self, registry: Registry, last: date, now_ms: int, ends: dict[str, date], touched: dict[str, set[date]]
    ) -> None:
        self.registry, self.last, self._now_ms = registry, last, now_ms
        self.ends = ends  # the newest day of each zone
        self.touched = touched  # by late data
        self.again: set[date] = set()  # of every zone
        self.grounds: dict[str, Ground] = {}  # those that are not what was kept of them
        self.shaken: dict[str, set[date]] = {}  # days that stand on others
        self.moved: set[str] = set()
        self.changed: list[Day] = []
        self._before: list[Before] = []
        self._stand: dict[str, Ground] = {}

    def compare(self, book: Book) -> None:
        """Find the days that stand on other ground than the registry has for them now."""
        kept = book.grounds()
        for zone in self.registry.zones.values():
            now, before = ground_of(self.registry, zone), kept.get(zone.code)
            if now == before:
                continue
            self.grounds[zone.code] = now
            if before is not None and zone.code in self.ends:
                first = min(book.first(zone.code) or self.last, self.last - timedelta(BACK_DAYS))
                self.shaken[zone.code] = shaken(before, now, first, self.last)
                if now.lat != before.lat:
                    self.moved.add(zone.code)

    def brought(self, zone: Zone, days: Sequence[tuple[Day, Day | None]], why: str) -> int:
        """Take the days of a zone that have changed, each with what it was; return how many."""
        self.changed += [made for made, _ in days]
        self._before += [Before(was, self._now_ms, why) for made, was in days if was and not was.says(made)]
        if zone.code in self.grounds:
            self._stand[zone.code] = self.grounds[zone.code]
        return len(days)

    def keep(self, book: Book, ledger_ms: int | None = None) -> None:
        """Write it."""
        book.put(self.changed, ledger_ms, before=self._before, grounds=self._stand)
        self.changed, self._before, self._stand = [], [], {}


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
