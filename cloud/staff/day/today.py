"""What a morning begins with: alarms that are open, sensors that say nothing or always the same, yesterday's gaps.

Gathered in a thread of its own, from the store and the journal, which may hang: a page shows what was gathered last,
and of when it is.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from cloud.clock import hanoi
from cloud.registry.kinds import Binding
from cloud.registry.periods import NEVER, valid_on
from cloud.staff.incidents import Alarm
from cloud.staff.shelf import NotYet
from cloud.store import Retry

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from cloud.clock import Clock
    from cloud.staff.shelf import Shelf
    from cloud.store import Store
    from cloud.store.history import Hour, Sample

log = logging.getLogger(__name__)
FIRST_S, EVERY_S = 3.0, 60.0  # at the start values come in one after another
SILENT_MS = 3 * 3_600_000  # a sensor that brought nothing for so long is looked at by somebody
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOURS = 24
NEVER_STILL = frozenset({"air_temperature", "air_humidity", "soil_moisture", "soil_temperature", "air_pressure"})
ENOUGH = 20  # hours of a day, all with one value to the last digit


class Sensor(msgspec.Struct, frozen=True):
    """A channel that hangs somewhere: when it last brought a value, and in how many hours of yesterday it did."""

    gateway: str
    channel: str
    place: str
    code: str
    last_ms: int | None
    hours: int
    stuck: str  # the quantity that did not move all day; "" none
    new: bool = False  # it first hung anywhere yesterday or later: no whole day is known of it
    rests_until_ms: int | None = None  # it is worked at
    quantities: frozenset[str] = frozenset()  # that it ever told

    def silent(self, now_ms: int) -> bool:
        """Tell whether somebody should look."""
        return self.last_ms is None or now_ms - self.last_ms > SILENT_MS


class Today(msgspec.Struct, frozen=True):
    """What is known, as of `made_ms`."""

    made_ms: int
    alarms: list[Alarm]
    sensors: list[Sensor]
    quantities: frozenset[str] = frozenset()  # that anything ever told
    unbound: tuple[tuple[str, str], ...] = ()  # (gateway, channel) of what was heard and hangs nowhere

    def ill(self) -> list[Sensor]:
        """Return the sensors that somebody should look at, the longest silent first; at the others somebody does."""
        heard = [one for one in self.sensors if one.rests_until_ms is None]
        found = [one for one in heard if one.silent(self.made_ms) or one.stuck]
        return sorted(found, key=lambda one: (one.last_ms or 0, one.gateway, one.channel))

    def gaps(self) -> list[Sensor]:
        """Return the sensors that were not there in every hour of yesterday, the worst first."""
        return sorted((one for one in self._whole() if one.hours < HOURS), key=lambda one: one.hours)

    @property
    def complete(self) -> float | None:
        """Return the share of yesterday's hours that brought values, in percent; None without any sensor."""
        hours = [one.hours for one in self._whole()]
        return 100 * sum(hours) / (HOURS * len(hours)) if hours else None

    def _whole(self) -> list[Sensor]:
        """Return the sensors that could have been there all yesterday: one that was never heard is told elsewhere."""
        return [one for one in self.sensors if not one.new and one.last_ms is not None]


class Gatherer:
    """Keeps `now` fresh. `alarms` asks the journal; what fails is said in `why`, and what was known before stays."""

    def __init__(self, shelf: Shelf, store: Store, alarms: Callable[[], list[Alarm]], clock: Clock) -> None:
        self._shelf, self._store, self._alarms, self._clock = shelf, store, alarms, clock
        self.now: Today | None = None
        self.why = ""

    def run(self, stop: threading.Event) -> None:
        """Gather until stopped."""
        pause_s = FIRST_S
        while not stop.is_set():
            self.look(stop.is_set)
            self._clock.wait(stop, pause_s)
            pause_s = FIRST_S if self.why else min(EVERY_S, 2 * pause_s)

    def look(self, turn: Callable[[], bool] = lambda: False) -> None:
        """Gather once. Where `turn`, asked at each of thousands of sensors, says stop, what was known before stays."""
        try:
            self.now = self._gathered(self._clock.utc_ms(), turn) or self.now
            why = ""
        except NotYet:
            why = "registry: not made yet"
        except (Retry, sqlite3.Error, OSError) as error:
            why = f"today: {error}"
            if why != self.why:
                log.warning("today-not-gathered why=%r", str(error))
        self.why = why

    def _gathered(self, now_ms: int, turn: Callable[[], bool]) -> Today | None:
        day = hanoi(now_ms).date()
        hung = [one for one in self._shelf.rows("binding") if isinstance(one, Binding)]
        bound = {(one.gateway, one.channel): one for one in hung if valid_on(one, day)}
        yesterday = day - timedelta(1)
        known = {
            (one.gateway, one.channel)
            for one in hung
            if one.valid_from < yesterday and (one.valid_to is None or one.valid_to >= yesterday)
        }
        newest: dict[tuple[str, str], list[Sample]] = {}
        for sample in self._store.latest():
            newest.setdefault((sample.gateway, sample.channel), []).append(sample)
        midnight = hanoi(now_ms).replace(hour=0, minute=0, second=0, microsecond=0)
        end_ms = round(midnight.timestamp() * 1000)
        sensors, rests = [], self._shelf.maintained()
        series = [(*where, sample.quantity) for where in sorted(bound) for sample in newest.get(where, ())]
        told: dict[tuple[str, str], dict[str, _Told]] = {}
        for (gateway, channel, quantity), hours in self._store.each_hourly(series, end_ms - DAY_MS, end_ms):
            if turn():
                return None
            starts = frozenset(hour.start_ms for hour in hours)
            told.setdefault((gateway, channel), {})[quantity] = _Told(starts, _still(hours))
        for where, one in sorted(bound.items()):
            until_ms = rests.get(where, NEVER).until_ms(now_ms)
            sensor = _sensor(one, newest.get(where, []), told.get(where, {}))
            sensors.append(replace(sensor, new=where not in known, rests_until_ms=until_ms))
        quantities = frozenset(one.quantity for samples in newest.values() for one in samples)
        return Today(now_ms, self._alarms(), sensors, quantities, tuple(sorted(newest.keys() - bound.keys())))


class _Told(NamedTuple):
    """What a series told yesterday: in which hours, and whether it never moved."""

    hours: frozenset[int]
    still: bool


def _sensor(bound: Binding, newest: Sequence[Sample], told: dict[str, _Told]) -> Sensor:
    return Sensor(
        bound.gateway,
        bound.channel,
        bound.place,
        bound.code,
        max((one.time_ns // 1_000_000 for one in newest), default=None),
        len(frozenset[int]().union(*(one.hours for one in told.values()))),
        stuck=next((name for name, one in told.items() if name in NEVER_STILL and one.still), ""),
        quantities=frozenset(one.quantity for one in newest),
    )


def _still(hours: Sequence[Hour]) -> bool:
    return len(hours) >= ENOUGH and min(one.low for one in hours) == max(one.high for one in hours)
