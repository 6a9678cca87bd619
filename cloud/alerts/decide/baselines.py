"""Levels of fixed modems to incidents: each hour, once it is over, against what is usual there (cloud/alerts/usual.py).

Readings of an hour are gathered in memory and become one number when a later hour has begun; a restart costs that hour
at most, which is then as one without readings. Hours that were known as they passed are one course, and what it
shows is told; hours of a backlog are history, which may show what was and wakes nobody. The history of a modem begins
with its binding: what is usual elsewhere says nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.causes import Cause, Reason, told, written
from cloud.alerts.decide.compare import View
from cloud.alerts.decide.reconcile import Reconciler
from cloud.alerts.spans import Lane, stirs
from cloud.alerts.usual import ENOUGH, KEPT_H, Hour, hour_of, joined, judged, usual
from cloud.clock import HOUR_MS, hanoi, midnight_ms
from wire.codec import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.decide.reconcile import Case
    from cloud.alerts.decide.series import Series
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules.baseline import RULE
    from cloud.alerts.spans import Point

LIVE_MS = 3 * HOUR_MS  # an hour that is known later is history
SETTLED_MS = 30_000  # since something was added to an hour: a backlog comes in pieces
NAMED = ("radio", "cell")  # what else may have changed: another network or mast is another level
_Key = tuple[str, str, str]


class Baselines:
    """Judges levels, within the caller's transaction."""

    notes = frozenset(NAMED)

    def __init__(self, journal: Journal, progress: Progress, desk: Desk) -> None:
        self._journal, self._progress, self._desk = journal, progress, desk
        self._reconciler = Reconciler(journal, desk)
        self._gathered: dict[_Key, dict[int, dict[Point, None]]] = defaultdict(dict)
        self._added_ms: dict[tuple[_Key, int], int] = {}

    def take(self, case: Case, rule: RULE, points: Sequence[Point]) -> None:
        """Gather readings in order of time, and judge the hours that are over by them."""
        if not points:  # all of it made under maintenance
            return
        key = (rule.name, case.gateway, case.channel)
        gathered = self._gathered[key]
        state = self._progress.series(*key).unpacked()
        newest = state.hours[-1].at if state.hours else -1
        known = {one.at for one in state.hours} if hour_of(points[0][0]) <= newest else set()  # hardly ever
        for point in points:
            at = hour_of(point[0])
            if at not in known and point[0] <= case.now_ms + FUTURE_MS:
                gathered.setdefault(at, {})[point] = None
                self._added_ms[key, at] = case.now_ms
        over = [at for at in sorted(gathered)[:-1] if abs(case.now_ms - self._added_ms[key, at]) >= SETTLED_MS]
        if not over:
            return
        state = self._with(case, rule, state, {at: gathered.pop(at) for at in over})
        for at in over:
            del self._added_ms[key, at]
        self._progress.save_series(*key, state)

    def _with(self, case: Case, rule: RULE, state: Series, over: dict[int, dict[Point, None]]) -> Series:
        hours, since = self._since_bound(case, state.hours)
        new: list[Hour] = []
        for at, points in sorted(over.items()):
            if len(points) < ENOUGH or at < since:
                continue
            level = median(value for _, _, value in points)
            live = case.now_ms - (at + 1) * HOUR_MS <= LIVE_MS
            new.append(judged([*hours, *new], at, level, rule.terms, live=live))
        hours = joined(hours, new, rule.terms.days)
        for live in {one.live for one in new}:
            self._judge(case, rule, [one for one in hours if one.live == live], new, live=live)
        return replace(state, hours=hours)

    def _since_bound(self, case: Case, hours: list[Hour]) -> tuple[list[Hour], int]:
        """Return the hours since the channel hangs where it does, and the first of them that there can be.

        None that is still to come: beside one that a clock weeks ahead has left, all of now would be too old.
        """
        bound = self._desk.registry.now.places_of(case.gateway, case.channel, hanoi(case.now_ms).date())
        since = max((hour_of(midnight_ms(one.valid_from)) for one in bound), default=0)
        return [one for one in hours if since <= one.at <= hour_of(case.now_ms + FUTURE_MS)], since

    def _judge(self, case: Case, rule: RULE, course: list[Hour], new: list[Hour], *, live: bool) -> None:
        """Make the journal say what a course of hours says; of late hours, around those that are new."""
        first = min(one.at for one in new if one.live == live)
        edge = (course[-1].at if live else first) - KEPT_H
        points = [(one.end_ms, 0, one.worse) for one in course if one.worse is not None and one.at >= edge]
        if not points or not stirs(points, rule.mark):
            return
        lane = Lane(points=points, base_ms=points[0][0] - 1)
        self._reconciler.reconcile(case, lane, View(late=not live, base_ms=lane.base_ms, patience=rule.patience))
        self._name(case, rule, course)

    def _name(self, case: Case, rule: RULE, course: list[Hour]) -> None:
        """Write into what has just begun what was usual, what it is now, and what else has changed there."""
        for one in self._journal.known(rule.name, case.gateway, case.channel, case.now_ms):
            if one.cause or not one.open:
                continue
            last = course[-1]
            reasons = []
            if found := usual(course, last.at, rule.terms):
                reasons.append(Reason("usual", last.end_ms, last.level, round(found[0], 1)))
            for quantity in NAMED:
                sensor = self._progress.sensor(case.gateway, case.channel, quantity)
                if sensor and sensor.value is not None and sensor.changed_ms >= one.since_ms - 2 * HOUR_MS:
                    reasons.append(Reason(quantity, sensor.changed_ms, sensor.value))
            cause = written(Cause(tuple(reasons)))
            self._desk.note(replace(one, cause=cause), "cause", told(cause, "en"), case.now_ms, vi=told(cause, "vi"))
