"""The loop that has each day's bulletin made at 14:00 in Vietnam: once, kept as it was said, for zones with weather.

A server that was down then makes it when it is back, until evening. It waits a little for numbers of the day that are
still being computed; where they do not come, the bulletin says so. Sending is not its business (cloud/alerts/tell).
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from cloud.clock import hanoi, midnight_ms
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import Rotten, days_of, reading
from cloud.danger.bulletin import bulletin, loudspeaker, todo, worst
from cloud.danger.course import Day
from cloud.danger.issued import DUE_H, NAME, Published, Said, Shelf, bears
from cloud.danger.levels import Verdict, verdict
from cloud.danger.told import load
from disk.form import gone
from settings.words import Taken

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.danger.told import Told
    from cloud.registry import Current, Registry
    from cloud.registry.kinds import Zone

log = logging.getLogger(__name__)
EVERY_S = 20.0
HOUR_MS = 3_600_000
DUE_MS, EVENING_MS = DUE_H * HOUR_MS, 20 * HOUR_MS  # of the day: later nobody acts on it before it is old
PATIENCE_S = 600.0  # with numbers of the day that are still being computed
SURE_S = 2 * 3_600.0  # that a clock which went back by days is right now
PAST_DAYS = 30  # of which the past course is told
LOOK_BACK = 7  # days in which one that was missed is told


class Daily:
    """Makes bulletins. `fault` is why it cannot, `last_ms` when it last did, `missed` the days without; for any thread.

    `folder` is that of the data, `garden` where the garden's own words are: read when they are needed, for a mistake in
    them must not keep the room from starting.
    """

    def __init__(self, folder: Path, garden: Path, current: Current, clock: Clock) -> None:
        self._folder, self._garden, self._current, self._clock = folder, garden, current, clock
        self._shelf: Shelf | None = None
        self._due_s: float | None = None  # since when it is due and waits for numbers, by the monotonic clock
        self._ahead_s: float | None = None  # since when there is a bulletin of a day to come
        self.fault, self.missed = "", list[str]()
        self._passed_over = ""  # the zones of which the last bulletin says nothing, and why
        self.last_ms: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Look until stopped; whatever befalls bulletins, the room that they live in goes on."""
        while not stop.is_set():
            try:
                self.look()
                self.fault = self._passed_over
            except Exception as fault:
                told = f"{type(fault).__name__}: {fault}"
                if told != self.fault:
                    known = isinstance(fault, (sqlite3.Error, OSError, Taken))
                    log.warning("bulletin-waits why=%r", str(fault), exc_info=None if known else fault)
                self.fault = told
                self.close()
            self._clock.wait(stop, EVERY_S)
        self.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._shelf is not None:
            self._shelf.close()
        self._shelf = None

    def health(self) -> dict[str, Any]:
        """Return when the last bulletin was made, and on which of the last days there was none."""
        return {"bulletin_ms": self.last_ms, "bulletin_missed": self.missed, "bulletin_fault": self.fault}

    def look(self) -> bool:
        """Make the day's bulletins if it is time; tell whether it did. A file with a damaged page is begun anew.

        Raises sqlite3.Error, OSError, Taken, and ConfigError for a mistake in the garden's own words.
        """
        try:
            return self._look()
        except sqlite3.Error as error:
            self.close()
            if not gone(self._folder / NAME, error):
                raise
            return self._look()

    def _look(self) -> bool:
        now_ms = self._clock.utc_ms()
        today = hanoi(now_ms).date()
        of_day_ms = now_ms - midnight_ms(today)
        if self._shelf is None:
            self._shelf = Shelf(self._folder / NAME)
        made = False
        if DUE_MS <= of_day_ms < EVENING_MS and not self._shelf.has(today):
            made = self._make(self._shelf, today, now_ms)
        else:
            self._due_s = None
        issued = self._shelf.issued(LOOK_BACK)
        self._judge_clock(self._shelf, issued, today)
        self.last_ms = issued[0][1] if issued else None
        self.missed = _missed(issued, today - timedelta(of_day_ms < EVENING_MS))
        return made

    def _judge_clock(self, shelf: Shelf, issued: Sequence[tuple[date, int]], today: date) -> None:
        """Find out whether what was told of a day to come was told by a clock that was ahead.

        Or this one is behind, as that of a machine without battery until it has network: it does not stay so for long.
        """
        now_s = self._clock.monotonic()
        if not issued or issued[0][0] <= today:
            self._ahead_s = None
        elif self._ahead_s is None:
            self._ahead_s = now_s
        elif now_s >= self._ahead_s + SURE_S:
            log.warning("bulletin-was-ahead day=%s today=%s", issued[0][0], today)
            shelf.was_ahead(today)

    def _make(self, shelf: Shelf, today: date, now_ms: int) -> bool:
        registry = self._current.now
        courses, ill = self._courses(registry, today)
        if not courses:
            self._passed_over = ill
            return False  # no weather is measured here: there is nothing to tell
        now_s = self._clock.monotonic()
        self._due_s = now_s if self._due_s is None else self._due_s
        if any(days[-1].day != today for days in courses.values()) and now_s < self._due_s + PATIENCE_S:
            return False
        issued, told = bears(now_ms), load(self._garden)
        said = [_said(registry, registry.zones[code], days, told, issued) for code, days in courses.items()]
        shelf.put(today, now_ms, said)
        self._due_s = None
        log.info("bulletin-made day=%s zones=%d", today, len(said))
        if ill:
            log.error("bulletin-zone-passed-over why=%r", ill)
        self._passed_over = ill
        return True

    def _courses(self, registry: Registry, today: date) -> tuple[dict[str, list[Day]], str]:
        """Return the last days of each zone that has any, and what is wrong with others: that costs them alone."""
        found, ill = dict[str, list[Day]](), ""
        if not (path := self._folder / DANGER).exists():
            return {}, ""
        with reading(path) as db:
            for code in registry.zones:
                try:
                    days = days_of(db, code, today - timedelta(PAST_DAYS), today)
                except Rotten as error:
                    ill = f"zone {code}: {error}"
                else:
                    found |= {code: days} if days else {}
        return found, ill


def _said(registry: Registry, zone: Zone, days: Sequence[Day], told: Told, issued: datetime) -> Said:
    day = days[-1]
    found = verdict(day, registry.danger_tables.on(zone, day.day))
    if found.level and day.day != issued.date():
        found = Verdict(why="old")
    official = registry.official_levels.on(zone, issued.date())
    measures = todo(told, worst(found, official))
    return Said(
        zone.code,
        zone.name_vi,
        zone.name_en,
        bulletin(zone, days, found, told, "vi", official, issued),
        bulletin(zone, days, found, told, "en", official, issued),
        loudspeaker(zone, days, found, told, "vi", official, issued),
        found.level.number if found.level else None,
        bool(found.level and found.level.at_least),
        measures.vi,
        measures.en,
        Published(official.number, official.source) if official else None,
    )


def _missed(issued: Sequence[tuple[date, int]], last: date) -> list[str]:
    """Return the days without a bulletin since the first that had one, of the last week until a day."""
    told = {day for day, _ in issued}
    if not told:
        return []
    days = [last - timedelta(n) for n in reversed(range(LOOK_BACK))]
    return [day.isoformat() for day in days if day not in told and day > min(told)]
