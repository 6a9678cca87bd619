"""Running totals to incidents: what fell in the window before each reading is judged like a value, by its own time.

What was read is remembered for two windows, so a sum is made anew from all that is known whenever something comes: a
backlog that fills a gap raises the sums after it, in whatever order it arrives. Late readings are judged around their
own time. A sum that is not known, because readings are missing in its window, ends nothing: it is judged only where it
is over the threshold all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.decide.compare import View
from cloud.alerts.decide.pace import patience_with, with_pace
from cloud.alerts.places import area_of, place_of
from cloud.alerts.rainfall import joined, kept, sums
from cloud.alerts.spans import BAD, Lane, settle, stirs
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.decide.reconcile import Case, Reconciler
    from cloud.alerts.decide.series import Series
    from cloud.alerts.rules import Rule
    from cloud.alerts.spans import Patience, Point
    from cloud.registry.periods import Periods

Present = Callable[["Case", list["Point"]], "Series"]


class Sums:
    """Judges series of running totals, within the caller's transaction. `present` gives what is known of one now."""

    def __init__(
        self,
        rules: Iterable[Rule],
        progress: Progress,
        reconciler: Reconciler,
        desk: Desk,
        present: Present,
        late_ms: int,
    ) -> None:
        self._named: dict[tuple[str, int], set[str]] = defaultdict(set)  # zones that have a rule of their own
        for rule in rules:
            if rule.window_ms:
                self._named[rule.quantity, rule.window_ms].update(rule.zones)
        self._progress, self._reconciler, self._desk, self._present = progress, reconciler, desk, present
        self._late_ms = late_ms

    def take(self, case: Case, points: list[Point]) -> None:
        """Judge one series by readings in order of time, those made while somebody worked at the gauge among them."""
        rule = case.rule
        if not self._applies(case):
            return
        before = self._present(case, points)
        rests = self._desk.registry.now.maintenance(case.gateway, case.channel)
        state = with_pace(before, points)
        patience = patience_with(rule.patience, state)
        runs = joined(state.runs, points, patience.gap_ms)
        if runs == state.runs:
            return
        first_ms, last_ms = points[0][0], points[-1][0]
        span_ms = 2 * rule.window_ms + self._late_ms
        keep = ((state.newest_ms - span_ms, state.newest_ms), (first_ms - span_ms, last_ms + span_ms))
        state = replace(state, runs=kept(runs, keep, state.newest_ms - self._late_ms))
        edge_ms = max(case.now_ms - self._late_ms, state.live.base_ms + 1)
        if first_ms < edge_ms:
            self._late(case, state, patience, rests, first_ms, min(edge_ms - 1, last_ms + rule.window_ms))
        self._progress.save_series(
            rule.name, case.gateway, case.channel, self._live(case, state, patience, rests, edge_ms)
        )

    def _applies(self, case: Case) -> bool:
        """Tell whether a rule holds where a gauge stands: the one that names its zone, else the one that names none."""
        rule, registry = case.rule, self._desk.registry.now
        named = self._named[rule.quantity, rule.window_ms]
        if not named:
            return True
        place = place_of(registry, case.gateway, case.channel, hanoi(case.now_ms).date())
        kind, _, code = area_of(registry, place.key, case.gateway).partition(":")
        zone = code if kind == "zone" else ""
        return zone in rule.zones if zone in named else not rule.zones

    def _live(self, case: Case, state: Series, patience: Patience, rests: Periods, edge_ms: int) -> Series:
        """Judge what lies behind the base anew, and fold what is old."""
        rule, base_ms = case.rule, state.live.base_ms
        since_ms = base_ms or edge_ms - 1
        points = self._points(case, state, patience, rests, since_ms, 2**62)
        lane = replace(state.live, points=points, base_ms=base_ms or since_ms, packed=[])
        held = False
        if lane.stirred or stirs(points, rule.mark):
            lane = replace(lane, stirred=True)
            held = self._reconciler.reconcile(case, lane, View(late=False, base_ms=lane.base_ms, patience=patience))
        look_ms = case.now_ms + patience.clear_ms + patience.gap_ms if held else None
        horizon_ms = case.now_ms - self._late_ms
        live = settle(lane, horizon_ms, rule.mark, patience)
        live = replace(live, base_ms=max(live.base_ms, horizon_ms - 1))  # sums that are not known leave no point there
        return replace(state, live=live, look_ms=look_ms)

    def _late(
        self, case: Case, state: Series, patience: Patience, rests: Periods, since_ms: int, until_ms: int
    ) -> None:
        """Judge around readings that came late, up to where their rain has left the window."""
        points = self._points(case, state, patience, rests, since_ms - 1, until_ms)
        if stirs(points, case.rule.mark):
            lane = Lane(points=points, base_ms=since_ms - 1)
            self._reconciler.reconcile(case, lane, View(late=True, base_ms=lane.base_ms, patience=patience))

    def _points(
        self, case: Case, state: Series, patience: Patience, rests: Periods, since_ms: int, until_ms: int
    ) -> list[Point]:
        rule = case.rule
        found = sums(state.runs, rule.window_ms, patience.gap_ms, rests, since_ms, until_ms)
        return [(one.at_ms, 0, one.mm) for one in found if one.known or rule.mark(one.mm) == BAD]
