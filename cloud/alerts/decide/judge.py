"""Readings to incidents: each reading once, by its own time, whatever order it arrives in.

A reading younger than 15 min joins the series' live lane, an older one its late lane, which opens *late* incidents and
wakes nobody. A batch is judged in one transaction: processed ranges, states, incidents, events and messages.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from cloud.alerts.decide.back import back_to, newest_of
from cloud.alerts.decide.compare import View
from cloud.alerts.decide.evidence import runs, unpacked
from cloud.alerts.decide.pace import pace_ms, patience_with, with_pace, with_paces
from cloud.alerts.decide.reconcile import Case, Reconciler
from cloud.alerts.decide.sums import Sums
from cloud.alerts.spans import BAD, GOOD, Lane, Tracker, add, marks, ordered, passed, settle
from wire.codec import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.alerts.decide.baselines import Baselines
    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.detection import Detection
    from cloud.alerts.decide.evidence import Evidence
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.decide.sensors import Sensors
    from cloud.alerts.decide.series import Series
    from cloud.alerts.decide.witness import Witness
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.rules.baseline import RULE as Baseline  # noqa: N811 - a class
    from cloud.alerts.spans import Patience, Point
    from cloud.store.intervals import Intervals
    from wire.excerpt import Excerpt, Stretch

LOG = logging.getLogger(__name__)
_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError)  # of a rule
GUESSED_MS = 5_000  # what is dated by its arrival is never newer than now, but for a clock that is put right
_VALUES = 4_096  # of which a rule remembers how it marks them


class _Calm(dict[float, bool]):
    """Whether no rule of a quantity calls a value bad, of values that came before: looked up at C speed."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, value: float) -> bool:
        calm = all(rule.window_ms or rule.mark(value) != BAD for rule in self._rules)  # a total says nothing yet
        if len(self) < _VALUES:
            self[value] = calm
        return calm


class Judge:
    """Runs the rules that follow a quantity."""

    def __init__(
        self,
        rules: Sequence[Rule],
        journal: Journal,
        progress: Progress,
        desk: Desk,
        sensors: Sensors,
        late_ms: int,
        witness: Witness,
        baselines: Baselines,
        detections: Sequence[Detection] = (),
    ) -> None:
        self._followers: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            if rule.quantity and rule.silence.of != "sensor" and rule.kind != "detect":  # to these no value is bad
                self._followers[rule.quantity].append(rule)
        self._mark = {rule.name: lru_cache(_VALUES)(rule.mark) for rule in rules}
        self._detections, self._witness, self._baselines = detections, witness, baselines
        self._noted = {rule.quantity for rule in rules}.union(*(one.notes for one in detections))
        self._waits = any(rule.silence.of in ("gateway", "way_out") for rule in rules)  # for gateways that fall silent
        self._noted |= witness.notes if self._waits else frozenset()
        self._noted |= baselines.notes if any(rule.kind == "baseline" for rule in rules) else frozenset()
        self.followed = frozenset(self._noted.union(*(one.reads for one in detections)))
        self._calm = {quantity: _Calm(self._followers.get(quantity, ())) for quantity in self.followed}
        self._rules = {rule.name: rule for rule in rules}
        self._progress, self._desk = progress, desk
        self._reconciler = Reconciler(journal, desk)
        self._sums = Sums(rules, progress, self._reconciler, desk, self._present, late_ms)
        self._sensors = sensors
        self._late_ms = late_ms
        self.failed: Counter[str] = Counter()
        self.slow: dict[str, float] = {}  # series whose readings are further apart than their rule allows, in seconds

    def follows(self, quantity: str) -> bool:
        """Tell whether any rule needs this quantity."""
        return quantity in self.followed

    def is_calm(self, said: Excerpt) -> bool:
        """Tell, in any thread, whether no rule calls anything in it bad; what cannot be told is not calm."""
        try:
            for (_, quantity), points in said.points.items():
                calm = self._calm[quantity]
                for point in points:
                    if not calm[point[2]]:
                        return False
            for (_, quantity), stretch in said.packed.items():
                if not all(map(self._calm[quantity].__getitem__, stretch.values)):
                    return False
        except _FAULTS:
            return False
        return True

    def take_all(self, found: Iterable[Evidence], now_ms: int) -> None:
        """Judge within the caller's transaction: what one gateway has sent one after the other at once."""
        for evidence in runs(found):
            self._take(evidence, now_ms)

    def _take(self, evidence: Evidence, now_ms: int) -> None:
        key = (evidence.gateway, evidence.epoch, evidence.first, evidence.n)
        done = self._progress.processed(*key)
        if self._is_old_news(evidence, done, now_ms):
            return
        maintained, left = self._desk.registry.now.maintained, evidence.points
        for (channel, quantity), stretches in evidence.packed.items():
            simple = not done and (evidence.gateway, channel) not in maintained
            if not (simple and self._pass_by(evidence.gateway, channel, quantity, stretches, now_ms)):
                left = left | {(channel, quantity): unpacked(stretches)}
        for (channel, quantity), said in left.items():
            heard = points = ordered(said)
            if periods := maintained.get((evidence.gateway, channel)):
                points = [point for point in heard if not periods.hold(point[0])]
            for rule in self._followers.get(quantity, ()) if heard else ():
                case = Case(rule, evidence.gateway, channel, now_ms, evidence.undated, evidence.unstored)
                if rule.kind == "baseline":
                    self._level(case, points)
                elif rule.window_ms:
                    self._sum(case, heard)
                elif points:
                    self._series(case, points, done, calm=evidence.calm)
            if quantity in self._noted:
                self._sensors.note(evidence.gateway, channel, quantity, heard, now_ms)
        for detection in self._detections:
            detection.take(evidence, done, now_ms)
        if self._waits:
            self._witness.weigh(evidence, now_ms)
        self._progress.add_processed(*key, now_ms)

    def listen(self, at_ms: int, now_ms: int) -> None:
        """Look for nodes that smoke or heat has silenced, in listening time."""
        for detection in self._detections:
            detection.tick(at_ms, now_ms)

    def look_again(self, now_ms: int) -> None:
        """Open what was held back to be told with its end, but whose end did not come.

        It is never longer held back than it takes: when the server's clock was put back, it is looked at at once.
        """
        for name, gateway, channel, look_ms in self._progress.to_look_at():
            rule = self._rules.get(name)
            state = replace(self._progress.series(name, gateway, channel), look_ms=None)
            if rule is not None:
                patience = patience_with(rule.patience, state)
                if now_ms < look_ms <= now_ms + _held_ms(patience):
                    continue
                view = View(late=False, base_ms=state.live.base_ms, patience=patience, announce=True)
                if state.live.stirred:
                    self._reconciler.reconcile(Case(rule, gateway, channel, now_ms), state.live, view)
            self._progress.save_series(name, gateway, channel, state)

    def end_stale(self, now_ms: int) -> None:
        """End late incidents whose readings stop without showing an end."""
        self._reconciler.end_stale(now_ms - self._late_ms, now_ms)

    def _is_old_news(self, evidence: Evidence, done: Intervals, now_ms: int) -> bool:
        """Tell whether it is a backlog that is sent again: all of it known, and none of it young."""
        if not evidence.n or not done.covers(evidence.first, evidence.first + evidence.n):
            return False
        young_ms = now_ms - self._late_ms
        return all(utc_ms < young_ms for points in evidence.points.values() for utc_ms, *_ in points) and all(
            stretch.last_ms < young_ms for own in evidence.packed.values() for stretch in own
        )

    def _pass_by(self, gateway: str, channel: str, quantity: str, own: list[Stretch], now_ms: int) -> bool:
        """Take what is calm and comes after all that its series holds, as it is; tell whether it is so simple."""
        after: list[tuple[Rule, Series]] = []
        for rule in self._followers.get(quantity, ()):
            before = self._progress.series(rule.name, gateway, channel)
            state = None if rule.patience.only_lost or rule.window_ms else _passed(before, own, now_ms, self._late_ms)
            if state is None:
                return False
            after.append((rule, state))
        for rule, state in after:
            if state.look_ms is None and state.newest_ms == own[-1].last_ms:
                self._patience(rule, gateway, channel, state)
            self._progress.save_series(rule.name, gateway, channel, state)
        if quantity in self._noted:
            self._sensors.pass_by(gateway, channel, quantity, own, now_ms)
        return True

    def _series(self, case: Case, points: list[Point], done: Intervals, *, calm: bool) -> None:
        """Judge one series by points in order of time.

        A number that was met before is passed over where its time is old or a guess. Where its time is new, it is the
        reading of another gateway with a copied card, or the lane knows it.
        """
        rule, gateway, channel = case.rule, case.gateway, case.channel
        before = self._present(case, points)
        edge = bisect_left(points, (max(case.now_ms - self._late_ms, before.live.base_ms + 1),))
        live, late = points[edge:], points[:edge]
        if done:
            live = [point for point in live if not (case.undated and point[1] in done)]
            late = [point for point in late if point[1] not in done]
        weighs_silence = rule.silence.of == "way_out"
        try:
            seen = marks(points, self._mark[rule.name]) if weighs_silence or not calm else ()
            state = self._live(case, before, live, stirs=BAD in seen) if live else before
            state = self._late(case, state, late, stirs=BAD in seen) if late else state
            if state is before:
                return
            if weighs_silence and GOOD in seen:
                self._reconciler.weigh_silence(case, live + late)
            if BAD in seen:
                self._reconciler.weigh_unstored(case, live + late)
        except _FAULTS:
            self._fail(case)
            return
        self._progress.save_series(rule.name, gateway, channel, state)

    def _sum(self, case: Case, points: list[Point]) -> None:
        try:
            self._sums.take(case, points)
        except _FAULTS:
            self._fail(case)

    def _level(self, case: Case, points: list[Point]) -> None:
        try:
            self._baselines.take(case, cast("Baseline", case.rule), points)
        except _FAULTS:
            self._fail(case)

    def _fail(self, case: Case) -> None:
        """A faulty rule costs only its own verdict."""
        self.failed[case.rule.name] += 1
        name = case.rule.name
        LOG.exception("rule-failed rule=%s gateway=%s channel=%s", name, case.gateway, case.channel)  # noqa: LOG004

    def _present(self, case: Case, points: list[Point]) -> Series:
        """Return what is known of a series; what a clock that was ahead has dated is brought before what comes now."""
        state = self._progress.series(case.rule.name, case.gateway, case.channel).unpacked()
        if newest_of(state) <= case.now_ms + (GUESSED_MS if case.undated else FUTURE_MS):
            return state
        young = bisect_left(points, (case.now_ms - self._late_ms,))
        back = back_to(min([case.now_ms, *(point[0] - 1 for point in points[young : young + 1])]), state)
        self._reconciler.bring_back(case, back, state.live.base_ms)
        return back.state(state)

    def _live(self, case: Case, state: Series, points: list[Point], *, stirs: bool) -> Series:
        lane = add(state.live, points, guessed=case.undated and not case.unstored)
        if lane is state.live:
            return state
        state = with_pace(state, points)
        patience = self._patience(case.rule, case.gateway, case.channel, state)
        lane, held = self._judged(case, lane, View(late=False, base_ms=lane.base_ms, patience=patience), stirs=stirs)
        look_ms = case.now_ms + _held_ms(patience) if held else None
        live = settle(lane, case.now_ms - self._late_ms, case.rule.mark, patience)
        return replace(state, live=live, look_ms=look_ms)

    def _late(self, case: Case, state: Series, points: list[Point], *, stirs: bool) -> Series:
        rule, lane = case.rule, state.late
        if points[0][0] <= lane.base_ms or not (lane.points or lane.base_ms):
            lane = Lane(base=Tracker(good_seen=_good_seen(rule, state.live)), stirred=False)
        lane, patience = add(lane, points), patience_with(rule.patience, state)
        lane, _ = self._judged(case, lane, View(late=True, base_ms=lane.base_ms, patience=patience), stirs=stirs)
        horizon_ms = lane.points[-1][0] - self._late_ms
        return replace(state, late=settle(lane, horizon_ms, rule.mark, patience))

    def _judged(self, case: Case, lane: Lane, view: View, *, stirs: bool) -> tuple[Lane, bool]:
        """Have the journal say what a lane says that something new has come to; tell whether it was held back.

        Where nothing in the lane is bad, as nearly always, that is nothing.
        """
        if not (stirs or lane.stirred):
            return lane, False
        lane = replace(lane, stirred=True)
        return lane, self._reconciler.reconcile(case, lane, view)

    def _patience(self, rule: Rule, gateway: str, channel: str, state: Series) -> Patience:
        """Return the rule's patience with this series, and remember where it had to be widened."""
        patience = patience_with(rule.patience, state)
        if patience is rule.patience and not self.slow:
            return patience
        name = f"{rule.name}: {gateway}/{channel}"
        if patience is rule.patience:
            self.slow.pop(name, None)
        elif name not in self.slow:
            self.slow[name] = pace_ms(state.intervals) / 1000
            LOG.warning("rule-slower-than-its-gap series=%r pace_s=%g", name, self.slow[name])
        return patience


def _held_ms(patience: Patience) -> int:
    return patience.clear_ms + patience.gap_ms


def _passed(state: Series, own: list[Stretch], now_ms: int, late_ms: int) -> Series | None:
    """Return the state after calm stretches as `Judge._series` would; None where it is not so simple."""
    live, first_ms, last_ms = state.live, own[0].first_ms, own[-1].last_ms
    if max(state.newest_ms, live.base_ms) > now_ms + FUTURE_MS:
        return None
    edge_ms = max(now_ms - late_ms, live.base_ms + 1)
    if last_ms < edge_ms:
        late = state.late
        if first_ms <= late.base_ms or not (late.points or late.packed or late.base_ms):
            late = Lane(stirred=False)
        lane = passed(late, own, last_ms - late_ms)
        return replace(state, late=lane) if lane else None
    if first_ms < edge_ms or first_ms <= state.newest_ms:
        return None
    lane = passed(live, own, now_ms - late_ms)
    return replace(with_paces(state, own), live=lane, look_ms=None) if lane else None


def _good_seen(rule: Rule, lane: Lane) -> bool:
    if not rule.patience.only_lost:
        return False  # nobody asks
    return lane.base.good_seen or any(rule.mark(value) == GOOD for _, _, value in lane.points)
