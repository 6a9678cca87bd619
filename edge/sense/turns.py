"""Whose turn it is on one bus: each channel on its own grid, those that are dead ever more seldom and last.

One that does not answer costs all others the time of waiting for it. So how often it is asked is bounded by what all
that are dead cost together; and until that is known, of each that failed the others have as long to themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.sense.terms import LATE

if TYPE_CHECKING:
    from edge.config import Sensor
    from edge.sense.health import Health
    from edge.sense.terms import Timer

FAILURES_BEFORE_REST = 3
FIRST_MS = 20_000  # before what is asked seldom is asked at all: a restart loop must not ask it each time
WALKED = frozenset({"registration", "lat"})  # what a walking survey needs: a modem and a place
LONGEST_REST_S = 300.0
MOST_DOUBLINGS = 4  # of a dead device's interval; more only where all that are dead would still take …
DEAD_SHARE = 20  # … together one part in so many of the time of a bus that others hang on


class Turns:
    """When each sensor of a bus is due. Belongs to the thread of its bus."""

    def __init__(self, sensors: list[Sensor], health: dict[str, Health], clock: Timer) -> None:
        self._sensors, self._clock = sensors, clock
        self._health = [health[sensor.table.channel] for sensor in sensors]
        self._seldom_ms = [round(1000 * sensor.habits.seldom_s) for sensor in sensors]
        self._walks = [not WALKED.isdisjoint(sensor.quantities.values()) for sensor in sensors]
        self._pace_s: float | None = None
        now = clock.mono_ms()
        self._due = [now + (FIRST_MS if self._seldom_ms[number] else number) for number in range(len(sensors))]
        self._spared_ms = 0

    def hurry(self, pace_s: float | None) -> None:
        """Ask those that a walk needs so often, and none that takes long, until None is said."""
        if pace_s == self._pace_s:
            return
        self._pace_s = pace_s
        now = self._clock.mono_ms()
        self._due = [min(at, now) if pace_s and walks else at for at, walks in zip(self._due, self._walks, strict=True)]

    def first(self) -> tuple[int, int]:
        """Return when whose turn is next.

        Who did not answer last waits as long as the last such cost the others. So when half a line dies, the other
        half need not wait until it is known who is dead.
        """
        fails = [one.failures > 0 for one in self._health]
        spared_ms = 0 if all(fails) else self._spared_ms
        ats = zip(self._due, fails, strict=True)
        waits = any(self._walks) and self._pace_s is not None
        turns = (
            (max(at, spared_ms) if ill else at, at, number)
            for number, (at, ill) in enumerate(ats)
            if not (waits and self._seldom_ms[number])
        )
        first, _, number = min(turns)
        return first, number

    def taken(self, number: int, began_ms: int) -> None:
        """It was asked then, and all that it may still say was heard out."""
        if self._health[number].failures:
            now = self._clock.mono_ms()
            self._spared_ms = now + (now - began_ms)

    def asked(self, number: int) -> None:
        """Set when to ask it again: on the channel's own grid, more seldom while the device is dead."""
        at, step = self._due[number], self._step_ms(number)
        rest = max(self._health[number].failures - FAILURES_BEFORE_REST, 0)
        if rest:  # from now, not from when it was due: so others have their turns between those that are dead
            step, at = _rested(step, rest, self._dead_s()), self._clock.mono_ms()
        late = self._clock.mono_ms() - at
        self._due[number] = at + step * (1 + max(late, 0) // step)

    def _step_ms(self, number: int) -> int:
        """Return how often it is asked; one that is asked seldom and failed is asked again before its day is over."""
        step_ms, seldom_ms = round(self._sensors[number].table.every_s * 1000), self._seldom_ms[number]
        if self._pace_s is not None and self._walks[number]:
            return min(step_ms, round(1000 * self._pace_s))
        return seldom_ms if seldom_ms and self._health[number].failures else max(step_ms, seldom_ms)

    def _dead_s(self) -> float:
        """Return how long the bus waits for nothing while all that are dead are asked once; 0 where nobody waits."""
        both = zip(self._sensors, self._health, strict=True)
        dead = (one for one, health in both if health.failures >= FAILURES_BEFORE_REST)
        return sum(LATE * one.habits.timeout_s for one in dead) if len(self._sensors) > 1 else 0.0


def _rested(step: int, rest: int, costs_s: float) -> int:
    """Return the step (ms) of a device that is dead for `rest` polls; all such cost their bus so long a round."""
    longest = round(1000 * max(LONGEST_REST_S, 2 * costs_s))
    most = min(max(step << MOST_DOUBLINGS, round(1000 * DEAD_SHARE * costs_s)), longest)
    return max(min(step << min(rest, 16), most), step)
