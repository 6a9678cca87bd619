"""What the community's teams did, by effort: never by what they found, and of teams alone, never of people. Pure.

Who did what is told simply. Cells are those in which a team's own telephones listened. Days are those on which a
station or modem of the team's hamlet was heard: they look after it. A tag's check and a report's answer are of the
hamlet that is nearest, and so of its team.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import hanoi
from cloud.registry.map import METRES_A_DEGREE, distance_m
from cloud.reports.report import NEAR_M

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from cloud.registry import Registry
    from cloud.registry.kinds import Team
    from cloud.reports.read import Answered

HOUR_MS = 3_600_000


class Period(NamedTuple):
    """A month as year·100+month, or all the time (0)."""

    month: int

    def holds(self, day: date) -> bool:
        """Tell whether a day lies in it."""
        return self.month in (0, day.year * 100 + day.month)

    def holds_month(self, month: int) -> bool:
        """Tell whether a month does."""
        return self.month in (0, month)


class Score(NamedTuple):
    """A team's line: of the `reports` of its hamlet so many were `answered`, at the median within `median_h` hours."""

    rank: int
    code: str
    name: str
    hamlet: str
    days: int | None
    cells: int
    tags: int
    reports: int
    answered: int
    median_h: float | None

    @property
    def effort(self) -> int:
        """Return what ranks: cells, tags and answers, each for one."""
        return self.cells + self.tags + self.answered


def scores(
    registry: Registry,
    today: date,
    period: Period,
    efforts: Iterable[tuple[str, int, int]],
    answers: Sequence[Answered],
    heard: Mapping[str, set[date]] | None,
    checked: Sequence[tuple[str, date]],
) -> list[Score]:
    """Return the teams of today, most effort first; who did as much has the same rank.

    `efforts` are (team, month, cells), `heard` the days by hamlet; None where that could not be asked; `checked` are
    the checks of tags, by hamlet and day.
    """
    cells = Counter[str]()
    for team, month, n in efforts:
        if period.holds_month(month):
            cells[team] += n
    tags = Counter(hamlet for hamlet, day in checked if period.holds(day))
    lines = [
        _line(registry, today, period, team, cells[team.code], tags[team.hamlet], answers, heard)
        for team in registry.teams(today).values()
    ]
    lines.sort(key=lambda one: (-one.effort, -(one.days or 0), one.name))
    efforts_of = [one.effort for one in lines]
    return [one._replace(rank=efforts_of.index(one.effort) + 1) for one in lines]


def _line(
    registry: Registry, today: date, period: Period, team: Team, cells: int, tags: int, answers: Sequence[Answered],
    heard: Mapping[str, set[date]] | None,
) -> Score:  # fmt: skip
    own = [one for one in answers if one.hamlet == team.hamlet and period.holds(hanoi(one.got_ms).date())]
    waits = [(one.done_ms - one.got_ms) / HOUR_MS for one in own if one.done_ms is not None]
    days = None if heard is None else sum(map(period.holds, heard.get(team.hamlet, ())))
    hamlet = registry.hamlet(team.hamlet, today)
    return Score(
        0, team.code, team.name, hamlet.name if hamlet else "", days, cells, tags, len(own), len(waits),
        round(max(0.0, median(waits)), 1) if waits else None,
    )  # fmt: skip


def checks(registry: Registry, today: date) -> list[tuple[str, date]]:
    """Return of each tag that was checked the hamlet nearest to its tree, "" of none, and the day of the last check."""
    named = (registry.hamlet(code, today) for code in registry.hamlets)
    places = sorted((one.lat, one.lon, one.code) for one in named if one)
    found = []
    for tag in registry.tags.values():
        tree = registry.trees.get(tag.tree or tag.code)
        if tag.checked_on and tree:
            found.append((_nearest(places, (tree.lat, tree.lon)), tag.checked_on))
    return found


def _nearest(places: Sequence[tuple[float, float, str]], at: tuple[float, float]) -> str:
    """Return the hamlet nearest to a point, of places sorted from south to north; "" where all are too far away."""
    span = NEAR_M / METRES_A_DEGREE
    first, last = (bisect_left(places, (at[0] + edge,)) for edge in (-span, span))
    away = [(distance_m(at, (lat, lon)), code) for lat, lon, code in places[first:last]]
    metres, code = min(away, default=(NEAR_M + 1, ""))
    return code if metres <= NEAR_M else ""
