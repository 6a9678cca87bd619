"""From what a node remembers to a level and its reasons: which rule is met now, the surest first. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from detect.channel import CO, HEAT, PM
from detect.claim import NONE, PROBABLE, SUSPECTED, WATCH, Reason
from detect.limits import MINUTE_MS, Limits
from detect.state import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detect.state import Minute, Neighbour, Node

# A supply that was once over the first figure is low under the second (V): one lithium cell, USB, 12 V, 24 V.
_SUPPLIES = ((18.0, 21.6), (8.0, 10.8), (4.6, 4.5), (0.0, 3.35))


def lowest_supply(top: float) -> float:
    """Return under how many volts a supply is low whose highest was `top`."""
    return next(low for over, low in _SUPPLIES if top >= over)


def has_power(state: Node, limits: Limits) -> bool:
    """Tell whether the node's supply is not known to be low: by a low one every sensor says anything."""
    known = state.supply is not None and state.now_ms - state.supply_ms <= 6 * limits.fresh_ms
    return not known or (state.supply or 0.0) >= lowest_supply(state.supply_top)


def clear_air(state: Node, limits: Limits) -> bool:
    """Tell whether it is known that there is no fog, so that PM2.5 alone says something."""
    known = 0 < state.rh_ms >= state.now_ms - limits.humid_ms
    return known and not (state.fog_ms and state.now_ms - state.fog_ms < limits.few_ms)


def heard_ms(state: Node) -> int:
    """Return when a node's smoke sensors, or without them its thermometer, last said anything; 0 for never."""
    return max(state.pm.value_ms, state.co.value_ms) or state.t.value_ms


def faults(state: Node, limits: Limits, silent_ms: int | None) -> tuple[str, ...]:
    """Name what the node cannot do now; that all of it is silent only where that is asked."""
    now_ms, pm, co = state.now_ms, state.pm, state.co
    if is_silent(state, silent_ms):
        return ("silent",)
    after_ms = silent_ms or limits.silent_ms
    found = []
    if not has_power(state, limits):
        found.append("power")
    if now_ms - pm.value_ms > after_ms:
        found.append("pm-silent" if pm.value_ms else "no-pm")
    elif pm.stuck(PM) and pm.well_ms != pm.value_ms:
        found.append("pm-stuck")
    if now_ms - co.value_ms > after_ms:
        found.append("co-silent" if co.value_ms else "no-co")
    elif co.stuck(CO):
        found.append("co-stuck")
    if state.t.stuck(HEAT):
        found.append("t-stuck")
    return tuple(found)


def is_silent(state: Node, after_ms: int | None) -> bool:
    """Tell whether a node that once spoke has said nothing for so long; None asks nothing."""
    last_ms = heard_ms(state)
    return after_ms is not None and last_ms > 0 and state.now_ms - last_ms > after_ms


def judge(state: Node, near: Sequence[Neighbour], limits: Limits, silent_ms: int | None) -> tuple[int, list[Reason]]:
    """Return the level that the node's memory bears out now, and why; silence after `silent_ms`, None: never."""
    now_ms = state.now_ms
    if is_silent(state, silent_ms):
        return _silent(state, limits, heard_ms(state))
    if state.hot.enough(now_ms, limits):
        figures = {
            "t": max(state.t.value or 0.0, state.hot.value),
            "limit": limits.t_hot,
            "times": float(state.hot.times),
        }
        return PROBABLE, [Reason("heat", figures)]
    level, reasons = _smoke(state, near, limits)
    if level == NONE and state.hot.times and now_ms - state.hot.last_ms <= limits.few_ms:
        return WATCH, [Reason("heat-once", {"t": state.hot.value, "limit": limits.t_hot})]
    return level, reasons


def _silent(state: Node, limits: Limits, last_ms: int) -> tuple[int, list[Reason]]:
    """Silence is an alarm where smoke or heat went before: a fire burns what told of it.

    A thermometer alone must have been hot to the last: one whose supply fails says anything before it falls silent.
    """
    alone = not (state.pm.value_ms or state.co.value_ms)
    quiet = {"silent_min": float((state.now_ms - last_ms) // MINUTE_MS)}
    for key, ms in (("silent-after-heat", state.heat_ms), ("silent-after-smoke", state.smoke_ms)):
        if ms and last_ms - ms <= (0 if alone else limits.after_smoke_ms):
            before = {"before_min": float((last_ms - ms) // MINUTE_MS), "of_min": limits.after_smoke_ms / MINUTE_MS}
            return PROBABLE, [Reason(key, {**quiet, **before})]
    return NONE, []


def _smoke(state: Node, near: Sequence[Neighbour], limits: Limits) -> tuple[int, list[Reason]]:
    now_ms = state.now_ms
    few_min = max(limits.few_ms // MINUTE_MS, 3 * state.pause)
    few = [one for one in state.minutes if now_ms - one.utc_ms < few_min * MINUTE_MS]
    if not few and not state.pm.up and not state.co.up:
        return NONE, []
    weight = sum(one.halves * one.span for one in few) / WHOLE
    whole = [one for one in few if one.halves == WHOLE]
    enough = len(few) >= 2 and weight >= limits.few
    has_co = state.co.well_ms >= now_ms - limits.fresh_ms
    fitted = state.co.well_ms > 0 and now_ms - state.co.well_ms <= limits.fitted_ms
    others_up = any(one.pm_up for one in near)
    several = _known_near(near) and clear_air(state, limits)
    figures = _figures(state, near, limits) | {"minutes": weight, "of": float(few_min)}
    reasons = []
    if state.strong.enough(now_ms, limits):
        reasons.append(_strong(state, limits))
    if enough and whole and not (reasons and not _known(state, limits)):  # then its minutes are the same smoke
        reasons.append(Reason("smoke-co", figures))
    elif enough and several and fitted and not has_co:
        reasons.append(Reason("smoke-co-faulty", figures))
    if not reasons:
        return WATCH, [_watched(state, figures, limits, fitted=fitted)]
    probable = []
    if others_up and (whole or any(one.pm_up and one.co_up for one in near)):
        probable.append(Reason("two-nodes", {"nodes": 1.0 + sum(one.pm_up for one in near)}))
    many_min = max(limits.many_ms // MINUTE_MS, 5 * state.pause)
    many = [one for one in state.minutes if now_ms - one.utc_ms < many_min * MINUTE_MS and one.halves == WHOLE]
    lasted = sum(one.span for one in many)
    enough_puffs = min(limits.puffs, len(many) // 3)  # where samples are rare there are few
    if len(many) >= 3 and lasted >= limits.many and (_known_near(near) or _puffs(many, limits) >= enough_puffs):
        probable.append(
            Reason("lasting", {"minutes": float(lasted), "limit": float(limits.many), "of": float(many_min)})
        )
    return (PROBABLE if probable else SUSPECTED), probable + reasons


def _known_near(near: Sequence[Neighbour]) -> bool:
    """Tell whether enough others are there to tell haze by."""
    return sum(one.pm is not None for one in near) >= 2


def _puffs(minutes: Sequence[Minute], limits: Limits) -> int:
    """Count how often PM2.5 leapt from one minute to the next."""
    pairs = ((min(one.pm, other.pm), max(one.pm, other.pm)) for one, other in pairwise(minutes))
    return sum(high >= limits.puff * low for low, high in pairs)


def _strong(state: Node, limits: Limits) -> Reason:
    """So much at once is smoke, whatever is ordinary here, and where that is not known yet."""
    figures = {
        "pm": state.strong.value,
        "pm_limit": limits.pm_strong,
        "co": state.strong.beside,
        "co_limit": limits.co_strong,
        "times": float(state.strong.times),
    }
    return Reason("strong" if _known(state, limits) else "strong-at-start", figures)


def _known(state: Node, limits: Limits) -> bool:
    """Tell whether it is known what is ordinary."""
    return state.pm.ready(limits) and state.co.ready(limits)


def _figures(state: Node, near: Sequence[Neighbour], limits: Limits) -> dict[str, float]:
    """Return the figures behind a claim about smoke, each beside its limit."""
    found = {
        "pm": state.pm.value or 0.0,
        "pm_ordinary": round(state.pm.ordinary(PM), 1),
        "pm_limit": limits.pm_excess,
        "co": state.co.value or 0.0,
        "co_ordinary": round(state.co.ordinary(CO), 2),
        "co_limit": limits.co_excess,
    }
    if len(near) >= 2:
        found["pm_common"] = round(limits.common * min((one.pm for one in near if one.pm is not None), default=0.0), 1)
    return found


def _watched(state: Node, figures: dict[str, float], limits: Limits, *, fitted: bool) -> Reason:
    """Say why what is seen is not called smoke."""
    if state.pm.up and not fitted:
        return Reason("pm-only", figures)
    if state.pm.up and not clear_air(state, limits):
        return Reason("fog", {**figures, "rh": state.rh or 0.0, "rh_limit": limits.humid})
    if state.co.up and not state.pm.up:
        return Reason("co-only", figures)
    return Reason("not-lasting", figures)
