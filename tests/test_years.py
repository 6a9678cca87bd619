"""A registry that holds dates of years which nobody may write any more: no page and no export falls over them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from cloud.pages.app import build
from cloud.pages.still import paths
from cloud.registry.book import Book
from cloud.registry.cells import Day, Moment
from cloud.registry.fire import OfficialLevel
from cloud.registry.kinds import (
    KINDS,
    Calibration,
    Consent,
    DangerTable,
    Device,
    Gateway,
    Maintenance,
    Photo,
    Record,
    Tag,
    Voice,
)
from cloud.registry.live import Live
from cloud.registry.rows import columns, write
from cloud.registry.sheets import STEMS, comma, workbook
from cloud.staff.app import ways
from cloud.staff.entrance.access import TABLES
from tests.staffroom import StaffWorld
from tests.visitors import ALL, GARDEN, TREE, Visitor, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY, THEN = date(2025, 11, 1), datetime(2025, 11, 1, tzinfo=UTC)
MORE = [
    Tag(code=TREE, state="bound", tree=TREE, minted_on=DAY, bound_on=DAY, checked_on=DAY),
    Consent(code="c1", person="admin", what="name", given_on=DAY),
    Photo(code="ph1", tree=TREE, alt_vi="a", alt_en="b", author="x", licence="CC0", taken_on=DAY, published=True),
    Voice(code="vo1", tree=TREE, lang="vi", recorded_on=DAY),
    Gateway(code="sg-01", name_vi="a", name_en="b"),
    Device(code="dev1", model="x", bought_on=DAY),
    Calibration(gateway="sg-01", channel="soil-1", quantity="soil_moisture", valid_from=DAY, offset=1),
    DangerTable(decision="1", place="zone", code="z01", valid_from=DAY, up_to_1=1, up_to_2=2, up_to_3=3, up_to_4=4),
    OfficialLevel(place="zone", code="z01", level="IV", source="x", valid_from=DAY, valid_to=date(2025, 11, 2)),
    Maintenance(gateway="sg-01", channel="air-1", starts=THEN, ends=THEN.replace(day=2)),
]  # fmt: skip


def days(struct: type[Record], *, ends: bool) -> dict[str, str]:
    """Return the columns with a date, those without which there is no row or all, and the oldest that each can hold."""
    of = [one for one in columns(struct) if isinstance(one.cell, (Day, Moment)) and (ends or one.needed)]
    return {one.name: f"0001-01-01{'T00:00' * isinstance(one.cell, Moment)}" for one in of}


@pytest.fixture
def staff(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    with made.shelf.act("test", "more") as draft:
        draft.put(MORE)
    made.shelf.close()
    yield made
    made.close()


@pytest.fixture
def public(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.tell(ALL)
    yield made
    made.store.close()


@pytest.mark.parametrize("ends", [False, True])
def test_a_year_that_is_asked_back_today_breaks_no_page_and_no_export(
    staff: StaffWorld, public: World, tmp_path: Path, ends: bool
) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db")) as db:
        for kind, struct in KINDS.items():
            for column, oldest in days(struct, ends=ends).items():
                last = " WHERE valid_to IS NULL" * (column == "valid_from")  # of several names of a place
                db.execute(f'UPDATE "{kind}" SET "{column}" = ?{last}', (oldest,))
        db.commit()
    with Book(tmp_path / "registry.db", writer=False) as book:
        rows = {kind: book.rows(kind) for kind in KINDS}
    assert all(rows.values())
    comma.write_folder(tmp_path / "out", rows)
    workbook.write_workbook(tmp_path / "out.xlsx", rows)
    asked = [way.path for way in ways() if not way.post and "{" not in way.path and not way.path.endswith("pdf")]
    for kind in TABLES:
        texts = write(rows[kind][0])
        asked.append(f"/bang/{STEMS[kind]}/dong?{urlencode([('k', texts[name]) for name in KINDS[kind].key])}")
    admin = staff.visitor("admin")
    assert {path: told.status_code for path in asked if (told := admin.get(path)).status_code >= 500} == {}
    live = Live(tmp_path / "registry.db", GARDEN, public.clock, private=False)
    public.registry = live.now
    live.close()
    visitor = Visitor(build(public.garden()))
    lost = {path: told.status_code for path in paths(live.now) if (told := visitor.get(path)).status_code != 200}
    assert lost == {}
