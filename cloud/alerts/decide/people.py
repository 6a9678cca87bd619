"""What people report becomes history: one incident a fire, suspected until a person of the duty says more.

However many report, few letters go out: more of the same report is a number on its incident; a report near what is
suspected already is a part of that; and when more than `MOST_AN_HOUR` have been opened within an hour, what comes then
is gathered in one incident that says so. A report that nobody closes is forgotten as unknown after `OVER_MS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.decide.desk import REPORT
from cloud.alerts.incident import Change, span_of
from cloud.alerts.spans import Span
from cloud.clock import HOUR_MS

if TYPE_CHECKING:
    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal

MOST_AN_HOUR = 10
MANY = "report-many"  # the name of what gathers what is too much
OVER_MS = 6 * HOUR_MS


class People:
    """Writes within the caller's transaction."""

    def __init__(self, journal: Journal, desk: Desk) -> None:
        self._journal, self._desk = journal, desk

    def reported(
        self, name: str, n: int, place: str, at: tuple[float, float] | None, since_ms: int, now_ms: int
    ) -> int:
        """Return the number of the incident of a report; a new one where it has none that goes on."""
        if going := self._going(name):
            return self._more(going, max(n, int(going.value or 0)), now_ms)
        if self._opened_since(now_ms - HOUR_MS) >= MOST_AN_HOUR:
            if many := self._going(MANY):
                return self._more(many, int(many.value or 0) + 1, now_ms)
            name, n, place, at = MANY, 1, "", None
        incident = self._desk.report(name, place, at, min(since_ms, now_ms), now_ms)
        if name == MANY:
            words = {"place_vi": "nhiều nơi: xem trang tin báo", "place_en": "many places: see the page of reports"}
            incident = replace(incident, **words)
        span = Span(
            since_ms=incident.since_ms, opened_ms=now_ms, until_ms=None, ended_ms=None, bad_ms=now_ms, value=float(n),
            peak=float(n),
        )  # fmt: skip
        change = Change("opened", span, words="reported by people, unconfirmed", tell="onset", basis="people")
        return self._desk.write(change, incident, now_ms).id

    def look_again(self, now_ms: int) -> None:
        """End what was reported hours ago, and nobody has said anything about: what became of it is not known."""
        query = "SELECT id FROM incident WHERE rule = ? AND ended_ms IS NULL ORDER BY id"
        for (number,) in self._journal.db.execute(query, (REPORT,)).fetchall():
            one = self._journal.incident(number)
            if abs(now_ms - one.bad_ms) > OVER_MS:
                self._desk.lose(one, now_ms, "reported hours ago, and nobody has said what it was")

    def _opened_since(self, since_ms: int) -> int:
        query = "SELECT count(*) FROM incident WHERE rule = ? AND opened_ms >= ?"
        return int(self._journal.db.execute(query, (REPORT, since_ms)).fetchone()[0])

    def _going(self, name: str) -> Incident | None:
        """Return the incident of a report with which people are not done."""
        known = self._journal.known(REPORT, "", name, 2**60)
        return next((one for one in known if self._journal.incident(one.head).going), None)

    def _more(self, incident: Incident, n: int, now_ms: int) -> int:
        span = replace(span_of(incident), bad_ms=now_ms, value=float(n), peak=float(n))
        change = Change("evidence", span, incident.id, f"reported by {n} people", basis="people")
        return self._desk.write(change, incident, now_ms).id
