"""`gocche coverage report`: what a commune was told of a week; of one that was not told yet a preview."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.alerts.journal import is_of_today, reading
from cloud.alerts.tell.reports import due
from cloud.alerts.week.facts import Span, communes_of, gather
from cloud.alerts.week.written import kept_of, written
from cloud.alerts.wiring import JOURNAL
from cloud.clock import SystemClock
from cloud.coverage.book import NAME
from cloud.rooms import registry_of
from gocche.words import Refused
from settings.words import said

if TYPE_CHECKING:
    from cloud.config import CloudConfig


def report(config: CloudConfig, *, commune: str, week: str) -> int:
    """Print a week, word for word as it was told. Raises Refused where there is no journal or no such commune."""
    folder, now_ms = Path(config.data.path), SystemClock().utc_ms()
    if not (folder / JOURNAL).exists():
        raise Refused("week", "no_journal", file=folder / JOURNAL)
    monday = _monday(week) if week else due(now_ms)
    registry, span = registry_of(config), Span(monday)
    known = communes_of(registry, monday - timedelta(1))
    if commune and commune not in known:
        raise Refused("week", "no_commune", commune=commune, known=", ".join(known) or "-")
    with reading(folder / JOURNAL) as db:
        if not is_of_today(db):
            raise Refused("week", "no_journal", file=folder / JOURNAL)
        kept = kept_of(db, span.label, [commune] if commune else [])
        told = {one.week.commune for one in kept}
        missing = [one for one in known if one not in told and commune in ("", one)]
        fresh = [written(gather(db, registry, folder / NAME, one, span, now_ms)) for one in missing]
    for one in (*kept, *fresh):
        unsent = "" if one in kept else "{}\n".format(said("cloud.alerts.week", "week", "unsent", "vi"))
        print(f"{unsent}{one.vi.text}\n\n———\n\n{one.en.text}\n")
    return 0


def _monday(week: str) -> date:
    """Return the Monday after a week such as 2026-W48."""
    year, _, number = week.partition("-W")
    return date.fromisocalendar(int(year), int(number), 1) + timedelta(7)
