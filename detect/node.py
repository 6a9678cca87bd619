"""One node, sample by sample: which minutes have evidence, how many of them make a claim, and what silence means.

Smoke is claimed from PM2.5 *and* CO alone; heat from 60 °C on; silence where smoke or heat went before. A minute in
which both are evidence counts whole, one with PM2.5 alone half, and only without fog; minutes are counted n of m, never
in a row, because a plume comes and goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from detect.channel import CO, HEAT, PM, Channel, judged, told
from detect.claim import AT_NODE, HEAT_RADIUS_M, NONE, PLUME, SUSPECTED, WATCH, Claim, Reason, radius_m
from detect.judgement import clear_air, faults, has_power, heard_ms, judge
from detect.limits import LIMITS, MINUTE_MS, Limits, at_danger
from detect.state import HALF, WHOLE, Minute, Neighbour, Node, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST_PAUSE = 10  # minutes that one sample may stand for
_END_OF_SCALE = 500.0  # µg/m³: from here on a sensor of PM2.5 may say the same because it knows no more


def step(
    state: Node, sample: Sample, neighbours: Iterable[Neighbour] = (), danger: int | None = None
) -> tuple[Node, Claim]:
    """Return the node and what is claimed of it after a sample; `danger` is the level I-V (1-5), None if unknown.

    A sample that is older than the newest one changes nothing, but for a channel that another has just overtaken.
    """
    limits = at_danger(danger)
    behind_ms = state.said_ms - sample.utc_ms
    if behind_ms > 0 and (behind_ms > limits.order_ms or not _is_next(state, sample)):
        return state, state.claim
    now_ms = max(sample.utc_ms, state.said_ms)
    near = [one for one in neighbours if abs(now_ms - one.utc_ms) <= limits.fresh_ms]
    after = _heard(state, sample, near, limits)
    if sample.pm2_5 is not None or sample.co is not None:
        after = _counted(after, limits)
    after = _claimed(after, near, danger, limits, None)  # who speaks is not silent, whichever channel comes first
    return after, after.claim


def silent(state: Node, now_ms: int, *, after_ms: int | None = None, danger: int | None = None) -> tuple[Node, Claim]:
    """Return the node and what is claimed of it when nothing came until `now_ms`.

    After `after_ms` (5 minutes) without a value of its smoke sensors it is silent: a fault, and *probable* where smoke
    or heat went before within an hour. Until then nothing changes. One that speaks rarely is given longer.
    """
    limits = at_danger(danger)
    after_ms = max(after_ms or 0, limits.silent_ms, round(limits.patience * state.pace_ms))
    last_ms = heard_ms(state)
    if now_ms <= state.now_ms or not last_ms or now_ms - last_ms <= after_ms:
        return state, state.claim
    after = _claimed(replace(state, now_ms=now_ms), [], danger, limits, after_ms)
    return after, after.claim


def as_neighbour(state: Node) -> Neighbour | None:
    """Return what other nodes may know of this one; None where it does not know yet what is ordinary."""
    pm, co = (one if one.ready(LIMITS) and one.well_ms == one.value_ms else None for one in (state.pm, state.co))
    if not pm and not co:
        return None
    return Neighbour(
        max(state.pm.value_ms, state.co.value_ms),
        pm.excess(PM) if pm else None,
        co.excess(CO) if co else None,
        bool(pm and pm.up),
        bool(co and co.up),
    )


def _is_next(state: Node, sample: Sample) -> bool:
    """Tell whether what a sample says is newer than what its own channels said before."""
    before = (
        (sample.pm2_5, state.pm.value_ms),
        (sample.co, state.co.value_ms),
        (sample.temp, state.t.value_ms),
        (sample.rh, state.rh_ms),
        (sample.supply, state.supply_ms),
    )
    return all(value is None or sample.utc_ms > value_ms for value, value_ms in before)


def _heard(state: Node, sample: Sample, near: Sequence[Neighbour], limits: Limits) -> Node:
    """Return the node after each channel took what the sample says, judged where the channel is well."""
    at_ms, now_ms = sample.utc_ms, max(sample.utc_ms, state.said_ms)  # each value keeps the time that it is of
    rh, rh_ms, fog_ms = state.rh, state.rh_ms, state.fog_ms
    if sample.rh is not None:
        rh, rh_ms, fog_ms = sample.rh, at_ms, at_ms if sample.rh >= limits.humid else fog_ms
    supply, supply_ms, top = state.supply, state.supply_ms, state.supply_top
    if sample.supply is not None:
        supply, supply_ms, top = sample.supply, at_ms, max(top, sample.supply)
    state = Node(
        state.version, now_ms, now_ms, state.pm, state.co, state.t, rh, rh_ms, fog_ms, supply, supply_ms, top,
        state.minutes, state.strong, state.hot, state.smoke_ms, state.heat_ms, state.peak, state.gap, state.pause,
        state.borne_ms, state.claim,
    )  # fmt: skip
    power = has_power(state, limits)
    pm, co, t, hot, heat_ms, gap, pause = state.pm, state.co, state.t, state.hot, state.heat_ms, state.gap, state.pause
    if (before_ms := _paced_by(state, sample)) is not None:
        gap = (at_ms - before_ms) // MINUTE_MS if before_ms else 1
        pause = max(1, min(gap, state.gap, _LONGEST_PAUSE))
    if sample.pm2_5 is not None:
        pm = told(state.pm, sample.pm2_5, at_ms)
        well = power and (not pm.stuck(PM) or (sample.pm2_5 >= _END_OF_SCALE and co.up))
        least = max(limits.pm_excess, limits.pm_share * state.pm.ordinary(PM))
        least += limits.common * _least([one.pm for one in near])
        pm = judged(state.pm, pm, PM, limits, limits.sum_up, least) if well else replace(pm, up=False)
    if sample.co is not None:
        co = told(state.co, sample.co, at_ms)
        well = power and not co.stuck(CO)
        enough = limits.sum_with_pm if pm.up and _well(pm, now_ms, limits) else limits.sum_up
        least = limits.co_excess + limits.common * _least([one.co for one in near])
        co = judged(state.co, co, CO, limits, enough, least) if well else replace(co, up=False)
    if sample.temp is not None:
        t = told(state.t, sample.temp, at_ms)
        if power and not t.stuck(HEAT):
            t = replace(t, well_ms=at_ms)
            if sample.temp >= limits.t_hot and not (hot.times and sample.temp == hot.value):
                hot, heat_ms = hot.seen(at_ms, sample.temp, limits), at_ms
    return replace(state, pm=pm, co=co, t=t, hot=hot, heat_ms=heat_ms, gap=gap, pause=pause)


def _paced_by(state: Node, sample: Sample) -> int | None:
    """Return when what sets the pace spoke before: PM2.5, else CO, else the thermometer; None: it says nothing now."""
    if sample.pm2_5 is not None:
        return state.pm.value_ms
    if sample.co is not None and not state.pm.value_ms:
        return state.co.value_ms
    if sample.temp is not None and not (state.pm.value_ms or state.co.value_ms):
        return state.t.value_ms
    return None


def _least(excesses: list[float | None]) -> float:
    """Return the smallest excess of at least two others, else 0."""
    known = [one for one in excesses if one is not None]
    return min(known) if len(known) >= 2 else 0.0


def _counted(state: Node, limits: Limits) -> Node:
    """Return the node after this minute's evidence was counted, of values that are of now and well."""
    now_ms, pm, co = state.now_ms, state.pm, state.co
    pm_well, co_well = (_well(one, now_ms, limits) for one in (pm, co))
    both, strong = pm_well and co_well and pm.up and co.up, state.strong
    if pm_well and co_well and (pm.value or 0.0) > limits.pm_strong and (co.value or 0.0) > limits.co_strong:
        both, strong = True, strong.seen(now_ms, pm.value or 0.0, limits, co.value or 0.0)
    halves = WHOLE if both else HALF if pm_well and pm.up and clear_air(state, limits) else 0
    if not halves:
        return state
    minutes = [one for one in state.minutes if now_ms - one.utc_ms < 3 * limits.many_ms]
    if minutes and now_ms - minutes[-1].utc_ms < limits.minute_ms:
        last = minutes.pop()
        minutes.append(Minute(last.utc_ms, max(last.halves, halves), last.span, last.pm))
    else:
        minutes.append(Minute(now_ms, halves, state.pause, pm.value or 0.0))
    return replace(
        state,
        minutes=tuple(minutes),
        strong=strong,
        smoke_ms=now_ms if both else state.smoke_ms,
        peak=max(state.peak, pm.excess(PM)),
    )


def _well(channel: Channel, now_ms: int, limits: Limits) -> bool:
    """Tell whether the newest value of a channel is of now and was well."""
    return channel.well_ms == channel.value_ms and now_ms - channel.value_ms <= limits.fresh_ms


def _claimed(state: Node, near: Sequence[Neighbour], danger: int | None, limits: Limits, after_ms: int | None) -> Node:
    """Return the node with what is claimed of it now: a level once reached is held for a while."""
    now_ms, old = state.now_ms, state.claim
    level, reasons = judge(state, near, limits, after_ms)
    borne_ms = now_ms if level and level >= old.level else state.borne_ms
    held_ms = limits.hold_ms if old.level >= SUSPECTED else limits.few_ms
    if level < old.level and now_ms - borne_ms < held_ms:
        level, said = old.level, old.reasons
    else:
        said = tuple(reasons)
        if level >= SUSPECTED and limits is not LIMITS:
            said = (*said, Reason("danger", {"level": float(danger)}) if danger else Reason("danger-unknown"))
    peak = state.peak if level > NONE else 0.0
    radius, source = _radius(said, peak) if level >= SUSPECTED else (None, "")
    ready = state.pm.ready(limits) or state.co.ready(limits)
    claim = Claim(
        level,
        old.since_ms if level == old.level and old.utc_ms else now_ms,
        now_ms,
        (old.first_ms or _first_ms(state)) if level >= WATCH else None,
        said,
        faults(state, limits, after_ms),
        radius,
        source,
        max(state.pm.kept_ms, state.co.kept_ms) if ready else None,
        min(len(state.pm.kept), len(state.co.kept)),
        danger,
    )
    return replace(state, borne_ms=borne_ms, peak=peak, claim=claim)


def _first_ms(state: Node) -> int:
    """Return when the evidence behind a new claim began."""
    return next((one.utc_ms for one in state.minutes if state.now_ms - one.utc_ms < LIMITS.few_ms), state.now_ms)


def _radius(reasons: Sequence[Reason], peak: float) -> tuple[int, str]:
    """Return within what distance the source may be, and by what estimate."""
    if reasons[0].key in {"heat", "silent-after-heat"}:
        return HEAT_RADIUS_M, AT_NODE
    return radius_m(peak), PLUME
