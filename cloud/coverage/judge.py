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
from collections import Counter
from functools import cache, reduce
from operator import or_
from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3

from cloud.coverage.seam import MONTH_NOW, STATES, Judged, Spot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.coverage.scale import Radio, Scale
    from cloud.coverage.seam import Strength

ENOUGH = 3  # moments; with fewer a cell is unmeasured
SURE = 0.95  # how likely service must be, or none
GONE_SURE = 0.99  # how likely it must be that there is none where there was service: masts come, and seldom go
LEVEL_SURE = 0.65  # how likely it must be that what has service is weak, or is not
SHADOW_DB, RIDGE_DB = 8.0, 7.0  # how far strengths differ between places near each other, and beyond
RIDGE = 10  # H3 resolution of what is near: 130 m across
DEVICE_DB, FADE_DB = 4.0, 5.0  # how far a day's antenna is off, and a moment
BROUGHT = 0.5  # of moments without service: telephones that send at once lose theirs (docs/coverage.md)
BELIEVED = 3.0  # places from which on a cell tells more of how far its strengths differ than all others do
HALF_LIFE = 6  # months after which evidence counts half beside newer evidence
MONTHS = 24  # how far back now reaches
_EXPECTED_DBM, _DIFFER_DB = -105.0, 25.0  # before anything is heard: anything
_GRID = [(m, -((m - _EXPECTED_DBM) ** 2) / (2 * _DIFFER_DB**2)) for m in range(-170, -39, 2)]  # dBm, how likely
_PLACE_DB = round(math.hypot(SHADOW_DB, RIDGE_DB))


class _Place(NamedTuple):
    """What a spot says, on one axis of strength: moments that count, those without service, the strength heard."""

    moments: float
    dead: float
    known: float  # with a strength
    strength: float  # their mean, on the axis of LTE, lowered where SINR is poor
    dbm: float  # their mean as it was told
    runs: int


def judge(cell: int, spots: Sequence[Spot], layer: str, scale: Scale) -> Judged:
    """Return the state of a cell by all spots given, of one network; older months count less beside newer ones.

    Neither their order matters, nor whether a spot comes in one piece or in several.
    """
    return _judged(cell, spots, layer, scale)[0]


def _judged(cell: int, spots: Sequence[Spot], layer: str, scale: Scale) -> tuple[Judged, float | None]:
    """Return it, and how likely there is none; None where it is not measured."""
    newest = _months(max((spot.month for spot in spots), default=0))
    ages: dict[int, float] = {}
    days: dict[int, int] = {}  # by place, a bit for each
    places: dict[int, list[tuple[float, _Place]]] = {}
    moments = last_ms = 0
    for spot in spots:
        place = _place(spot, layer, scale)
        if place is None:
            continue
        if spot.month not in ages:
            ages[spot.month] = 0.5 ** ((newest - _months(spot.month)) / HALF_LIFE)
        places.setdefault(spot.cell, []).append((ages[spot.month], place))
        days[spot.cell] = days.get(spot.cell, 0) | spot.days << 31 * (newest - _months(spot.month))
        moments += int(place.moments)
        last_ms = max(last_ms, spot.last_ms)
    on_days = reduce(or_, days.values(), 0).bit_count()
    if moments < ENOUGH:
        return Judged(cell, "unmeasured", moments, on_days, last_ms), None
    lost, state, strength = _state(places, days, layer, scale)
    return Judged(cell, state, moments, on_days, last_ms, strength), lost


def now(cell: int, spots: Sequence[Spot], layer: str, scale: Scale) -> Judged:
    """Return the state of a cell by the last `MONTHS` months, of which newer ones count more.

    Where the newest are sure of one and all before them of the other, of service or of none, it has changed: then the
    newest alone count.
    """
    by_month = sorted(spots, key=lambda spot: -spot.month)
    if not by_month:
        return judge(cell, by_month, layer, scale)
    oldest = _months(by_month[0].month) - MONTHS
    by_month = [spot for spot in by_month if _months(spot.month) > oldest]
    ends = [at for at in range(1, len(by_month)) if by_month[at].month != by_month[at - 1].month]
    for end in ends:
        newer, lost = _judged(cell, by_month[:end], layer, scale)
        if lost is None or 1 - SURE < lost < GONE_SURE:
            continue
        _, before = _judged(cell, by_month[end:], layer, scale)
        if before is not None and (before > SURE if lost < SURE else before < 1 - GONE_SURE):
            return newer
        break
    return judge(cell, by_month, layer, scale)


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
        somebody = ask(cell, [_emergency(spot) for spot in spots], layer, scale).state
        state = somebody if somebody in {"none", "uncertain"} else "served"
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
            return _Place(looked, looked, 0, 0.0, 0.0, spot.dead)
        return _Place(looked, looked - nr.n, nr.n, _strength(nr, "nr", scale), nr.sum / nr.n, 0)
    lte = spot.lte
    known = max(lte.n, nr.n)
    strength = -200.0
    if lte.n:
        strength = _strength(lte, "lte", scale)
    if nr.n:
        strength = max(strength, scale.as_lte(_strength(nr, "nr", scale)))
    dead = spot.none + spot.limited
    dbm = lte.sum / lte.n if lte.n else nr.sum / nr.n if nr.n else 0.0
    return (
        _Place(spot.moments, dead, min(known, spot.moments - dead), strength, dbm, spot.dead) if spot.moments else None
    )


def _strength(heard: Strength, radio: Radio, scale: Scale) -> float:
    """Return the mean of a place; where its SINR is poor, one that is no better than weak."""
    mean = heard.sum / heard.n
    if not heard.sinr_n or heard.sinr_sum / heard.sinr_n >= scale.poor_sinr_db:
        return mean
    _, fair, none = scale.limits(radio)
    return min(mean, fair - (fair - none) / 3)


def _state(
    places: dict[int, list[tuple[float, _Place]]], days: dict[int, int], layer: str, scale: Scale
) -> tuple[float, str, float | None]:
    """Return how likely there is none, the state, and the mean strength of the places with service."""
    cells = sorted(places)
    merged = [_merged(places[cell]) for cell in cells]
    weights, independent = _weights(cells, merged)
    antennas = _antennas(weights, [days[cell] for cell in cells])
    good, fair, none = scale.limits("nr" if layer == "5g" else "lte")
    heard = silent = unknown = x = xx = 0.0
    for weight, (_, place) in zip(weights, merged, strict=True):
        known, dead = place.known / place.moments, place.dead / place.moments
        heard += weight * known
        silent += weight * dead
        unknown += weight * max(1 - known - dead, 0.0)
        x += weight * known * place.strength
        xx += weight * known * place.strength**2
    said = heard, x, xx, silent, unknown
    lost = _shares(_as_far(said, _PLACE_DB, independent, antennas), _PLACE_DB, good, fair, none)[3]
    mean = [place.dbm for _, place in merged if place.known]
    strength = round(math.fsum(sorted(mean)) / len(mean), 1) if mean else None
    silences = sum(
        max(days[cell].bit_count(), 1)
        for cell, (_, place) in zip(cells, merged, strict=True)
        if 2 * place.dead > place.moments
    )
    if lost >= SURE and (any(place.runs for _, place in merged) or silences > 1):
        return lost, "none", strength
    if lost > 1 - SURE:
        return lost, "uncertain", strength
    if not mean:
        return lost, "served", None
    spread = _spread(said, independent)
    return lost, _level(_shares(_as_far(said, spread, independent, antennas), spread, good, fair, none)), strength


def _weights(cells: list[int], merged: list[tuple[float, _Place]]) -> tuple[list[float], float]:
    """Return what each place weighs (1 together), and to how many independent ones they come.

    Places near each other are shadowed by the same ridge: the more of them, the less each weighs.
    """
    near = [h3.cell_to_parent(cell, RIDGE) for cell in cells]
    crowd = Counter(near)
    weights = [
        age / (SHADOW_DB**2 + FADE_DB**2 / place.moments + crowd[ridge] * RIDGE_DB**2)
        for ridge, (age, place) in zip(near, merged, strict=True)
    ]
    total = math.fsum(weights)
    weights = [weight / total for weight in weights]
    sums = dict.fromkeys(crowd, 0.0)
    for ridge, weight in zip(near, weights, strict=True):
        sums[ridge] += weight
    open_db2 = SHADOW_DB**2 * sum(one * one for one in weights) + RIDGE_DB**2 * sum(one * one for one in sums.values())
    return weights, (SHADOW_DB**2 + RIDGE_DB**2) / open_db2


def _antennas(weights: list[float], days: list[int]) -> float:
    """Return to how many independent days they come: the days on which somebody was at a place share its weight.

    So a day that told of one place is not as good an antenna as the day that told of all.
    """
    alike: dict[int, float] = {}
    for bits, weight in zip(days, weights, strict=True):
        alike[bits or 1] = alike.get(bits or 1, 0.0) + weight
    by_day: dict[int, float] = {}
    for bits, weight in alike.items():
        each, left = weight / bits.bit_count(), bits
        while left:
            day = left & -left
            by_day[day] = by_day.get(day, 0.0) + each
            left ^= day
    return 1 / sum(one * one for one in by_day.values())


_Said = tuple[
    float, float, float, float, float
]  # with a strength, their sum and that of squares, without service, neither


def _as_far(said: _Said, spread: int, independent: float, antennas: float) -> _Said:
    """Return what was said as of so many independent places as it comes to when each day's antenna is off."""
    n = spread**2 / (spread**2 / independent + DEVICE_DB**2 / antennas)
    return said[0] * n, said[1] * n, said[2] * n, said[3] * n, said[4] * n


def _spread(said: _Said, independent: float) -> int:
    """Return how far strengths differ within this cell (dB): as in most cells, until its own places tell more."""
    heard, x, xx, *_ = said
    own = max(xx / heard - (x / heard) ** 2, 0.0) / max(heard, 0.5)  # what was not heard lies farther off
    n = max(independent * heard - 1, 0.0)
    return max(round(math.sqrt((BELIEVED * _PLACE_DB**2 + n * own) / (BELIEVED + n))), 4)


def _level(shares: tuple[float, float, float, float]) -> str:
    good, fair, weak, _ = shares
    served = good + fair + weak
    if weak >= LEVEL_SURE * served:
        return "weak"
    if weak > (1 - LEVEL_SURE) * served:
        return "served"
    return "good" if good >= fair else "fair"


def _shares(said: _Said, spread: int, good: float, fair: float, none: float) -> tuple[float, float, float, float]:
    """Return how likely the median is good, fair, weak, and below what telephones keep (Bayes, on a grid of 2 dB)."""
    heard, x, xx, silent, unknown = said
    lost, kept, brought = _censored(none, spread)
    came = heard + silent + unknown
    twice = 2 * spread**2
    logs = [
        prior - (heard * m * m - 2 * m * x + xx) / twice + silent * lost[at] + unknown * kept[at] - came * brought[at]
        for at, (m, prior) in enumerate(_GRID)
    ]
    top = max(logs)
    sums = [0.0, 0.0, 0.0, 0.0]
    for (m, _), log in zip(_GRID, logs, strict=True):
        if log > top - 30:
            sums[0 if m >= good else 1 if m >= fair else 2 if m >= none else 3] += math.exp(log - top)
    whole = sum(sums)
    return sums[0] / whole, sums[1] / whole, sums[2] / whole, sums[3] / whole


@cache
def _censored(none: float, spread: int) -> tuple[list[float], list[float], list[float]]:
    """Return for each median of the grid how likely a place is without service, with, and is told of (logarithms)."""
    below = [0.5 * math.erfc((m - none) / spread / math.sqrt(2)) for m, _ in _GRID]
    return (
        [math.log(max(p, 1e-12)) for p in below],
        [math.log(max(1 - p, 1e-12)) for p in below],
        [math.log(1 - p + BROUGHT * p) for p in below],
    )


def _merged(parts: list[tuple[float, _Place]]) -> tuple[float, _Place]:
    """Return one place out of what months and pieces say of it, with the weight of the newest."""
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts)
    newest = parts[-1][0]
    parts = [(age / newest, place) for age, place in parts]
    moments = sum(age * place.moments for age, place in parts)
    known = sum(age * place.known for age, place in parts)
    strength = sum(age * place.known * place.strength for age, place in parts) / known if known else 0.0
    dbm = sum(age * place.known * place.dbm for age, place in parts) / known if known else 0.0
    dead = sum(age * place.dead for age, place in parts)
    return newest, _Place(moments, dead, known, strength, dbm, sum(place.runs for _, place in parts))


def _months(month: int) -> int:
    return month // 100 * 12 + month % 100
