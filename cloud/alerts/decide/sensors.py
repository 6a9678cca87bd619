"""Sensors that bring nothing, or always the same, while their gateway lives; and open incidents that nobody sees.

A sensor that dies guards no longer, which is an incident of its own. Where one falls silent while its incident is open
(a sensor that burns does), the people who were told of the incident are told that too, and in the end that nobody will
know how it ended. All silence is counted in listening time.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.decide.evidence import unpacked
from cloud.alerts.decide.pace import KEPT, WIDER, pace_ms, patient_ms
from cloud.alerts.decide.progress import Sensor
from cloud.alerts.incident import Basis, Change, Incident, span_of
from cloud.alerts.spans import VALUE, Span
from wire.codec import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.spans import Point
    from wire.excerpt import Stretch

LOG = logging.getLogger(__name__)
UNBROKEN_MS = 1_800_000  # pauses below this do not interrupt a sensor, where no rule says otherwise


class Sensors:
    """Judges sensors, within the caller's transaction. `at_ms` is listening time, `now_ms` UTC."""

    def __init__(
        self,
        rules: Sequence[Rule],
        journal: Journal,
        progress: Progress,
        desk: Desk,
        late_ms: int,
        noted: Callable[[str, str, str, list[Point]], None],
    ) -> None:
        self._guards: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            if rule.silence.of == "sensor":
                self._guards[rule.quantity].append(rule)
        self._by_name = {rule.name: rule for rule in rules}
        of_incidents = [rule.silence.after_ms for rule in rules if rule.silence.of == "incident"]
        self._shortest_ms = min(of_incidents, default=0)  # nothing is told as unseen before
        self._journal, self._progress, self._desk = journal, progress, desk
        self._late_ms, self._noted = late_ms, noted
        self.slow: dict[str, float] = {}  # sensors that come less often than their rule allows, in seconds

    def pass_by(self, gateway: str, channel: str, quantity: str, stretches: list[Stretch], now_ms: int) -> None:
        """Note what a channel brought; of a sensor that is known nothing that is old."""
        before = self._progress.sensor(gateway, channel, quantity)
        known = before is not None and before.value_ms <= now_ms + FUTURE_MS
        young = stretches[-1].last_ms >= now_ms - self._late_ms
        if not known or young:
            self.note(gateway, channel, quantity, unpacked(stretches) if young else [], now_ms)

    def note(self, gateway: str, channel: str, quantity: str, points: list[Point], now_ms: int) -> None:
        """Note what a channel brought, in order of time; nothing where it answered without a value of this quantity."""
        at_ms = self._progress.listened_ms()
        before = self._progress.sensor(gateway, channel, quantity)
        if before is None or before.value_ms > now_ms + FUTURE_MS:  # new, or dated by a clock that was ahead
            before = Sensor(gateway, channel, quantity, 0, None, now_ms, now_ms, at_ms, at_ms)
            self._progress.save_sensor(before)
            if self._guards[quantity]:
                self._progress.urge()  # which of them are dead is asked of what is written
        since_ms = max(now_ms - self._late_ms, before.value_ms + 1)
        before = self._with_late(before, [point for point in points if point[0] < since_ms])
        if not points or points[-1][0] < since_ms:
            return
        fresh = points[bisect_left(points, (since_ms,)) :]
        if fresh[-1][0] > now_ms + FUTURE_MS:
            fresh = [point for point in fresh if point[0] <= now_ms + FUTURE_MS]
        if not fresh:
            return
        after = self._with(before, fresh, at_ms)
        self._progress.save_sensor(after)
        self._noted(gateway, channel, quantity, fresh)
        for rule in self._guards[quantity] if not self._desk.rests(gateway, channel, now_ms) else ():
            self._judge(rule, after, now_ms)
        if at_ms - before.heard_at >= self._shortest_ms:
            for incident in self._journal.unseen(gateway, channel, quantity):
                self._desk.note(replace(incident, silent_ms=None), "seen", "its sensor brings values again", now_ms)

    def tick(self, at_ms: int, now_ms: int, unbroken_ms: int) -> None:
        """Open what is dead; tell what cannot be seen any more; end what nobody will ever know of."""
        for quantity, rules in self._guards.items():
            for rule in rules:
                told = self._journal.open_keys(rule.name)
                for sensor in self._progress.dead(quantity, at_ms, rule.silence.after_ms, unbroken_ms):
                    patience_ms = patient_ms(rule.silence.after_ms, sensor)
                    overdue = at_ms - sensor.heard_at >= patience_ms
                    overdue &= not self._desk.rests(sensor.gateway, sensor.channel, now_ms, patience_ms)
                    if overdue and (sensor.gateway, sensor.channel) not in told:
                        since_ms = sensor.value_ms or sensor.changed_ms
                        words = f"no value for {(at_ms - sensor.heard_at) / 1000:g} s of listening; its gateway lives"
                        self._open(rule, sensor, "dead", since_ms, words, now_ms)
        for incident in self._journal.open_measured():
            self._look_for(incident, at_ms, now_ms)

    def _with_late(self, sensor: Sensor, points: list[Point]) -> Sensor:
        """Return the sensor after what came late: that it said something else shows that it is not stuck.

        A siren may have been tested while its gateway had no link.
        """
        if not any(rule.silence.stuck_ms for rule in self._guards[sensor.quantity]):
            return sensor
        others = [ms for ms, _, value in points if ms > sensor.changed_ms and value != sensor.value]
        if sensor.value is None or not others:
            return sensor
        moved = replace(sensor, changed_ms=max(others))
        self._progress.save_sensor(moved)
        return moved

    def _with(self, sensor: Sensor, points: list[Point], at_ms: int) -> Sensor:
        """Return the sensor after new values in order of time."""
        guards, pace = self._guards[sensor.quantity], at_ms - sensor.heard_at
        pause_ms = min([patient_ms(rule.silence.after_ms, sensor) for rule in guards], default=UNBROKEN_MS)
        back = pace >= pause_ms or sensor.value is None
        changed_ms = sensor.changed_ms
        numbers: list[float | None] = list(map(VALUE, points))
        unknown = points[0][0] - sensor.value_ms > pause_ms  # nobody knows what it was in between
        if unknown or numbers.count(sensor.value) < len(numbers):
            back |= self._is_stuck(sensor.quantity, sensor.value_ms - changed_ms)
            others = (at for at in range(len(numbers), 0, -1) if numbers[at - 1] != numbers[-1])
            changed_ms = points[next(others, 0)][0]
        intervals = [*sensor.intervals, *([pace] if pace and sensor.value_ms else [])][-KEPT:]
        back_ms, back_at = (points[0][0], at_ms) if back else (sensor.back_ms, sensor.back_at)
        return Sensor(
            sensor.gateway,
            sensor.channel,
            sensor.quantity,
            value_ms=points[-1][0],
            value=numbers[-1],
            changed_ms=changed_ms,
            back_ms=back_ms,
            heard_at=at_ms,
            back_at=back_at,
            intervals=intervals,
        )

    def _is_stuck(self, quantity: str, same_ms: int) -> bool:
        return any(0 < rule.silence.stuck_ms <= same_ms for rule in self._guards[quantity])

    def _judge(self, rule: Rule, sensor: Sensor, now_ms: int) -> None:
        self._measure(rule, sensor)
        same_ms = sensor.value_ms - sensor.changed_ms
        stuck = 0 < rule.silence.stuck_ms <= same_ms
        known = [i for i in self._journal.known(rule.name, sensor.gateway, sensor.channel, now_ms) if i.open]
        if stuck and not known:
            self._open(rule, sensor, "stuck", sensor.changed_ms, f"the same value for {same_ms / 1000:g} s", now_ms)
        elif not stuck and sensor.heard_at - sensor.back_at >= rule.patience.clear_ms:
            for incident in known:
                span = replace(span_of(incident), until_ms=sensor.back_ms, ended_ms=now_ms)
                words = "it brings values again" if incident.basis == "dead" else "its values change again"
                self._desk.write(Change("ended", span, incident.id, words, "end", incident.basis), incident, now_ms)

    def _measure(self, rule: Rule, sensor: Sensor) -> None:
        pace = pace_ms(sensor.intervals)
        if pace <= rule.silence.after_ms and not self.slow:
            return
        name = f"{rule.name}: {sensor.gateway}/{sensor.channel}"
        if pace <= rule.silence.after_ms:
            self.slow.pop(name, None)
        elif name not in self.slow:
            self.slow[name] = pace / 1000
            LOG.warning("rule-slower-than-its-sensor sensor=%r pace_s=%g", name, self.slow[name])

    def _open(self, rule: Rule, sensor: Sensor, basis: Basis, since_ms: int, words: str, now_ms: int) -> None:
        incident = self._desk.draft(rule, sensor.gateway, sensor.channel, since_ms, now_ms)
        span = Span(
            since_ms=since_ms,
            opened_ms=now_ms,
            until_ms=None,
            ended_ms=None,
            bad_ms=now_ms,
            value=sensor.value,
            peak=None,
        )
        self._desk.write(Change("opened", span, words=words, tell="onset", basis=basis), incident, now_ms)

    def _look_for(self, incident: Incident, at_ms: int, now_ms: int) -> None:
        rule = self._by_name.get(incident.rule)
        if rule is None:
            self._desk.lose(incident, now_ms, "its rule does not stand in cloud.toml any more")
            return
        key = (incident.gateway, incident.channel, incident.quantity)
        sensor = self._progress.sensor(*key)
        if sensor is None:
            self._progress.save_sensor(Sensor(*key, incident.bad_ms, incident.value, now_ms, now_ms, at_ms, at_ms))
            return
        silent_ms = at_ms - sensor.heard_at
        slow_ms = round(WIDER * pace_ms(sensor.intervals))
        if silent_ms >= rule.silence.forget_ms:
            self._desk.lose(incident, now_ms)
            if incident.basis == "dead":
                self._progress.forget_sensor(*key)
        elif (
            rule.silence.of == "incident"
            and silent_ms >= max(rule.silence.after_ms, slow_ms)
            and incident.silent_ms is None
            and not self._desk.rests(incident.gateway, incident.channel, now_ms, rule.silence.after_ms)
        ):
            self._desk.fell_silent(incident, max(sensor.value_ms, incident.bad_ms), now_ms)
