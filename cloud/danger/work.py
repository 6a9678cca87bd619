"""What one look at danger has to do, and what came of it that is yet to be written."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.danger import course
from cloud.danger.book import Before
from cloud.danger.course import FIRST, Day
from cloud.danger.ground import ground_of, limit_on, limits_of, shaken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.danger.book import Book
    from cloud.danger.gather import Weather
    from cloud.danger.ground import Ground
    from cloud.registry import Registry
    from cloud.registry.kinds import Zone

BACK_DAYS = 400  # how much of the past a new zone's course is made of


class Work:
    """What one look has to do, and what came of it that is yet to be written."""

    def __init__(self, registry: Registry, last: date, now_ms: int, touched: dict[str, set[date]]) -> None:
        self.registry, self.last, self._now_ms = registry, last, now_ms
        self.touched = touched  # by late data
        self.again: set[date] = set()  # of every zone
        self.grounds: dict[str, Ground] = {}  # those that are not what was kept of them
        self.shaken: dict[str, set[date]] = {}  # days whose sensors the registry says otherwise of
        self.since: dict[str, date] = {}  # from when on days are made anew of the inputs that they have
        self._why = {zone: {"late"} for zone in touched}
        self.changed: list[Day] = []
        self._before: list[Before] = []
        self._stand: dict[str, Ground] = {}

    def compare(self, book: Book, turn: Callable[[], None]) -> None:
        """Find the days that stand on other ground than the registry has for them now."""
        kept = book.grounds()
        for zone in self.registry.zones.values():
            turn()
            now, before = ground_of(self.registry, zone), kept.get(zone.code)
            first = book.first(zone.code) if now != before else None
            if now != before:
                self.grounds[zone.code] = now
            if first is None:
                continue
            if before is None:  # of a book that kept none yet nobody knows more than its limits
                self._limit(zone, (day for day, mm in book.limits(zone.code) if mm != limit_on(now.limits, day)))
                continue
            since = min(first, self.last - timedelta(BACK_DAYS))
            if days := shaken(before, now, since, self.last):
                self.shaken[zone.code] = days
                self._why.setdefault(zone.code, set()).add("registry")
            if before.limits != now.limits:
                every = (first + timedelta(n) for n in range((self.last - first).days + 1))
                self._limit(zone, (day for day in every if limit_on(before.limits, day) != limit_on(now.limits, day)))
            if before.lat != now.lat:
                self.since[zone.code] = first
                self._why.setdefault(zone.code, set()).add("registry")

    def _limit(self, zone: Zone, days: Iterator[date]) -> None:
        """Note the first of the days that were summed with another limit than holds on them."""
        if (day := next(days, None)) is not None:
            self.since[zone.code] = day
            self._why.setdefault(zone.code, set()).add("table")

    def follow(
        self, book: Book, zone: Zone, start: date, weather: Weather, inputs: dict[date, course.Inputs]
    ) -> list[tuple[Day, Day | None]]:
        """Return the days from one on that are not what was kept of them, each with that."""
        kept = {day.day: day for day in book.days(zone.code, start - timedelta(1), self.last)}
        before = kept[start - timedelta(1)].after if start - timedelta(1) in kept else FIRST
        limits = limits_of(self.registry, zone)
        changed: list[tuple[Day, Day | None]] = []
        for n in range((self.last - start).days + 1):
            day = start + timedelta(n)
            own, was = inputs.get(day), kept.get(day)
            if was is not None and (own is None or (not own.sources and weather.is_lost(day, was.inputs.sources))):
                own = replace(was.inputs, lat=zone.lat)
            own = own or course.Inputs(zone.lat, flags=("no_air",))
            made = course.day(zone.code, day, before, own, limit_on(limits, day))
            if was != made:
                changed.append((made, was))
            before = made.after
        return changed

    def brought(self, zone: Zone, days: Sequence[tuple[Day, Day | None]]) -> int:
        """Take the days of a zone that have changed, each with what it was; return how many."""
        why = " ".join(sorted(self._why.get(zone.code, {"late"})))
        self.changed += [made for made, _ in days]
        self._before += [Before(was, self._now_ms, why) for made, was in days if was and not was.says(made)]
        if zone.code in self.grounds:
            self._stand[zone.code] = self.grounds[zone.code]
        return len(days)

    def keep(self, book: Book, ledger_ms: int | None = None) -> None:
        """Write it."""
        book.put(self.changed, ledger_ms, before=self._before, grounds=self._stand)
        self.changed, self._before, self._stand = [], [], {}
