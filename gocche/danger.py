"""`gocche danger`: each zone's day, its bulletins, what past days said before, and every kept number made again."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.clock import SystemClock, hanoi
from cloud.danger.book import NAME, changes, newest, past, recompute
from cloud.danger.bulletin import bulletin, loudspeaker
from cloud.danger.levels import verdict
from cloud.danger.told import load
from cloud.rooms import registry_of
from gocche.words import LANGUAGES, Refused, both
from settings.words import because

if TYPE_CHECKING:
    from datetime import date

    from cloud.config import CloudConfig
    from cloud.danger.course import Day
    from cloud.danger.levels import Verdict
    from cloud.registry import Registry

BULLETIN_DAYS = 30  # of which the past course is told
TOLD = 20  # days that differ


def danger(config: CloudConfig, *, again: bool, changed: bool, folder: Path | None) -> int:
    """Print a line for each zone; with a folder write its bulletins there; return 1 where a number does not come again.

    Raises Refused where no danger was ever computed, and where the disk or the book refuses.
    """
    book = Path(config.data.path) / NAME
    if not book.exists():
        raise Refused("danger", "nothing", file=book)
    try:
        if again:
            return _again(book)
        if changed:
            return _changed(book)
        registry = registry_of(config)
        _lines(book, registry)
        if folder is not None:
            return _written(config, book, registry, folder)
    except (sqlite3.Error, OSError) as error:
        raise Refused("danger", "refused", file=book, **because(error)) from error
    return 0


def _again(book: Path) -> int:
    checked = recompute(book)
    for zone, day in checked.differ[:TOLD]:
        print(f"zone={zone} day={day} differs")
    kind = "differ" if checked.differ else "same"
    print(both("danger", kind, days=checked.days, n=len(checked.differ)))
    return int(bool(checked.differ))


def _changed(book: Path) -> int:
    for was, now in changes(book):
        told, until = was.day, f"{hanoi(was.until_ms):%Y-%m-%dT%H:%M}"
        print(
            f"zone={told.zone} day={told.day} until={until} why={was.why.replace(' ', ',')}"
            f" p={_p(told)} now={_p(now)} fwi={_fwi(told)} now={_fwi(now)}"
        )
    return 0


def _p(day: Day | None) -> str:
    return "-" if day is None else f"{day.after.p:.0f}"


def _fwi(day: Day | None) -> str:
    return f"{day.indices.fwi:.1f}" if day is not None and day.indices else "-"


def _today() -> date:
    return hanoi(SystemClock().utc_ms()).date()


def _lines(book: Path, registry: Registry) -> None:
    days = newest(book, list(registry.zones), _today())
    for zone in registry.zones.values():
        if (day := days.get(zone.code)) is None:
            print(f"zone={zone.code} day=- why=unmeasured")
            continue
        found = verdict(day, registry.danger_tables.on(zone, day.day))
        print(
            f"zone={zone.code} day={day.day} p={_p(day)} {_level(found)} fwi={_fwi(day)}"
            f" missing={day.after.p_missing} lacks={','.join(day.inputs.flags) or '-'}"
        )


def _level(found: Verdict) -> str:
    if found.level is None:
        return f"level=- why={found.why}"
    return f"level={found.level.roman}{'+' if found.level.at_least else ''} decision={found.level.table.decision!r}"


def _written(config: CloudConfig, book: Path, registry: Registry, folder: Path) -> int:
    from cloud.danger.sheet import NoFont, draw

    told, files = load(config.folder / config.garden.path), 0
    folder.mkdir(parents=True, exist_ok=True)
    for zone in registry.zones.values():
        days, _ = past(book, zone.code, BULLETIN_DAYS, _today())
        if not days:
            continue
        found = verdict(days[-1], registry.danger_tables.on(zone, days[-1].day))
        official = registry.official_levels.on(zone, _today())
        for language in LANGUAGES:
            stem = folder / f"{zone.code}-{days[-1].day}.{language}"
            made = bulletin(zone, days, found, told, language, official)
            try:
                page = draw(made, found.level.number if found.level else None)
            except NoFont as error:
                print(error, file=sys.stderr)
                return 1
            Path(f"{stem}.pdf").write_bytes(page)
            Path(f"{stem}.txt").write_text(made.text(), "utf-8")
            Path(f"{stem}.loa.txt").write_text(loudspeaker(zone, days, found, told, language, official), "utf-8")
            files += 3
    print(both("danger", "written", folder=folder, files=files))
    return 0
