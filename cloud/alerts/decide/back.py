"""What a clock that was ahead has dated, brought to now: what burns goes on, and hides nothing that comes. Pure.

A server woke with the time of hours ahead (its battery clock held the time of Vietnam for UTC, say) and was put right.
What it dated meanwhile lies in its future, and everything new before that. By how much it was ahead nobody knows any
more, but the newest of a series came just now, and the rest as long before as its dates are apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

if TYPE_CHECKING:
    from cloud.alerts.decide.series import Series
    from cloud.alerts.incident import Incident
    from cloud.alerts.spans import Lane, Tracker


class Back(msgspec.Struct, frozen=True):
    """By how much the clock was ahead, and since when: what it dated may lie in the past too, but not before that.

    It is where else it would lie among what is brought back: then all of it keeps its distance in time.
    """

    by_ms: int
    since_ms: int

    def at(self, utc_ms: int) -> int:
        """Return a time as it would have been dated by the clock of now; what was dated before stays."""
        return utc_ms if utc_ms < self.since_ms else utc_ms - self.by_ms

    def state(self, state: Series) -> Series:
        """Return a series, all of it in points, at its times of now."""
        lane, base_ms = state.live, self.at(state.live.base_ms)
        points = sorted((max(self.at(ms), base_ms + 1), seq, value) for ms, seq, value in lane.points)
        live = replace(lane, base=self._tracker(lane, base_ms), base_ms=base_ms, points=points)
        runs = sorted(
            (replace(run, first_ms=self.at(run.first_ms), last_ms=self.at(run.last_ms)) for run in state.runs),
            key=lambda run: run.first_ms,
        )
        return replace(state, live=live, newest_ms=self.at(state.newest_ms), runs=runs)

    def incident(self, incident: Incident) -> Incident:
        """Return an incident at its times of now."""
        since_ms, ended_ms, until_ms = self.at(incident.since_ms), incident.ended_ms, incident.until_ms
        return replace(
            incident,
            since_ms=since_ms,
            opened_ms=max(since_ms, self.at(incident.opened_ms)),
            bad_ms=max(since_ms, self.at(incident.bad_ms)),
            until_ms=None if until_ms is None else max(since_ms, self.at(until_ms)),
            ended_ms=None if ended_ms is None else max(since_ms, self.at(ended_ms)),
        )

    def _tracker(self, lane: Lane, base_ms: int) -> Tracker:
        base = lane.base
        return replace(
            base,
            since_ms=min(base_ms, self.at(base.since_ms)),
            opened_ms=min(base_ms, self.at(base.opened_ms)),
            fall_ms=min(base_ms, self.at(base.fall_ms)),
            last_ms=min(base_ms, self.at(base.last_ms)),
            bad_ms=min(base_ms, self.at(base.bad_ms)),
        )


def back_to(now_ms: int, state: Series) -> Back:
    """Return how what a series holds comes to end just before what comes now."""
    by_ms = newest_of(state) - now_ms
    held = [state.live.base_ms, *(point[0] for point in state.live.points)]
    return Back(by_ms, min([now_ms + 1, *(ms - by_ms for ms in held if ms > now_ms)]))


def newest_of(state: Series) -> int:
    """Return the newest date that a series holds."""
    lane = state.live
    return max(state.newest_ms, lane.base_ms, lane.points[-1][0] if lane.points else 0)
