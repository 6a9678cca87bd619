"""When to ask: one loop per bus. It schedules, asks, retries, settles, and marks a device unavailable once.

After a time-out the bus is kept silent for `settle_ms` and drained before anything else is asked: a late reply is the
one fault that silently yields wrong values (with replies a poll late, ready-made masters took 22 to 25 of 60 stale
answers as good, this one none). A dead device is asked ever more seldom, so that it does not slow its neighbours.
"""

from __future__ import annotations

import heapq
import logging
import random
from typing import TYPE_CHECKING

import msgspec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_any, stop_when_event_set

from edge.clock import Anchor, told
from edge.driver import BadReply, Value
from edge.sense.exchange import run
from edge.sense.ports import Line, PortLost
from wire.batch import Source
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge.clock import Clock
    from edge.config import Bus, Sensor

LONGEST_REOPEN_S = 60.0
LONGEST_REST_S = 300.0
FAILURES_BEFORE_REST = 3


class Health(msgspec.Struct):
    """How a channel is, for the status. Written by its sampler only."""

    last_ok_ms: int | None = None
    why: str = "not asked yet"
    texts: dict[str, str] = {}
    lost_ms: int | None = None
    failures: int = 0
    polls: int = 0
    bad: dict[str, int] = {}  # kind of fault → how often


class Sampler:
    """The owner of one bus. `run` belongs to one thread; `health` and `turns` may be read from others."""

    def __init__(
        self,
        bus: Bus,
        sensors: list[Sensor],
        open_line: Callable[[], Line],
        put: Callable[[Reading | Anchor], None],
        clock: Clock,
    ) -> None:
        self._bus, self._sensors, self._open, self._put, self._clock = bus, sensors, open_line, put, clock
        self._log = logging.getLogger(f"{__name__}.{bus.name}")
        self._line: Line | None = None
        self._opened_ms = 0
        self._reopen_ms = 0
        self._reopen_s = 1.0
        self._why_lost = ""
        self.health = {sensor.table.channel: Health(texts={}, bad={}) for sensor in sensors}
        self.turns = 0  # progress, for the watchdog

    def run(self, stop: threading.Event) -> None:
        """Poll every channel at its own pace until `stop`."""
        now = self._clock.mono_ms()
        due = [(now + number, number) for number in range(len(self._sensors))]
        heapq.heapify(due)
        while not stop.is_set():
            at, number = due[0]
            if self._clock.wait(stop, min(max(at - self._clock.mono_ms(), 0) / 1000, 5.0)):
                break
            self.turns += 1
            if self._clock.mono_ms() < at:
                continue
            sensor = self._sensors[number]
            try:
                self._put(self.poll(sensor, stop))
            except Exception:  # noqa: BLE001 - the runner's one catch-all: logged, and the other channels go on
                self._log.exception("driver stumbled channel=%s", sensor.table.channel)
            heapq.heapreplace(due, (self._next(at, sensor), number))
        self.close()

    def close(self) -> None:
        """Let go of the port. May be called twice."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def poll(self, sensor: Sensor, stop: threading.Event) -> Reading:
        """Ask one sensor and return its reading: values, or reasons where it has none."""
        health = self.health[sensor.table.channel]
        health.polls += 1
        try:
            values = self._tries(self._opened(), sensor, stop)
        except PortLost as error:
            self.close()
            self._why_lost = str(error)
            self._failed(sensor, Reason.PORT_LOST, str(error))
            health.failures = min(health.failures, FAILURES_BEFORE_REST)  # a returned port is to be noticed soon
            return _empty(sensor, self._clock.mono_ms(), Reason.PORT_LOST)
        except BadReply as error:
            self._failed(sensor, error.reason, f"{error.kind}: {error}")
            return _empty(sensor, self._clock.mono_ms(), error.reason)
        self._well(sensor)
        return self._reading(sensor, values)

    def _opened(self) -> Line:
        if self._line is None:
            now = self._clock.mono_ms()
            if now < self._reopen_ms:
                raise PortLost(self._why_lost)
            self._reopen_ms = now + round(1000 * random.uniform(0.2, self._reopen_s))
            self._reopen_s = min(self._reopen_s * 2, LONGEST_REOPEN_S)
            self._line = self._open()
            self._line.drain()  # some adapters emit rubbish when opened
            self._opened_ms, self._reopen_s = now, 1.0
        return self._line

    def _tries(self, line: Line, sensor: Sensor, stop: threading.Event) -> list[Value]:
        line.patience(sensor.table.timeout_s)
        resting = self.health[sensor.table.channel].failures >= FAILURES_BEFORE_REST
        retrying = Retrying(
            retry=retry_if_exception_type(BadReply),
            stop=stop_any(stop_after_attempt(1 if resting else 1 + sensor.table.retries), stop_when_event_set(stop)),
            reraise=True,
        )
        return retrying(self._once, line, sensor, stop)

    def _once(self, line: Line, sensor: Sensor, stop: threading.Event) -> list[Value]:
        self.turns += 1  # a slow device is no hang
        try:
            return run(sensor.driver.poll(sensor.config), line)
        except BadReply as error:
            bad = self.health[sensor.table.channel].bad
            bad[error.kind] = bad.get(error.kind, 0) + 1
            if sensor.driver.settles and line.quiet:
                self._clock.wait(stop, self._bus.settle_ms / 1000)
                line.drain()
            raise

    def _reading(self, sensor: Sensor, values: list[Value]) -> Reading:
        now = self._clock.mono_ms()
        scaled: dict[str, int] = {}
        reasons: dict[str, int] = {}
        warming = now - self._opened_ms < sensor.table.warmup_s * 1000
        for value in values:
            name = sensor.quantities.get(value.name)
            if isinstance(value.value, str):
                self._text(sensor, value.name, value.value, now)
            elif name is None:
                continue
            elif warming:
                reasons[name] = Reason.WARMING_UP
            elif value.value is None:
                reasons[name] = value.reason or Reason.NOT_REPORTED
            elif QUANTITIES[name].plausible(value.value):
                scaled[name] = QUANTITIES[name].scale(value.value)
            else:
                reasons[name] = Reason.OUT_OF_RANGE
        for name in sensor.quantities.values():
            if name not in scaled:
                reasons.setdefault(name, Reason.NOT_REPORTED)
        return Reading(sensor.table.channel, now, scaled, reasons)

    def _text(self, sensor: Sensor, name: str, text: str, now: int) -> None:
        self.health[sensor.table.channel].texts[name] = text[:64]
        if name == "time":
            anchor = told(text, now, Source.GNSS, 1_500)
            if anchor is not None:
                self._put(anchor)

    def _well(self, sensor: Sensor) -> None:
        health = self.health[sensor.table.channel]
        now = self._clock.mono_ms()
        if health.lost_ms is not None:
            self._log.info("channel=%s back after_s=%s", sensor.table.channel, (now - health.lost_ms) // 1000)
        health.last_ok_ms, health.why, health.lost_ms, health.failures = now, "", None, 0

    def _failed(self, sensor: Sensor, reason: Reason, words: str) -> None:
        health = self.health[sensor.table.channel]
        health.failures += 1
        health.why = words
        if health.lost_ms is None:
            health.lost_ms = self._clock.mono_ms()
            self._log.warning("channel=%s lost reason=%s why=%r", sensor.table.channel, reason.name.lower(), words)

    def _next(self, at: int, sensor: Sensor) -> int:
        """Return when to ask again: on the channel's own grid, more seldom while the device is dead."""
        step = round(sensor.table.every_s * 1000)
        rest = max(self.health[sensor.table.channel].failures - FAILURES_BEFORE_REST, 0)
        step = max(min(step << min(rest, 4), round(LONGEST_REST_S * 1000)), step)
        late = self._clock.mono_ms() - at
        return at + step * (1 + max(late, 0) // step)


def _empty(sensor: Sensor, mono_ms: int, reason: Reason) -> Reading:
    return Reading(sensor.table.channel, mono_ms, {}, dict.fromkeys(sensor.quantities.values(), int(reason)))
