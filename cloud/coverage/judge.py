"""From spots to a state of each cell of the map: what samples mean, and when they mean nothing yet.

Asked is the median strength of the ground of a cell where people go: half of it is better, half worse. It lies on the
levels of `Scale`; below the strength at which telephones lose the network most of that ground has none. A hundred
moments of somebody who stands still are one place, and one telephone's antenna is wrong the same way all day. So places
are weighed by what shadows of hills (within 50 m), ridges (some 150 m) and the antenna of a day leave open, and places
without service are strengths of which only a limit is known. That gives how likely each level is. What is not likely
enough is *uncertain*, and no service is claimed only on a run of moments without, or at several places or days.

docs/coverage.md tells it in words; `python -m bench survey` measures it on ground whose truth is known.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3

from cloud.coverage.scale import LEVELS
from cloud.coverage.seam import MONTH_NOW, STATES, Judged, Spot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.coverage.scale import Scale

ENOUGH = 3  # moments; with fewer a cell is unmeasured
SURE = 0.95  # how likely service, or none, must be
LEVEL_SURE = 0.75  # how likely it must be that a place with service is weak, or is not
SHADOW_DB, RIDGE_DB, DEVICE_DB, FADE_DB = (
    7.0,
    6.0,
    4.0,
    5.0,
)  # of a place, of its surroundings, of a day's antenna, of a moment
RIDGE = 10  # H3 resolution of the surroundings, 130 m across
HALF_LIFE = 6  # months after which evidence counts half beside newer evidence
MONTHS = 24  # how far back now reaches
_GRID = range(-170, -39, 2)  # dBm; the borders of levels lie between
_EXPECTED, _SPREAD = -105.0, 25.0  # before anything is heard: anything
_PLACE_DB = math.hypot(SHADOW_DB, RIDGE_DB)


class _Place(NamedTuple):
    """What a spot says, on one axis of strength: moments that count, those without service, the strength heard."""

    moments: float
    dead: float
    known: float  # with a strength
    strength: float  # their mean
    runs: int


def judge(cell: int, spots: Sequence[Spot], layer: str, scale: Scale) -> Judged:
    """Return the state of a cell by all spots given, of one network; older months count less beside newer ones.

    Neither their order matters, nor whether a spot comes in one piece or in several.
    """
    newest = max((_months(spot.month) for spot in spots), default=0)
    days: dict[int, int] = {}
    places: dict[int, list[tuple[float, _Place]]] = {}
    moments = last_ms = 0
    for spot in spots:
        place = _place(spot, layer, scale)
        if place is None:
            continue
        age = 0.5 ** ((newest - _months(spot.month)) / HALF_LIFE)
        places.setdefault(spot.cell, []).append((age, place))
        days[spot.month] = days.get(spot.month, 0) | spot.days
        moments += int(place.moments)
        last_ms = max(last_ms, spot.last_ms)
    on_days = sum(bits.bit_count() for bits in days.values())
    if moments < ENOUGH:
        return Judged(cell, "unmeasured", moments, on_days, last_ms)
    state, strength = _state(places, max(on_days, 1), layer, scale)
    return Judged(cell, state, moments, on_days, last_ms, strength)


def now(cell: int, spots: Sequence[Spot], layer: str, scale: Scale) -> Judged:
    """Return the state of a cell by its newest months that say enough: older ones are asked until it is decided."""
    by_month = sorted(spots, key=lambda spot: -spot.month)
    found = Judged(cell, "unmeasured", 0, 0, 0)
    since = _months(by_month[0].month) - MONTHS if by_month else 0
    for end in range(1, len(by_month) + 1):
        whole = end == len(by_month) or by_month[end].month != by_month[end - 1].month
        if whole and _months(by_month[end - 1].month) > since:
            found = judge(cell, by_month[:end], layer, scale)
            if found.state not in {"uncertain", "unmeasured"}:
                break
    return found


def best(judged: Sequence[Judged]) -> Judged:
    """Return one cell over all networks: the best state that one of them has, on what all of them heard.

    Where one has none and of another some was heard, but not enough to be sure, it is uncertain.
    """
    chosen = min(judged, key=_rank)
    return Judged(
        chosen.cell,
        chosen.state,
        sum(one.moments for one in judged),
        max(one.days for one in judged),
        max(one.last_ms for one in judged),
        chosen.rsrp_dbm,
    )


def sheet_of(spots: Iterable[Spot], layer: str, plmn: int, month: int, res: int, scale: Scale) -> list[Judged]:
    """Return every cell of a resolution in which somebody was, by cell: of one network, or of the best (`plmn` 0).

    `month` is one month, or `MONTH_NOW` of all that are given.
    """
    cells: dict[int, list[Spot]] = {}
    for spot in spots:
        if plmn in {0, spot.plmn} and month in {MONTH_NOW, spot.month}:
            cells.setdefault(h3.cell_to_parent(spot.cell, res), []).append(spot)
    ask = now if month == MONTH_NOW else judge
    return [
        ask(cell, own, layer, scale) if plmn else _of_all(cell, own, layer, scale, month)
        for cell, own in sorted(cells.items())
    ]


def of_each(cell: int, spots: Sequence[Spot], layer: str, scale: Scale, month: int) -> dict[int, Judged]:
    """Return what is so in one cell in a month, or now, by network; under 0 by the best of them.

    Where none has service but emergency calls got through, there is somebody's network.
    """
    ask = now if month == MONTH_NOW else judge
    by_network: dict[int, list[Spot]] = {}
    for spot in spots:
        by_network.setdefault(spot.plmn, []).append(spot)
    judged = {plmn: ask(cell, own, layer, scale) for plmn, own in sorted(by_network.items())}
    found = best(list(judged.values()))
    if layer == "phone" and found.state in {"none", "uncertain"} and any(spot.limited for spot in spots):
        any_network = ask(cell, [_emergency(spot) for spot in spots], layer, scale)
        state = "served" if any_network.state in {*LEVELS, "served"} else "uncertain"
        found = Judged(found.cell, state, found.moments, found.days, found.last_ms, found.rsrp_dbm)
    return judged | {0: found}


def since(states: Sequence[tuple[int, str]]) -> int | None:
    """Return the month since which a cell has had service, or none, without a break; None where that is not known.

    `states` are (month, state). Months that say nothing sure neither begin nor end it.
    """
    held: tuple[bool, int] | None = None
    for month, state in sorted(states):
        if state not in {"uncertain", "unmeasured"} and (held is None or held[0] != (state == "none")):
            held = state == "none", month
    return held and held[1]


def _rank(one: Judged) -> tuple[int, float]:
    heard = one.state == "uncertain" and one.rsrp_dbm is not None
    return STATES.index("served" if heard else one.state), 0.0 if heard else -200 - (one.rsrp_dbm or -200)


def _of_all(cell: int, spots: list[Spot], layer: str, scale: Scale, month: int) -> Judged:
    return of_each(cell, spots, layer, scale, month)[0]


def _emergency(spot: Spot) -> Spot:
    """Return the spot as a telephone in need sees it: limited service is service."""
    return Spot(
        spot.cell, spot.month, spot.plmn, spot.moments, spot.none, 0, spot.dead if spot.none else 0, spot.days,
        spot.first_ms, spot.last_ms, spot.lte, spot.nr, spot.nr_looked,
    )  # fmt: skip


def _place(spot: Spot, layer: str, scale: Scale) -> _Place | None:
    """Return what the spot says in this layer; None where it says nothing."""
    nr = spot.nr
    if layer == "5g":
        looked = max(spot.nr_looked, nr.n)
        if not looked:
            return None
        if not nr.n or nr.sum / nr.n < scale.nr_none_dbm:
            return _Place(looked, looked, 0, 0.0, spot.dead)
        return _Place(looked, looked - nr.n, nr.n, nr.sum / nr.n, 0)
    lte = spot.lte
    known = max(lte.n, nr.n)
    strength = -1e9
    if lte.n:
        strength = lte.sum / lte.n
    if nr.n:
        strength = max(strength, scale.as_lte(nr.sum / nr.n))
    dead = spot.none + spot.limited
    return _Place(spot.moments, dead, min(known, spot.moments - dead), strength, spot.dead) if spot.moments else None


def _state(
    places: dict[int, list[tuple[float, _Place]]], days: int, layer: str, scale: Scale
) -> tuple[str, float | None]:
    """Return the state and the mean strength of the places with service."""
    heard = silent = unknown = total = total_x = total_xx = squares = 0.0
    mean: list[float] = []
    runs = dead_places = 0
    around: dict[int, int] = {}
    merged = [(h3.cell_to_parent(cell, RIDGE), _merged(parts)) for cell, parts in sorted(places.items())]
    for ridge, _ in merged:
        around[ridge] = around.get(ridge, 0) + 1
    groups: dict[int, float] = {}
    for ridge, (age, place) in merged:
        known = place.known / place.moments
        dead = place.dead / place.moments
        weight = age / (SHADOW_DB**2 + around[ridge] * RIDGE_DB**2 + FADE_DB**2 / place.moments)
        squares += weight * weight
        groups[ridge] = groups.get(ridge, 0.0) + weight
        total += weight
        heard += weight * known
        silent += weight * dead
        unknown += weight * max(1 - known - dead, 0.0)
        if place.known:
            total_x += weight * known * place.strength
            total_xx += weight * known * place.strength**2
            mean.append(place.strength)
        runs += place.runs
        dead_places += dead > 0.5
    open_db2 = (
        SHADOW_DB**2 * squares + RIDGE_DB**2 * sum(group * group for group in groups.values())
    ) / total**2 + DEVICE_DB**2 / days
    factor = _PLACE_DB**2 / open_db2 / total  # to so many independent places all of this comes
    good, fair, none = scale.limits("nr" if layer == "5g" else "lte")
    shares = _shares(
        (heard * factor, total_x * factor, total_xx * factor, silent * factor, unknown * factor), good, fair, none
    )
    strength = round(math.fsum(sorted(mean)) / len(mean), 1) if mean else None
    return _decided(shares, heard > 0, runs > 0 or dead_places > 1 or (dead_places > 0 and days > 1)), strength


def _decided(shares: tuple[float, float, float, float], heard: bool, dead: bool) -> str:
    good, fair, weak, none = shares
    if none >= SURE:
        return "none" if dead else "uncertain"
    if none > 1 - SURE:
        return "uncertain"
    if not heard:
        return "served"
    served = good + fair + weak
    if weak >= LEVEL_SURE * served:
        return "weak"
    if weak > (1 - LEVEL_SURE) * served:
        return "uncertain"
    return "good" if good >= fair else "fair"


def _shares(
    said: tuple[float, float, float, float, float], good: float, fair: float, none: float
) -> tuple[float, float, float, float]:
    """Return how likely the median is good, fair, weak, and below what telephones keep (Bayes, on a grid of 2 dB)."""
    heard, heard_x, heard_xx, silent, unknown = said
    lost, kept = _censored(none)
    twice = 2 * _PLACE_DB**2
    logs = [
        -(heard * m * m - 2 * m * heard_x + heard_xx) / twice
        - (m - _EXPECTED) ** 2 / (2 * _SPREAD**2)
        + silent * lost[at]
        + unknown * kept[at]
        for at, m in enumerate(_GRID)
    ]
    top = max(logs)
    sums = [0.0, 0.0, 0.0, 0.0]
    for m, log in zip(_GRID, logs, strict=True):
        if log > top - 30:
            sums[0 if m >= good else 1 if m >= fair else 2 if m >= none else 3] += math.exp(log - top)
    whole = sum(sums)
    return sums[0] / whole, sums[1] / whole, sums[2] / whole, sums[3] / whole


@cache
def _censored(none: float) -> tuple[list[float], list[float]]:
    """Return the logarithm of how likely a place is without service, and with, for each median of the grid."""
    below = [0.5 * math.erfc((m - none) / _PLACE_DB / math.sqrt(2)) for m in _GRID]
    return [math.log(max(p, 1e-12)) for p in below], [math.log(max(1 - p, 1e-12)) for p in below]


def _merged(parts: list[tuple[float, _Place]]) -> tuple[float, _Place]:
    """Return one place out of what months and pieces say of it, with the weight of the newest."""
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts)
    moments = sum(age * place.moments for age, place in parts)
    known = sum(age * place.known for age, place in parts)
    strength = sum(age * place.known * place.strength for age, place in parts) / known if known else 0.0
    dead = sum(age * place.dead for age, place in parts)
    return parts[-1][0], _Place(moments, dead, known, strength, sum(place.runs for _, place in parts))


def _months(month: int) -> int:
    return month // 100 * 12 + month % 100
