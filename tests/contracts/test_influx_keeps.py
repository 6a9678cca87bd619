"""InfluxDB with `keep_days`: single readings go, their hours stay for ever, and the ledger outlives the readings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cloud.clock import SystemClock
from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import Bookkeeper
from cloud.store import Mark, Retry, Tallied, open_store
from cloud.store.ledger import LATE
from tests import servers
from tests.build import EPOCH, batch, soil
from tests.servers import influx_table

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALL = (0, 2**62)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.influx) for name in ("influxd1", "influxd2")])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def now_ms() -> int:
    """The database decides by its own clock what is too old: so the test lives now, at the full hour."""
    return SystemClock().utc_ms() // HOUR_MS * HOUR_MS


def opened(table: dict[str, Any], **keys: Any) -> Any:
    store = open_store(table | keys, writer=True)
    store.setup()
    return store


def hours(store: Any, now_ms: int) -> list[tuple[int, int, float, float]]:
    found = store.hourly("sg-01", "soil-1", "soil_moisture", now_ms - 20 * DAY_MS, now_ms + DAY_MS)
    return [(hour.start_ms - now_ms, hour.n, hour.low, hour.high) for hour in found]


def policies(server: Any, database: str) -> dict[str, int]:
    """Return how many days each retention policy, or the bucket that stands for it, keeps; 0 for ever."""
    if isinstance(server, servers.InfluxD2):
        headers = {"Authorization": f"Token {server.token}"}
        buckets = json.loads(servers.ask(f"{server.url}/api/v2/buckets?limit=100", None, headers)[1])["buckets"]
        mapped = json.loads(servers.ask(f"{server.url}/api/v2/dbrps?org={server.org}&db={database}", None, headers)[1])
        kept = {one["id"]: sum(rule["everySeconds"] for rule in one["retentionRules"]) // 86_400 for one in buckets}
        return {one["retention_policy"]: kept[one["bucketID"]] for one in mapped["content"] if not one["virtual"]}
    (series,) = server.query(f'SHOW RETENTION POLICIES ON "{database}"')["results"][0]["series"]
    return {name: int(duration.partition("h")[0].rstrip("s")) // 24 for name, duration, *_ in series["values"]}


def forget(server: Any, database: str) -> None:
    """Remove single readings as the database does when their time is over."""
    if isinstance(server, servers.InfluxD2):
        headers = {"Authorization": f"Token {server.token}"}
        span = {"start": "2020-01-01T00:00:00Z", "stop": "2100-01-01T00:00:00Z", "predicate": '_measurement="reading"'}
        url = f"{server.url}/api/v2/delete?org={server.org}&bucket={database}"
        assert servers.ask(url, span, headers | {"Content-Type": "application/json"})[0] == 204
    else:
        server.query("DELETE FROM reading", database)


def test_hours_stay_when_their_readings_are_gone(server: Any, tmp_path: Path, now_ms: int) -> None:
    table = influx_table(server, tmp_path)
    store = opened(table, keep_days=30)
    assert policies(server, table["database"]) == {"autogen": 0, "ledger": 60, "hours": 0}
    old = batch(rows=soil(4), start_ms=now_ms - 9 * DAY_MS, step_ms=HOUR_MS // 2, now_ms=now_ms)
    store.commit([old, batch(gateway="sg-02", rows=soil(2), start_ms=now_ms - 9 * DAY_MS, now_ms=now_ms)], now_ms)
    store.tidy(now_ms + HOUR_MS + 200_000)
    assert policies(server, table["database"]) == {"autogen": 30, "ledger": 60, "hours": 0}
    counted = hours(store, now_ms)
    assert counted == [(-9 * DAY_MS, 2, 30.0, 30.01), (-9 * DAY_MS + HOUR_MS, 2, 30.02, 30.03)]
    late = batch(first=9, rows=soil(1, base=50), start_ms=now_ms - 9 * DAY_MS + 60_000, now_ms=now_ms)
    store.commit([late], now_ms + HOUR_MS + 300_000)
    for _ in range(2):
        store.tidy(now_ms + 2 * HOUR_MS + 200_000)
    counted[0] = (-9 * DAY_MS, 3, 30.0, 50.0)
    forget(server, table["database"])
    assert store.series("sg-01", "soil-1", "soil_moisture", *ALL) == []
    assert hours(store, now_ms) == counted
    assert [hour.n for hour in store.hourly("sg-02", "soil-1", "soil_ph", now_ms - 20 * DAY_MS, now_ms)] == [2]
    assert len(store.ledger()) == 3
    store.close()


def test_what_comes_later_than_it_is_kept_has_expired_and_is_never_refused(
    server: Any, tmp_path: Path, now_ms: int
) -> None:
    store = opened(influx_table(server, tmp_path), keep_days=30)
    store.tidy(now_ms)
    mixed = batch(rows=soil(3), start_ms=now_ms - 400 * DAY_MS, step_ms=200 * DAY_MS, now_ms=now_ms)
    gone = batch(first=4, rows=soil(3), start_ms=now_ms - 300 * DAY_MS, now_ms=now_ms)
    near = batch(first=7, rows=soil(2), start_ms=now_ms - 30 * DAY_MS, step_ms=2 * DAY_MS, now_ms=now_ms)
    assert store.commit([mixed, gone], now_ms) == [[], []]
    assert store.commit([near], now_ms - 1) == [[]], "our clock keeps it still, the database's does not"
    assert len(store.series("sg-01", "soil-1", "soil_moisture", *ALL)) == 2
    assert [(row.first, row.verdict, row.refused) for row in store.ledger()] == [
        (7, "stored", 0),
        (1, "stored", 0),
        (4, "stored", 0),
    ]
    books = Books()
    Bookkeeper(store, books, Later(now_ms + 60_000)).open()
    (account,) = books.accounts()
    assert (account.quarantined, account.unknown) == (0, 0)
    store.close()


def test_what_comes_later_than_it_is_kept_is_in_its_hours_once(server: Any, tmp_path: Path, now_ms: int) -> None:
    store = opened(influx_table(server, tmp_path), keep_days=5)
    first_ms = now_ms - 6 * DAY_MS
    early = batch(rows=soil(2), start_ms=first_ms, now_ms=now_ms)
    store.commit([early], first_ms + 60_000)  # in time: counted, and gone by now
    forget(server, store._config.database)
    store._server.write(
        f"hour,channel=soil-1,gateway=sg-01 {counted(2, 30.005, 30.0, 30.01)} {first_ms}000000", "hours"
    )
    late = batch(first=3, rows=soil(3, base=50), start_ms=first_ms + 60_000, now_ms=now_ms)
    part = batch(first=6, rows=soil(2), start_ms=first_ms + 180_000, step_ms=6 * DAY_MS - HOUR_MS, now_ms=now_ms)
    old = batch(first=8, rows=soil(1), start_ms=now_ms - 10 * DAY_MS, now_ms=now_ms)
    for again in range(3):
        assert store.commit([late, part, early, old], now_ms + again) == [[]] * 4
    assert [(row.first, row.words) for row in store.ledger()] == [(1, ""), (3, LATE), (6, ""), (8, LATE)]
    assert [len(store.batch_readings(row)) for row in store.ledger()] == [0, 0, 1, 0]
    (hour, fresh) = hours(store, now_ms)
    assert hour == (-6 * DAY_MS, 2 + 3 + 1, 30.0, 50.02)
    assert fresh[1] == 1
    (mean,) = (one.mean for one in store.hourly("sg-01", "soil-1", "soil_moisture", first_ms, first_ms + 1))
    assert mean == pytest.approx((2 * 30.005 + 50.0 + 50.01 + 50.02 + 30.0) / 6)
    store.close()


def counted(n: int, mean: float, low: float, high: float) -> str:
    parts = {"count": n, "mean": mean, "min": low, "max": high}
    return ",".join(f"soil_moisture.{part}={float(value)}" for part, value in parts.items())


class Later(SystemClock):
    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def utc_ms(self) -> int:
        return self._now_ms


def test_a_database_that_kept_all_for_ever_may_begin_to_let_go(server: Any, tmp_path: Path, now_ms: int) -> None:
    table = influx_table(server, tmp_path)
    before = opened(table)
    old = batch(rows=soil(4), start_ms=now_ms - 9 * DAY_MS, step_ms=HOUR_MS, now_ms=now_ms)
    before.commit([old], now_ms - 9 * DAY_MS + 5 * HOUR_MS)
    before.keep_summary([Tallied("sg-01", EPOCH, "text")], Mark(7, 5))
    counted = hours(before, now_ms)
    before.close()
    store = opened(table, keep_days=3)
    assert (hours(store, now_ms), store.summary()) == (counted, (Mark(7, 5), [Tallied("sg-01", EPOCH, "text")]))
    fresh = batch(first=5, rows=soil(2), start_ms=now_ms - HOUR_MS, now_ms=now_ms)
    store.commit([fresh], now_ms - HOUR_MS + 5_000)
    assert [row.first for row in store.ledger()] == [1, 5]
    assert store.batch_readings(store.ledger()[1]) == list(fresh.readings())
    store.tidy(now_ms + 200_000)
    assert policies(server, table["database"])["autogen"] == 3
    forget(server, table["database"])
    assert hours(store, now_ms) == [*counted, (-HOUR_MS, 2, 30.0, 30.01)]
    store.close()
    again = opened(table, keep_days=3)
    again.tidy(now_ms + 200_000)
    assert len(hours(again, now_ms)) == 5, "what is gone is not counted anew"
    again.close()


@pytest.mark.influx
def test_a_token_that_may_make_no_bucket_is_told_the_command(influxd2: Any, tmp_path: Path) -> None:
    from tests.contracts.test_store import narrow_token

    table = influx_table(influxd2, tmp_path)
    opened(table).close()
    (tmp_path / "narrow").write_text(narrow_token(influxd2, table["database"]))
    narrow = open_store(table | {"token_file": str(tmp_path / "narrow"), "keep_days": 30}, writer=True)
    with pytest.raises(Retry, match=r"An administrator can do it: influx "):
        narrow.setup()
    narrow.close()
