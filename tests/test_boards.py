"""What boards show beside readings: danger and incidents as they stand in the books, copied into a real InfluxDB."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.incident import Incident
from cloud.alerts.journal import Journal
from cloud.alerts.wiring import JOURNAL
from cloud.coverage.scale import Scale
from cloud.danger.levels import coded, verdict
from cloud.panels.fire import INCIDENTS, fire
from cloud.rooms.boards import Showing
from cloud.store import Retry, open_store
from tests.danger.garden import FIRST, Garden, at, table
from tests.servers import influx_table

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.store import Store

FIRE: dict[str, Any] = {
    "rule": "node", "kind": "detect", "gateway": "sg-01", "channel": "node-1", "quantity": "smoke_claim",
    "what_vi": "khói", "what_en": "smoke", "place": "zone:z01", "place_vi": "Khu một", "place_en": "Zone one",
    "lat": 21.6, "lon": 104.5, "bad_ms": 0, "touched_ms": 0, "grade": "life",
}  # fmt: skip
END = FIRST + timedelta(2)


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    """Return two days of a zone with a table of its province, and a fire that a person confirmed."""
    made = Garden(tmp_path, table())
    made.days_pass(2)
    made.clock.now_ms = at(END)
    return made


@pytest.fixture
def journal(garden: Garden) -> Journal:
    """Return the journal of three incidents about life: a fire, a part of it, and heavy rain."""
    made = Journal(garden.folder / JOURNAL)
    opened = at(END) - 3_600_000
    with made.transaction():
        head = made.save(Incident(0, **FIRE, since_ms=opened, opened_ms=opened, stage="confirmed"))
        part = made.save(Incident(0, **FIRE, since_ms=opened, opened_ms=opened, part_of=head.id))
        rain = made.save(Incident(0, **FIRE | {"kind": "sum", "may_burn": False}, since_ms=opened, opened_ms=opened))
        for incident in (head, part, rain):
            made.event(opened, incident.id, "opened")
        made.event(opened, head.id, "told", who="ban-trực")
        made.event(opened, head.id, "confirmed", "I saw it", who="Lò Văn A")
    return made


def showing(garden: Garden, store: Store) -> Showing:
    return Showing(garden.folder, store, garden, garden.clock, Scale())  # type: ignore[arg-type]


def rows(server: Any, database: str, query: str) -> list[dict[str, Any]]:
    series = server.query(query, database)["results"][0].get("series", [])
    return [
        dict(zip(one["columns"], row, strict=True)) | one.get("tags", {}) for one in series for row in one["values"]
    ]


def filled(query: str) -> str:
    return query.replace("$timeFilter", f"time <= {at(END)}ms").replace("$gateway", ".*").replace("$zone", ".*")


@pytest.mark.influx
@pytest.mark.parametrize("influxd", ["influxd1", "influxd2"])
def test_boards_show_what_the_books_say(
    garden: Garden, journal: Journal, tmp_path: Path, influxd: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(influxd)
    described = influx_table(server, tmp_path)
    database = described["database"]
    store = open_store(described, writer=True)
    store.setup()
    shows = showing(garden, store)
    assert shows.look()

    days = rows(server, database, 'SELECT * FROM "danger"')
    found = [[row[name] for name in ("zone", "name", "p", "fwi", "ffmc_peak", "level")] for row in days]
    assert found == [
        ["z01", "Khu một", day.after.p if day.has_p else None, day.indices and day.indices.fwi, day.peak,
         coded(verdict(day, table()))] for day in garden.days()
    ]  # fmt: skip
    assert [row["time"] // 10**6 for row in days] == [at(day.day, 13) for day in garden.days()]
    assert None not in found[-1]
    stages = rows(server, database, filled(INCIDENTS["query"]))
    assert [row["text"] for row in stages] == [
        "Sự việc 1, Khu một: nghi có cháy · Incident 1, Zone one: suspected",
        "Sự việc 1, Khu một: đã xác nhận bởi người · Incident 1, Zone one: confirmed by a person",
    ]
    assert "Lò Văn A" not in str(rows(server, database, 'SELECT * FROM "incident"'))
    for panel in fire()["panels"]:
        for target in panel.get("targets", []):
            if '"danger"' in target["query"]:
                assert rows(server, database, filled(target["query"])), panel["title"]
    assert (store.ledger(), store.latest()) == ([], [])  # nothing that is decided rests on a copy

    with journal.transaction():
        journal.event(at(END), 1, "closed", who="Lò Văn A")
    garden.clock.now_ms = at(END) + 10_000
    assert shows.look()
    assert showing(garden, store).look()  # a start copies all again, and nothing twice
    assert len(rows(server, database, 'SELECT * FROM "incident"')) == 3
    assert len(rows(server, database, 'SELECT * FROM "danger"')) == len(days)
    store.close()
    garden.close()


@pytest.mark.influx
def test_a_database_that_is_away_is_told_and_made_up_for(
    garden: Garden, journal: Journal, tmp_path: Path, influxd1: Any
) -> None:
    assert journal.begun
    described = influx_table(influxd1, tmp_path)
    store = open_store(described, writer=True)
    shows = showing(garden, store)
    with pytest.raises(Retry, match="create it"):  # there is no such database yet
        shows.look()
    store.setup()
    assert shows.look()
    assert len(rows(influxd1, described["database"], 'SELECT * FROM "incident"')) == 2
    store.close()
    garden.close()


def test_the_store_in_a_file_is_left_alone(garden: Garden) -> None:
    assert not showing(garden, garden.store).look()
    garden.close()


@pytest.mark.influx
def test_what_keeps_boards_from_being_shown_ends_no_loop(garden: Garden, tmp_path: Path, influxd1: Any) -> None:
    class Stop:
        """The stop signal of a room that is told to stop once the loop has failed twice."""

        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 6

    store = open_store(influx_table(influxd1, tmp_path), writer=True)
    store.setup()
    (garden.folder / JOURNAL).write_bytes(b"no journal" * 1_000)
    shows = showing(garden, store)
    shows.run(Stop())  # type: ignore[arg-type]
    assert "not a database" in shows.why
    store.close()
    garden.close()
