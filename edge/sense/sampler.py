"""When to ask: one loop a bus. It opens the port, polls each channel at its own pace, and gives every poll one outcome.

An outcome is a reading: values, or reasons where there are none, and when it was heard. Nothing that a device, a
driver or a port does takes a poll away. A dead device is asked ever more seldom, so that it does not slow its
neighbours.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from edge.clock import Anchor, device_date
from edge.driver import BadReply
from edge.sense.exchange import Exchange, Stopped
from edge.sense.health import Health
from edge.sense.terms import LATE, LONGEST_OWED_MS, PortLost, Terms
from edge.sense.turns import FAILURES_BEFORE_REST, Turns
from wire.batch import Source
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from edge.board import Board
    from edge.clock import Clock
    from edge.config import Bus, Sensor
    from edge.driver import Ask, Habits, Reply, Value
    from edge.sense.exchange import Heard
    from edge.sense.terms import OpenLine

LONGEST_REOPEN_S = 5.0  # who plugs an adapter in again stands beside it; asking for a file costs nothing
LONGEST_BUDGET_S = 10.0  # of a poll, unless one silence, what it owes and one further try take longer
LONGEST_WAIT_S = 5.0
SLACK_S = 15.0  # beyond every budget: opening and closing a port, a machine that is busy
NO_VALUE = "no value"  # the device answers, and has reasons only
_STOPS = PortLost("the bus is being stopped or opened again")
_UNHEARD = {Reason.SILENCE, Reason.SHORT, Reason.GARBLED}  # a line whose device has no power may hum
_GIVEN_UP = PortLost(f"{_STOPS}; what was being sent may have arrived all the same")


class Sampler:
    """The owner of one bus. `run` belongs to one thread, all else may be used from others.

    `put` takes what is read; it is called for every poll that is not broken off by `stop`.
    """

    def __init__(
        self,
        bus: Bus,
        sensors: list[Sensor],
        open_line: Callable[[], OpenLine],
        put: Callable[[Reading | Anchor], None],
        board: Board,
        clock: Clock,
    ) -> None:
        self._bus, self._sensors, self._open, self._put, self._clock = bus, sensors, open_line, put, clock
        self._exchange = Exchange(
            clock, byte_s=10 / bus.baud if bus.baud else 0, quiet_s=bus.quiet_ms / 1000, echo=bus.echo
        )
        self._health = {sensor.table.channel: Health(board, sensor.table.channel, bus.name) for sensor in sensors}
        self._given = {sensor.table.channel: _given(bus, sensor, sensor.table.retries) for sensor in sensors}
        self._resting = {sensor.table.channel: _given(bus, sensor, 0) for sensor in sensors}
        self._warmup = {sensor.table.channel: _Warmup(sensor.habits) for sensor in sensors}
        self._order_s = max(terms.budget_s for terms in self._given.values())
        self._line: OpenLine | None = None
        self._opened_ms, self._reopen_ms, self._reopen_s = 0, 0, 1.0
        self._why_lost = PortLost("")
        self._wake = threading.Event()
        self._stopped = self.brought = False  # any value was brought
        self.pace_s: float | None = None  # how often modem and position are asked, while somebody walks
        self.ends_ms = clock.mono_ms() + round(1000 * SLACK_S)  # by when what it does now has ended, if nothing hangs

    # --- from other threads

    def stop(self) -> None:
        """Have `run` return once the poll that goes on has ended."""
        self._stopped = True
        self._exchange.finish()
        self._wake.set()

    def abort(self) -> None:
        """Have `run` return now, whatever the device does."""
        self.stop()
        self._exchange.stop()
        self._exchange.orders.give_up(_GIVEN_UP)
        line = self._line
        if line is not None:
            line.cancel()

    def cannot_begin(self, why: str) -> None:
        """Say of each sensor that it is not asked, and why: no thread will call `run`."""
        for health in self._health.values():
            health.failed(why, self._clock.mono_ms(), Reason.PORT_LOST.name.lower())

    def order(self, channel: str, ask: Ask) -> Future[Reply]:
        """Have a device told something before anything else is asked on its bus (a coil, a siren).

        The future brings its answer, or the BadReply, PortLost or Stopped it came to; where the bus hangs by `ends_ms`.
        """
        sensor = next(one for one in self._sensors if one.table.channel == channel)
        done = self._exchange.orders.give(ask, self._terms(sensor))
        self._wake.set()
        if self._stopped:  # else whoever ends the loop sees it
            self._exchange.orders.refuse(_STOPS)
        return done

    # --- the loop

    def run(self) -> None:
        """Poll every channel at its own pace until `stop`."""
        try:
            self._poll_on()
        except Stopped:
            pass
        finally:
            self.close()
            self._exchange.orders.refuse(_STOPS)

    def _poll_on(self) -> None:
        turns = Turns(self._sensors, self._health, self._clock)
        while not self._stopped:
            turns.hurry(self.pace_s)
            at, number = turns.first()
            wait_s = min(max(at - self._clock.mono_ms(), 0) / 1000, LONGEST_WAIT_S)
            self._promise(wait_s)
            self._clock.wait(self._wake, wait_s)
            self._wake.clear()
            self._orders(at)
            began_ms = self._clock.mono_ms()
            if self._stopped or began_ms < at:
                continue
            sensor = self._sensors[number]
            self._put(reading := self.poll(sensor))
            self.brought |= bool(reading.values)
            turns.asked(number)
            try:
                self._exchange.hear_out()  # how late an answer is shows only while it comes
            except PortLost as error:  # the next poll says so
                self.close()
                self._why_lost = error
            turns.taken(number, began_ms)

    def close(self) -> None:
        """Let go of the port. May be called twice."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def poll(self, sensor: Sensor) -> Reading:
        """Ask one sensor and return its reading: values, or reasons where it has none. Raises Stopped."""
        terms, health = self._terms(sensor), self._health[sensor.table.channel]
        self._promise(terms.budget_s)
        health.asked()
        try:
            self._opened()
            reading = self._reading(sensor, self._heard(sensor, terms))
        except (Stopped, KeyboardInterrupt):  # the latter only where a person asks, `gocche read`
            raise
        except PortLost as error:
            return self._lost(sensor, error)
        except BadReply as error:
            return self._failed(sensor, error.reason, f"{error.kind}: {error}{self._late(terms)}")
        except BaseException as error:  # noqa: BLE001 - the runner's one catch-all; even SystemExit is no thread's end
            return self._failed(sensor, Reason.FAULTY, f"faulty: {type(error).__name__}: {error}", error)
        reasons = set(reading.reasons.values()) - {Reason.WARMING_UP}
        if Reason.WRONG_DEVICE in reasons or (reasons and not reading.values):
            return self._doubtful(sensor, reading)
        health.well(reading.mono_ms)
        return reading

    # --- inside

    def _promise(self, seconds: float) -> None:
        """Promise to be done in that time and what an order takes: one may be begun at its very end."""
        self.ends_ms = self._clock.mono_ms() + round(1000 * (seconds + self._order_s + SLACK_S)) + LONGEST_OWED_MS

    def _terms(self, sensor: Sensor) -> Terms:
        channel = sensor.table.channel
        return (self._given if self._health[channel].failures < FAILURES_BEFORE_REST else self._resting)[channel]

    def _orders(self, due_ms: int) -> None:
        """Carry out orders until a poll is due, one at least; without a line they are refused: nobody can wait for one.

        An order to a dead siren takes seconds; given again and again it would silence all who are asked.
        """
        if self._line is None:
            self._exchange.orders.refuse(PortLost(str(self._why_lost) or "the port is not open yet"))
        while self._line is not None:
            self._promise(0)
            if not self._exchange.serve():
                break
            if self._clock.mono_ms() >= due_ms:
                self._wake.set()  # for those that still wait
                break

    def _opened(self) -> None:
        if self._line is not None:
            return
        now = self._clock.mono_ms()
        if now < self._reopen_ms:
            raise PortLost(self._why_lost, self._why_lost.reason)
        self._reopen_ms = now + round(1000 * random.uniform(0.2, self._reopen_s))
        self._reopen_s = min(self._reopen_s * 2, LONGEST_REOPEN_S)
        self._line = self._open()
        self._line.drain()  # some adapters emit rubbish when opened
        self._exchange.attach(self._line)
        self._opened_ms, self._reopen_s = now, 1.0

    def _heard(self, sensor: Sensor, terms: Terms) -> Heard:
        try:
            return self._exchange.run(sensor.driver.poll(sensor.config), terms)
        finally:
            self._health[sensor.table.channel].stumbled(self._exchange.faults)

    def _lost(self, sensor: Sensor, error: PortLost) -> Reading:
        self.close()
        self._why_lost = error
        reading = self._failed(sensor, error.reason, str(error))
        health = self._health[sensor.table.channel]
        health.failures = min(health.failures, FAILURES_BEFORE_REST)  # a returned port is to be noticed soon
        return reading

    def _doubtful(self, sensor: Sensor, reading: Reading) -> Reading:
        """Return the reading of a device that answers and is not to be taken for well: no value, or another model's.

        It is asked as often as before, and again with all its tries: nothing is wrong with the talk.
        """
        reasons = ", ".join(sorted({Reason(reason).name.lower() for reason in reading.reasons.values()}))
        words, reason, how = f"{NO_VALUE}: {reasons}", "no_value", "answers without a value"
        if reading.values:
            wrong = sorted(name for name, why in reading.reasons.items() if why == Reason.WRONG_DEVICE)
            words, reason, how = f"implausible: {', '.join(wrong)}", "wrong_device", "answers like another model"
        health = self._health[sensor.table.channel]
        health.failed(words, reading.mono_ms, reason, how=how)
        health.failures = 0
        return reading

    def _failed(self, sensor: Sensor, reason: Reason, words: str, error: BaseException | None = None) -> Reading:
        """Return the reading of a poll that brought nothing."""
        channel, now = sensor.table.channel, self._clock.mono_ms()
        self._warmup[channel].silent |= reason in _UNHEARD
        self._health[channel].failed(words, now, reason.name.lower(), stumbled=error)
        return Reading(channel, now, {}, dict.fromkeys(sensor.quantities.values(), int(reason)))

    def _late(self, terms: Terms) -> str:
        late_s = self._exchange.known.late_ms(terms.device) / 1000
        if late_s <= terms.timeout_s:
            return ""
        return f"; an answer came {late_s:.2f} s after its question: set timeout_s above that"

    def _reading(self, sensor: Sensor, heard: Heard) -> Reading:
        scaled: dict[str, int] = {}
        reasons: dict[str, int] = {}
        raw: dict[str, int] = {}
        warmup = self._warmup[sensor.table.channel]
        warming = warmup.lasts(heard, self._opened_ms)
        for value in heard.values:
            name = sensor.quantities.get(value.name)
            if isinstance(value.value, str):
                self._text(sensor, value, heard)
            elif name is None or name in scaled or name in reasons:
                continue  # not mapped, or said before
            elif warming:
                reasons[name] = Reason.WARMING_UP
            elif value.value is not None and value.reason is None and _means(value.value, name, warmup):
                scaled[name] = QUANTITIES[name].scale(value.value)
            else:
                nothing = value.value is None
                reasons[name] = Reason(value.reason or (Reason.NOT_REPORTED if nothing else Reason.OUT_OF_RANGE))
                self._keep_raw(sensor, name, value.raw if nothing else value.value, raw)
        for name in (one for one in sensor.quantities.values() if one not in scaled):
            reasons.setdefault(name, Reason.NOT_REPORTED)
        return Reading(sensor.table.channel, heard.mono_ms, scaled, reasons, raw)

    def _keep_raw(self, sensor: Sensor, quantity: str, number: float | None, raw: dict[str, int]) -> None:
        """Keep what the device said beside its reason; what no integer of the wire can say is only counted."""
        if number is None:
            return
        try:
            raw[quantity] = QUANTITIES[quantity].scale(number)
        except ValueError:
            self._health[sensor.table.channel].stumbled(["unrepresentable"])

    def _text(self, sensor: Sensor, value: Value, heard: Heard) -> None:
        text = str(value.value)
        self._health[sensor.table.channel].text(value.name, text)
        if value.name == "time":
            anchor = device_date(text, heard.mono_ms if value.heard_ms is None else value.heard_ms, Source.GNSS)
            if anchor is not None:
                self._put(anchor)


class _Warmup:
    """How long a device's values are not trusted: from the port's opening, and from when it is heard again.

    One that was not may have had no power; a smoke sensor says zeros until its fan has spun up. Zeros that stay beyond
    that are no values either: a plug that is loose again and again, a dead laser. No air is without a particle.
    """

    def __init__(self, habits: Habits) -> None:
        self._lasts_ms, self._asleep = round(1000 * habits.warmup_s), frozenset(habits.asleep)
        self._heard_ms = 0
        self.silent = self.sleeps = False

    def lasts(self, heard: Heard, opened_ms: int) -> bool:
        """Tell whether it is not over yet for what is heard now."""
        sleeps = bool(self._asleep) and not any(one.value for one in heard.values if one.name in self._asleep)
        if self.silent or (sleeps and not self.sleeps):
            self._heard_ms = heard.mono_ms
        self.silent, self.sleeps = False, sleeps
        return heard.mono_ms - max(opened_ms, self._heard_ms) < self._lasts_ms


def _means(number: float, quantity: str, warmup: _Warmup) -> bool:
    """Tell whether this quantity can have such a number, and this device now."""
    return QUANTITIES[quantity].plausible(number) and not (warmup.sleeps and number == 0)


def _given(bus: Bus, sensor: Sensor, retries: int) -> Terms:
    habits = sensor.habits
    return Terms(
        device=sensor.table.channel,
        timeout_s=habits.timeout_s,
        retries=retries,
        budget_s=max((LATE + 2) * habits.timeout_s, min(sensor.table.every_s, LONGEST_BUDGET_S)),
        settle_ms=habits.settle_ms if bus.settle_ms is None else bus.settle_ms,
    )
